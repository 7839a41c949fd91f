"""What a picture is, apart from any file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["Animation", "Photo"]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, upright, and what its file carried."""

    color: Tensor
    """``(1, 3, H, W)`` in any memory format: float32 in [0, 1], or uint8 levels from 0 to 255; if `gray`, the
    same levels in each channel. In the color space of `icc_profile` or else sRGB."""
    alpha: Tensor | None = None
    """``(1, 1, H, W)`` float32 in [0, 1] or uint8; 1 or 255 is opaque. Color is not multiplied by it."""
    gray: bool = False
    """The file had one color channel: it is repeated in `color`, and written back as one."""
    bits: Literal[8, 16, 32] = 8
    """Bits per channel that are worth writing, where `color` has as many; 32 stands for floating point."""
    icc_profile: bytes | None = None
    """Always of the kind that `gray` says: a gray profile or an RGB one."""
    exif: bytes | None = None
    """Without orientation, which `color` has already, without thumbnail, and without tags that describe the
    pixels' layout."""
    xmp: bytes | None = None
    """The XMP packet in UTF-8, cleared of the same things as `exif`."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution in pixels per inch."""
    lossless: bool = False
    """Whether it is from a file of a format that is usually lossy, such as WebP, which stored it exactly. A
    file of that format is then written so as well."""
    frames: int = 1
    """Pictures in the file: when more than one, this is the first of them."""
    notes: tuple[str, ...] = ()
    """What was changed on the way from the file to here, for people: "its palette became RGB"."""


@dataclass(frozen=True, eq=False)
class Animation:
    """Pictures of one size that are shown in turn, each whole: what disposal and blending make of them."""

    frames: tuple[Photo, ...]
    """At least one, as 8-bit levels. What the file carries besides pixels is with the first."""
    durations: tuple[float, ...]
    """Milliseconds for which each is shown."""
    plays: int = 0
    """How often it is shown in all; 0 is for ever."""
