"""Models and the weights that they come with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from restore.errors import EntryError, UsageError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ModelSpec", "OpenedModel", "Weights"]


@dataclass(frozen=True)
class Weights:
    """A set of pretrained weights for one scale."""

    name: str
    """What follows the colon in ``NAME:WEIGHTS``."""
    scale: int
    source: Path | str
    """A local ``.safetensors`` file, or the https address of one."""
    sha256: str
    license: str
    """License of the weights, and of the data that they were trained on."""
    trained: str
    """How: data, objective, steps."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Measured values, such as ``{"Set5 PSNR (dB)": 31.2}``; their protocol is in the model card."""


@dataclass(frozen=True)
class OpenedModel:
    """The network of a file, with what the toolkit must know to run it; see `ModelSpec.open`."""

    module: nn.Module
    """Keeps the tensor contract, in evaluation mode, in float32 on the CPU, with its weights."""
    scale: int
    halo: int | None
    """As that of `ModelSpec.halo`."""
    overlap: int | None = None
    """Where the halo is ``None``: the margin in input pixels with which tiles are nearly equal to the whole
    image. ``None`` when the model must not be tiled at all."""
    precisions: frozenset[str] = frozenset({"fp32", "bf16", "fp16"})
    """In which of these it may multiply."""


@dataclass(frozen=True)
class ModelSpec(Named):
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
    open: Callable[[Path], OpenedModel] | None = None
    """``open(file)``, for weights in formats of others: reads a file that says itself what network it holds.
    Then ``NAME:FILE`` takes any file that this takes. It raises `WeightsError` for what it cannot read."""
    fuse: Callable[[nn.Module, torch.dtype], nn.Module] | None = None
    """``fuse(network, dtype)``: an algebraically equal network that runs faster and multiplies in `dtype`.

    It keeps the tensor contract: what it takes and gives is float32 (or float64, when `dtype` is), whatever
    it works in. It may round where the plain network would under autocast, and nowhere else. The given
    network is left as it is. It is also what becomes a graph for other engines: while
    `torch.compiler.is_exporting()` it must not decide by the size of an image. See `restore.fusion` for
    layers."""
    memory: Callable[[int, Any], int] | None = None
    """``memory(scale, options)``: values that the fused network holds at its fullest, per input pixel, from
    which the size of tiles follows. Left out: four images of 64 features, as large as the result."""

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

    @classmethod
    def of_files(
        cls,
        name: str,
        summary: str,
        open: Callable[[Path], OpenedModel],  # noqa: A002
        *,
        reference: str = "",
    ) -> ModelSpec:
        """A model that is nothing without a file, which `open` reads: it cannot be trained here."""

        def refuse(scale: int, options: Options) -> NoReturn:  # noqa: ARG001
            raise UsageError(
                f"model '{name}' is what its file says: name one, such as {name}:FILE.safetensors; it "
                f"cannot be trained here"
            )

        return cls(name, summary, build=refuse, halo=refuse, open=open, reference=reference)

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
