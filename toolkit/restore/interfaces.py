"""The tensor contract, and the entries by which a plugin describes what it brings.

The tensor contract, everywhere in the toolkit:

    Float RGB in [0, 1], shape ``(B, 3, H, W)``, on any device. A model maps ``(B, 3, H, W)`` to
    ``(B, 3, scale*H, scale*W)`` of the same dtype for **any** H, W >= 1, and does not clamp. Scale 1
    is a restoration without resizing.

An entry is a frozen dataclass that describes; what it builds is a plain ``nn.Module`` or a plain
function. Nothing here imports torch, so that a plugin can be listed without it: `lazy` names a function
that does.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from restore.errors import EntryError, OptionsError, UsageError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "Adversary",
    "AlwaysOpen",
    "DegradationSpec",
    "DiscriminatorSpec",
    "Extra",
    "Gate",
    "LossSpec",
    "MetricSpec",
    "ModelSpec",
    "ObjectiveSpec",
    "Options",
    "PublishedTable",
    "Scores",
    "Term",
    "Weights",
    "lazy",
    "parse",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Options(BaseModel):
    """What a user may change about an entry: subclass it, one documented field an option.

    Unknown keys are refused. An entry without options uses this class as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def lazy(target: str) -> Callable[..., Any]:
    """The function at ``"package.module:function"``, imported when it is first called.

    So a plugin can name what builds its networks without importing torch.
    """
    module, _, name = target.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


Parsed = TypeVar("Parsed", bound=BaseModel)


def parse(schema: type[Parsed], values: Mapping[str, Any], owner: str) -> Parsed:
    """Validate `values` against `schema`.

    Args:
        schema: a pydantic model that forbids extra keys.
        values: what the user gave, keys to values; strings are converted to the field's type.
        owner: whose options these are, for the message ("model 'enhancenet'").

    Raises:
        OptionsError: names every wrong key, its value, the owner and the nearest known key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        problems = [_describe(problem, schema, owner) for problem in error.errors()]
        raise OptionsError("; ".join(problems)) from None


def _describe(problem: Mapping[str, Any], schema: type[BaseModel], owner: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(sorted(schema.model_fields)) or "none"
        return f"{owner} has no option '{key}'.{nearest(key, schema.model_fields)} Known options: {known}"
    if problem["type"] == "missing":
        return f"{owner} needs a value for '{key}'"
    where = f"option '{key}' of {owner}" if key else owner
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}, but got {problem['input']!r}"


class _Named:
    """What every entry of the registry has: a name that the command line can carry, and a summary."""

    name: str
    summary: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise EntryError(
                f"the name {self.name!r} is not usable: begin with a lowercase letter or digit and go on "
                "with lowercase letters, digits, '-', '_' or '.'"
            )
        if not self.summary.strip():
            raise EntryError(f"'{self.name}' has no summary: say in one line what it is")


@dataclass(frozen=True)
class Extra:
    """An optional dependency of a plugin: without `module` the plugin is unavailable, not broken."""

    module: str
    """Import name that must be found, such as ``spandrel``."""
    install: str
    """The command that installs it, such as ``pip install 'restorekit[spandrel]'``."""


@dataclass(frozen=True)
class Weights:
    """A set of pretrained weights for one scale."""

    name: str
    """What follows the colon in ``NAME:WEIGHTS``."""
    scale: int
    source: Path | str
    """A local ``.safetensors`` file, or the https address of one."""
    sha256: str
    licence: str
    """Licence of the weights, and a word on that of the training data."""
    trained: str
    """How: data, objective, steps."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Measured figures, such as ``{"Set5 PSNR (dB)": 31.2}``; their protocol is in the model card."""


@dataclass(frozen=True)
class ModelSpec(_Named):
    """A model: how to build its network and what the toolkit must know to run and train it.

    The first of the `weights` for a scale is the default for that scale.
    """

    name: str
    summary: str
    build: Callable[[int, Any], nn.Module]
    """``build(scale, options)``: a network that keeps the tensor contract, in float32 on the CPU."""
    halo: Callable[[int, Any], int | None]
    """``halo(scale, options)``: how far, in input pixels, an input can be from an output that it
    influences (Chebyshev distance between the input pixel and the input pixel that the output pixel
    lies in). ``None`` when every input influences every output: such a model is never tiled."""
    scales: tuple[int, ...] | None = None
    """The scales that `build` accepts; ``None`` for any integer >= 1."""
    options: type[Options] = Options
    weights: tuple[Weights, ...] = ()
    reference: str = ""
    """Where it was published."""
    describe: Callable[[Path], tuple[int, Options]] | None = None
    """For models whose shape is read from a weights file: ``describe(file) -> (scale, options)``."""
    fuse: Callable[[nn.Module], nn.Module] | None = None
    """An algebraically equal network that runs faster; the given network is left as it is."""

    def __post_init__(self) -> None:
        """Check what the toolkit relies on.

        Raises:
            EntryError: the name, the summary, a scale or a set of weights is not usable.
        """
        super().__post_init__()
        if self.scales is not None and (not self.scales or min(self.scales) < 1):
            raise EntryError(f"model '{self.name}' declares the scales {self.scales}: they begin at 1")
        keys = [(weights.name, weights.scale) for weights in self.weights]
        if len(keys) != len(set(keys)):
            raise EntryError(f"model '{self.name}' declares two sets of weights of one name and scale")

    def supports(self, scale: int) -> bool:
        """Whether `build` accepts this scale."""
        return scale >= 1 and (self.scales is None or scale in self.scales)

    def check_scale(self, scale: int) -> None:
        """Refuse a scale that `build` does not accept.

        Raises:
            UsageError: names the scales that it does accept.
        """
        if not self.supports(scale):
            scales = ", ".join(map(str, self.scales)) if self.scales else "any from 1"
            raise UsageError(f"model '{self.name}' cannot work at scale {scale}; it can at: {scales}")


