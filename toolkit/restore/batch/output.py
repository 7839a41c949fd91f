"""How large results are to be, and how they are to be written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from restore.errors import UsageError
from restore.images import Photo
from restore.registry import Registry
from restore.resizing import imresize

__all__ = ["Output", "native_scale", "resized"]

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Output:
    """What is asked for besides the model.

    Raises:
        UsageError: a size is asked for in two ways, or would be none.
    """

    scale: float | None = None
    """Output pixels per input pixel along one side; `None` for the model's own."""
    width: int | None = None
    height: int | None = None
    """In pixels; one of them alone keeps the aspect."""
    quality: int | None = None
    """1 to 100, for formats with losses; `None` for the format's default."""
    small: bool = False
    """Make PNG files as small as possible."""
    strip: bool = False
    """Leave out what a file says besides its pixels and their colour space."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.scale is not None and (self.width or self.height):
            raise UsageError("--scale and --width or --height name two sizes: give one of them")
        if self.scale is not None and not 1 <= self.scale < math.inf:
            raise UsageError(f"cannot work at scale {self.scale:g}: use 1 or more")
        for name, side in (("--width", self.width), ("--height", self.height)):
            if side is not None and side < 1:
                raise UsageError(f"{name} {side} is no size: use 1 or more")

    def check(self, native: int) -> None:
        """Refuse a scale beyond that of the model.

        Raises:
            UsageError: names both.
        """
        if self.scale is not None and self.scale > native:
            raise UsageError(f"the model works at {native}x, not at {self.scale:g}x: use --scale {native}")

    def suffix(self, native: int) -> str:
        """What is added to the names of results: ``_x4``, ``_w800``, ``_h600`` or ``_800x600``."""
        if self.width and self.height:
            return f"_{self.width}x{self.height}"
        if self.width or self.height:
            return f"_w{self.width}" if self.width else f"_h{self.height}"
        return f"_x{self.scale or native:g}"

    def size(self, source: Size, native: int) -> Size:
        """The size of the result of an image of size `source`, restored at the scale `native`."""
        width, height = source
        if self.width or self.height:
            return (
                self.width or _rounded(width * (self.height or height) / height),
                self.height or _rounded(height * (self.width or width) / width),
            )
        scale = self.scale or native
        return _rounded(width * scale), _rounded(height * scale)

    def notes(self, source: Size, native: int) -> tuple[str, ...]:
        """What a person may not expect of the size of a result."""
        size = self.size(source, native)
        if self.scale not in (None, native):
            return (f"the model works at {native}x: its result is reduced to {self.scale:g}x by a bicubic",)
        beyond = max(size[0] / (native * source[0]), size[1] / (native * source[1]))
        if beyond <= 1:
            return ()
        return (f"the model makes it {native}x larger, the remaining {beyond:.2g}x is bicubic",)

    def settings(self, native: int) -> dict[str, str]:
        """What of it the files depend on; nothing that is at its default."""
        own = not self.width and not self.height and self.scale in (None, native)
        asked = {
            "size": "" if own else self.suffix(native)[1:],
            "quality": str(self.quality or ""),
            "strip": "yes" if self.strip else "",
        }
        return {name: value for name, value in asked.items() if value}


def native_scale(reference: str, registry: Registry, wanted: float | None) -> int | None:
    """The scale to load a model with: `wanted` where the model has it, else the next larger one that it has.

    Args:
        reference: ``NAME[:WEIGHTS]``.
        registry: where to look.
        wanted: output pixels per input pixel.

    Returns:
        ``None`` where the model or its file decides.

    Raises:
        UnknownNameError: no such model.
        UsageError: the model's weights are all for smaller scales.
    """
    name, _, weights = reference.partition(":")
    spec = registry.models[name]
    if wanted is None or weights.endswith(".safetensors") or "/" in weights:
        return None
    known = [entry.scale for entry in spec.weights if weights in ("", entry.name)] or spec.scales
    larger = [scale for scale in known or [math.ceil(wanted)] if scale >= wanted]
    if not larger:
        raise UsageError(
            f"model '{reference}' cannot work at scale {wanted:g}; it can at: "
            f"{', '.join(map(str, sorted(known or ())))}"
        )
    return min(larger)


def resized(photo: Photo, size: Size) -> Photo:
    """`photo` at another size by the antialiased bicubic; what is transparent does not bleed.

    Its resolution changes with it: a print keeps its size.
    """
    width, height = size
    before = photo.color.shape[-2:]
    if before == (height, width):
        return photo
    channels = range(1 if photo.gray else 3)  # one by one: in float32 they take four times the memory
    opaque = None if photo.alpha is None else _unit(photo.alpha)
    planes = [_resized(photo.color[:, channel : channel + 1], size, opaque) for channel in channels]
    color = planes[0] if photo.gray else torch.cat(planes, 1)
    alpha = None if photo.alpha is None else _resized(photo.alpha, size)
    dpi = photo.dpi and (photo.dpi[0] * width / before[1], photo.dpi[1] * height / before[0])
    return replace(photo, color=color.expand(1, 3, height, width), alpha=alpha, dpi=dpi)


def _resized(plane: Tensor, size: Size, opaque: Tensor | None = None) -> Tensor:
    """One plane of levels or values, weighted by how opaque each pixel is."""
    target = (size[1], size[0])
    values = imresize(_unit(plane), target)
    if opaque is not None:
        weight = imresize(opaque, target)
        weighted = imresize(_unit(plane) * opaque, target)
        values = torch.where(weight > 1e-3, weighted / weight, values)
    values = values.clamp(0, 1)
    return (values * 255 + 0.5).to(torch.uint8) if plane.dtype == torch.uint8 else values


def _unit(plane: Tensor) -> Tensor:
    """Levels as values in [0, 1]."""
    return plane.float() / 255 if plane.dtype == torch.uint8 else plane


def _rounded(side: float) -> int:
    """Half up, and never nothing."""
    return max(1, math.floor(side + 0.5))
