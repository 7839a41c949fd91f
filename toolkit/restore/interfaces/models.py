"""Models and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from restore.errors import EntryError, UsageError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ModelSpec", "OpenedModel", "Task", "Weights"]

Task = Literal["enlarge", "denoise", "deblock"]
"""What weights are for: to enlarge images, or to remove noise or the artifacts of JPEG compression."""


@dataclass(frozen=True)
class Weights:
    """A set of pretrained weights for one scale.

    Example:
        >>> from pathlib import Path
        >>> digest = "0" * 64  # the SHA-256 of the file
        >>> weights = Weights("photo", 4, Path("photo_x4.safetensors"), digest, "CC-BY-4.0", "10,000 photos")
        >>> weights.name, weights.scale
        ('photo', 4)
    """

    name: str
    """The part after the colon in ``NAME:WEIGHTS``."""
    scale: int
    """Output pixels per input pixel along one side."""
    source: Path | str
    """A local ``.safetensors`` file, or the https address of one."""
    sha256: str
    """The 64 hexadecimal digits of the file's hash."""
    license: str
    """License of the weights, and of the data that they were trained on."""
    trained: str
    """Data, objective and steps of the training."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Measured values, such as ``{"Set5 PSNR (dB)": 31.2}``; their protocol is in the model card."""
    lowest_quality: int | None = None
    """The lowest JPEG quality of the images that it was trained on, 1 to 100; 100 if none was compressed.
    Users are warned of inputs below it. ``None`` if it is unknown."""
    highest_noise: float | None = None
    """The highest standard deviation of the noise in these images, in levels of 255. Users are warned of
    inputs beyond it. ``None`` if it is unknown."""
    highest_blur: float = 0.0
    """The largest blur of these images, as the sigma of a Gaussian in pixels of the input; 0 if none were
    blurred. If it is visible, from 0.8 on, ``auto`` prefers these weights for blurred images, and others for
    sharp ones. Users are not warned of it."""
    task: Task | None = None
    """What ``auto`` may choose these weights for; with ``None`` it never does. Weights that ``enlarge`` are
    chosen for images within `lowest_quality` and `highest_noise`, and by `highest_blur`. Those that
    ``denoise`` or ``deblock`` have scale 1, and are made for any strength: their network takes ``sigma`` or
    ``quality``, see `ModelSpec.conditions`."""
    title: str = ""
    """What the page of ``restore serve`` calls these weights, such as ``Remove noise``; empty for `name`."""
    summary: str = ""
    """When to choose these weights, in a sentence or two for people who know none of the methods."""

    def __post_init__(self) -> None:
        """Check the task.

        Raises:
            EntryError: the blur is not a width, the scale is not that of the task, or limits are missing by
                which ``auto`` chooses.
        """
        if not 0 <= self.highest_blur < math.inf:
            raise EntryError(
                f"weights '{self.name}' cannot have a highest_blur of {self.highest_blur}",
                hint="declare 0 or more pixels",
            )
        if self.task is None:
            return
        if (self.task == "enlarge") == (self.scale == 1):
            raise EntryError(
                f"weights '{self.name}' of scale {self.scale} cannot have the task '{self.task}'",
                hint="declare another task, or none",
            )
        if self.task == "enlarge" and None in (self.lowest_quality, self.highest_noise):
            raise EntryError(
                f"weights '{self.name}' with the task 'enlarge' need limits by which they are chosen",
                hint="declare lowest_quality and highest_noise",
            )


@dataclass(frozen=True)
class OpenedModel:
    """The network that `ModelSpec.open` read from a file, with what is needed to run it."""

    module: nn.Module
    """The network with its weights: in evaluation mode, float32, on the CPU."""
    scale: int
    """Output pixels per input pixel along one side."""
    halo: int | None
    """See `ModelSpec.halo`."""
    overlap: int | None = None
    """When the halo is ``None``: the margin in input pixels with which the results of tiles nearly equal that
    of the whole image. ``None`` if the model must not be tiled."""
    precisions: frozenset[str] = frozenset({"fp32", "bf16", "fp16"})
    """The precisions in which it may be run."""
    stride: int = 1
    """See `ModelSpec.stride`."""
    conditions: tuple[str, ...] = ()
    """See `ModelSpec.conditions`."""
    trainable: nn.Module | None = None
    """The network itself, without what adapts it to the tensor contract: `module`, or a part of it. It has
    the parameters that are trained. ``None`` if it cannot be trained. What is saved is the ``state_dict`` of
    `module`, which `ModelSpec.open` has to accept."""
    architecture: str = ""
    """The usual name of the architecture, such as ``SPAN``."""
    tags: tuple[str, ...] = ()
    """Its size in short words, such as ``48nf``."""


def _no_overlap(scale: int, options: Any) -> int | None:  # noqa: ARG001 - the signature of `ModelSpec.overlap`
    return None


def _any_position(scale: int, options: Any) -> int:  # noqa: ARG001 - the signature of `ModelSpec.stride`
    return 1


def _no_conditions(options: Any) -> tuple[str, ...]:  # noqa: ARG001 - the signature of `ModelSpec.conditions`
    return ()


