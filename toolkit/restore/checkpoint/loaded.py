"""A network with its weights, and what is needed to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import nn

from restore.checkpoint.chaining import Chain, Geometry, chained
from restore.checkpoint.options import Number
from restore.errors import UsageError
from restore.interfaces import ModelSpec, Options, Weights

__all__ = ["LoadedModel"]


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, and what is needed to run it."""

    reference: str
    """``NAME[:WEIGHTS]``, or a chain of these, as it was given."""
    spec: ModelSpec
    """Of a chain, one that cannot be built: the entries of its `parts` can."""
    scale: int
    """Output pixels per input pixel along one side."""
    options: Options
    module: nn.Module
    """In evaluation mode, float32, on the CPU."""
    halo: int | None
    """Radius of the receptive field in input pixels; `None` when every input pixel matters."""
    overlap: int | None = None
    """Where `halo` is `None`: the margin in input pixels with which tiles nearly equal the whole image.
    `None` for a model that is never tiled."""
    precisions: frozenset[str] = frozenset({"fp32", "bf16", "fp16"})
    """Number formats in which the network can multiply."""
    weights: str = ""
    """Name or path of the weights; empty for a model without."""
    digest: str = ""
    """SHA-256 of the weights file; empty for a model without. Of a chain, those of its parts, with ``+``."""
    stride: int = 1
    """Tiles begin at multiples of it, in input pixels."""
    conditions: Mapping[str, Number] = field(default_factory=dict)
    """For each number that the network takes beside the image, in their order: the one that was given, or
    ``auto``. In a chain, a name that several parts use is preceded by that of the part, as ``LABEL.NAME``."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """The options that were given and differ from those of the weights; in a chain as ``LABEL.OPTION``."""
    parts: tuple[LoadedModel, ...] = ()
    """The models of a chain; empty for any other model."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The options that `load_model` was called with."""
    trainable: bool = True
    """Whether `module` can be trained; false for some that are read from files."""
    architecture: str = ""
    """What the file contains, such as ``SPAN``; empty where `spec` says it."""
    tags: tuple[str, ...] = ()
    """The size of that architecture in short words, such as ``48nf``."""

    @property
    def entry(self) -> Weights | None:
        """The plugin's entry for the weights; `None` for a chain, a user's file, or no weights."""
        return next((entry for entry in self.spec.weights if entry.sha256 == self.digest), None)

    @classmethod
    def built(
        cls, reference: str, spec: ModelSpec, scale: int, options: Options, module: nn.Module
    ) -> LoadedModel:
        """A network that `spec` built, with whatever parameters it has now."""
        return cls(
            reference,
            spec,
            scale,
            options,
            module.eval(),
            spec.halo(scale, options),
            spec.overlap(scale, options),
            stride=spec.stride(scale, options),
            conditions=dict.fromkeys(spec.conditions(options), "auto"),
        )

    @classmethod
    def chained(cls, reference: str, labels: Sequence[str], parts: Sequence[LoadedModel]) -> LoadedModel:
        """One model of several that work one after the other.

        Args:
            reference: of the chain.
            labels: of the parts, all different.
            parts: the models.
        """
        shape = chained(Geometry(part.scale, part.halo, part.overlap, part.stride) for part in parts)
        names = [name for part in parts for name in part.conditions]

        def label(owner: str, name: str) -> str:
            return f"{owner}.{name}" if names.count(name) > 1 else name

        owned = list(zip(labels, parts, strict=True))
        return cls(
            reference,
            _spec_of_chain(parts),
            shape.scale,
            Options(),
            Chain((part.module for part in parts), [len(part.conditions) for part in parts]).eval(),
            shape.halo,
            shape.overlap,
            frozenset.intersection(*(part.precisions for part in parts)),
            "+".join(part.weights for part in parts),
            "+".join(part.digest for part in parts),
            shape.stride,
            {label(owner, name): value for owner, part in owned for name, value in part.conditions.items()},
            {f"{owner}.{key}": value for owner, part in owned for key, value in part.changed.items()},
            tuple(parts),
        )


@dataclass(frozen=True)
class _ChainSpec(ModelSpec):
    """An entry with the names of several. It is in no registry, and builds nothing."""

    def __post_init__(self) -> None:
        """Accept a name that no entry can have."""


def _spec_of_chain(parts: Sequence[LoadedModel]) -> ModelSpec:
    name = "+".join(part.spec.name for part in parts)

    def refuse(scale: int, options: Options) -> NoReturn:  # noqa: ARG001 - the signature of `ModelSpec.build`
        raise UsageError(f"the chain '{name}' cannot be built", hint="use one of its models")

    return _ChainSpec(name, f"{name} one after the other", build=refuse, halo=refuse)