@dataclass(frozen=True)
class LossSpec(_Named):
    """One term of an objective.

    ``build(options)`` gives a module that is called with ``(restored, target)``, both by the tensor
    contract and of equal shape, and returns **one scalar** to be minimised.
    """

    name: str
    summary: str
    build: Callable[[Any], nn.Module]
    options: type[Options] = Options
    reference: str = ""


@dataclass(frozen=True)
class Scores:
    """Mean probability of the right answer that a discriminator gave over one batch, in [0, 1]."""

    real: float
    """On target images: mean of D(target)."""
    generated: float
    """On restored images: mean of 1 - D(restored)."""


class Gate(Protocol):
    """One question, answered from the last scores: may the discriminator learn in this step?"""

    def is_open(self, scores: Scores | None) -> bool:
        """`scores` are those of the previous batch; ``None`` in the first step."""
        ...


@dataclass(frozen=True)
class AlwaysOpen:
    """The gate of an ordinary adversarial objective: the discriminator learns in every step."""

    def is_open(self, scores: Scores | None) -> bool:  # noqa: ARG002
        """Always true."""
        return True


@dataclass(frozen=True)
class Term:
    """A loss with its weight and options, by name: any plugin's loss can be named."""

    loss: str
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Adversary:
    """The adversarial term of an objective, by the name of its discriminator."""

    discriminator: str
    weight: float = 1.0
    gate: Gate = field(default_factory=AlwaysOpen)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveSpec(_Named):
    """A named recipe: terms with weights, and at most one adversary."""

    name: str
    summary: str
    terms: tuple[Term, ...]
    adversary: Adversary | None = None
    patch_size: int = 128
    """Side of the square training target in pixels, unless the user asks for another."""
    reference: str = ""

    def __post_init__(self) -> None:
        """Check the recipe.

        Raises:
            EntryError: the recipe is empty, names a loss twice or has a patch size below 1.
        """
        super().__post_init__()
        losses = [term.loss for term in self.terms]
        if not losses and self.adversary is None:
            raise EntryError(f"objective '{self.name}' has neither a term nor an adversary")
        if len(losses) != len(set(losses)):
            raise EntryError(f"objective '{self.name}' names a loss twice: {', '.join(losses)}")
        if self.patch_size < 1:
            raise EntryError(f"objective '{self.name}' declares a patch size of {self.patch_size} pixels")


@dataclass(frozen=True)
class DiscriminatorSpec(_Named):
    """A discriminator.

    ``build(target_size, options)`` gives a module that maps images ``(B, 3, target_size,
    target_size)`` to **logits** ``(B, 1)`` or ``(B, 1, h, w)``: the larger, the more real.
    """

    name: str
    summary: str
    build: Callable[[int, Any], nn.Module]
    options: type[Options] = Options
    reference: str = ""


class Metric(Protocol):
    """Measures one restored image against its target."""

    def __call__(self, restored: Tensor, target: Tensor, *, gray: bool) -> float:
        """`restored` and `target`: ``(1, 3, H, W)``, equal to multiples of 1/255 when read from files.

        `gray` tells that the target's file has a single channel, repeated here to three.
        """
        ...


@dataclass(frozen=True)
class MetricSpec(_Named):
    """A metric, with the protocol by which its figures may be compared."""

    name: str
    summary: str
    build: Callable[[int, Any], Metric]
    """``build(scale, options)``."""
    protocol: Callable[[int, Any], str]
    """``protocol(scale, options)``: everything that changes the figure, in one line. Figures with
    different protocols are never put into one column."""
    better: Literal["higher", "lower"]
    unit: str = ""
    digits: int = 4
    """Decimals worth printing."""
    options: type[Options] = Options
    reference: str = ""


class Degrade(Protocol):
    """Makes the input of a model from its target."""

    def __call__(self, target: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``(B, 3, scale*h, scale*w)`` to ``(B, 3, h, w)``, both in [0, 1].

        A random degradation draws from `generator` only, so that a sample can be repeated.
        """
        ...


@dataclass(frozen=True)
class DegradationSpec(_Named):
    """A degradation: what happened to an image before it is to be restored."""

    name: str
    summary: str
    build: Callable[[int, Any], Degrade]
    """``build(scale, options)``."""
    protocol: Callable[[int, Any], str]
    """``protocol(scale, options)``: everything that changes the result, in one line."""
    options: type[Options] = Options
    reference: str = ""


@dataclass(frozen=True)
class PublishedTable(_Named):
    """Figures of a paper, to be printed beside ours.

    `rows` maps a row's title to its figures, one for each of `columns`; ``None`` where the paper
    gives none.
    """

    name: str
    summary: str
    columns: tuple[str, ...]
    rows: Mapping[str, Sequence[float | None]]
    metric: str
    scale: int
    protocol: str
    reference: str = ""

    def __post_init__(self) -> None:
        """Check the shape.

        Raises:
            EntryError: a row is longer or shorter than the columns.
        """
        super().__post_init__()
        for title, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise EntryError(
                    f"table '{self.name}': row '{title}' has {len(figures)} figures for "
                    f"{len(self.columns)} columns"
                )