@dataclass(frozen=True)
class ModelSpec(Named):
    """A model: how to build its network, and what is needed to run and train it.

    The first of the `weights` for a scale is the default for that scale.

        >>> from restore.interfaces import lazy
        >>> spec = ModelSpec(
        ...     "sharp",
        ...     "Three convolutions and a pixel shuffle",
        ...     build=lazy("restore_sharp.network:build"),
        ...     halo=lambda scale, options: 4,
        ...     scales=(2, 4),
        ... )
        >>> spec.supports(4), spec.supports(3)
        (True, False)
    """

    name: str
    summary: str
    build: Callable[[int, Any], nn.Module]
    """``build(scale, options)``: a network that keeps the tensor contract, in float32 on the CPU."""
    halo: Callable[[int, Any], int | None]
    """``halo(scale, options)``: the radius of the receptive field in input pixels, as the largest Chebyshev
    distance between an input pixel and an output pixel that depends on it, measured from the input pixel that
    contains the output pixel. ``None`` if every output depends on every input."""
    scales: tuple[int, ...] | None = None
    """The scales that `build` accepts; ``None`` for any integer >= 1."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    weights: tuple[Weights, ...] = ()
    """The pretrained weights that are included."""
    reference: str = ""
    """The publication."""
    open: Callable[[Path], OpenedModel] | None = None
    """``open(file)`` reads a file in a format of its own, whose content decides which network is built. Then
    ``NAME:FILE`` accepts every file that `open` accepts. It raises `WeightsError` for any other file."""
    fuse: Callable[[nn.Module, torch.dtype], nn.Module] | None = None
    """``fuse(network, dtype)``: an algebraically equal network that runs faster and multiplies in `dtype`.

    It keeps the tensor contract: inputs and outputs are float32 (or float64, if `dtype` is), whatever it
    computes in. It may round only where the plain network would under autocast. The given network is not
    changed. Graphs for other engines are exported from it: while `torch.compiler.is_exporting()` it must not
    branch on the size of an image. `restore.fusion` has layers for it."""
    memory: Callable[[int, Any], int] | None = None
    """``memory(scale, options)``: the largest number of values per input pixel that the fused network keeps
    at once, from which the size of tiles is chosen. ``None``: 4 feature maps of 64 channels at the output's
    size."""
    overlap: Callable[[int, Any], int | None] = _no_overlap
    """``overlap(scale, options)``, for a model whose `halo` is ``None``: the margin in input pixels with
    which the results of tiles nearly equal that of the whole image. ``None`` if it must not be tiled."""
    stride: Callable[[int, Any], int] = _any_position
    """``stride(scale, options)``: tiles begin at rows and columns that are multiples of it, in input pixels.
    A network that merges squares of 2x2 pixels into one (pixel unshuffle, convolutions of stride 2) has 2, so
    that tiles merge the same squares as the whole image. The halo then applies to pixels at any position."""
    conditions: Callable[[Any], tuple[str, ...]] = _no_conditions
    """``conditions(options)``: names of numbers that describe an image, such as ``("sigma",)``. The network
    takes them after the image in this order, each as a ``(B,)`` float32 tensor. ``sigma`` is the standard
    deviation of the noise in levels of 255, ``quality`` that of a JPEG from 1 to 100: both can be estimated
    from the image. Users give the numbers as they give options, whose names they must not repeat."""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            EntryError: the name, which must not be ``auto``, the summary, a scale or a set of weights is not
                valid.
        """
        super().__post_init__()
        if self.name == "auto":
            raise EntryError("a model cannot be called 'auto', which chooses one", hint="rename it")
        if self.scales is not None and (not self.scales or min(self.scales) < 1):
            raise EntryError(f"model '{self.name}' has the scales {self.scales}", hint="use 1 and more")
        keys = [(weights.name, weights.scale) for weights in self.weights]
        if len(keys) != len(set(keys)):
            raise EntryError(
                f"model '{self.name}' has two sets of weights with the same name and scale", hint="rename one"
            )

    @classmethod
    def of_files(
        cls,
        name: str,
        summary: str,
        open: Callable[[Path], OpenedModel],  # noqa: A002
        *,
        reference: str = "",
    ) -> ModelSpec:
        """A model that exists only as files, which `open` reads: it cannot be built without one."""

        def refuse(scale: int, options: Options) -> NoReturn:  # noqa: ARG001
            raise UsageError(f"model '{name}' needs a file", hint=f"name one: {name}:FILE.safetensors")

        return cls(name, summary, build=refuse, halo=refuse, open=open, reference=reference)

    def supports(self, scale: int) -> bool:
        """Whether `build` accepts this scale."""
        return scale >= 1 and (self.scales is None or scale in self.scales)

    def weights_scales(self, name: str = "") -> list[int]:
        """The scales of the weights of this name, in their order; of all weights if it is empty."""
        return list(dict.fromkeys(weights.scale for weights in self.weights if name in ("", weights.name)))

    def listed_weights(self) -> str:
        """The names of the weights with their scales, such as ``pat (4x), e (2x, 4x)``, or ``none``."""
        listed = [
            f"{name} ({', '.join(f'{scale}x' for scale in sorted(self.weights_scales(name)))})"
            for name in dict.fromkeys(weights.name for weights in self.weights)
        ]
        return ", ".join(listed) or "none"

    def check_scale(self, scale: int) -> None:
        """Refuse a scale that `build` does not accept.

        Raises:
            UsageError: names the scales that it can be trained for, and those that it has weights for.
        """
        if not self.supports(scale):
            possible = ", ".join(map(str, self.scales)) if self.scales else "any from 1"
            ready = ", ".join(map(str, sorted(self.weights_scales())))
            raise UsageError(
                f"model '{self.name}' cannot work at scale {scale}: it can be trained for the scales "
                f"{possible}, and has weights for {ready or 'none'}"
            )
