"""Decoded images: pixels with the metadata of their file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["Animation", "Photo"]


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded image, in upright orientation, with the metadata of its file.

    Example:
        >>> import torch
        >>> photo = Photo(torch.rand(1, 3, 4, 6), bits=16)
        >>> photo.alpha is None, photo.gray
        (True, False)
    """

    color: Tensor
    """``(1, 3, H, W)`` in any memory format: float32 in [0, 1], or uint8 levels from 0 to 255; if `gray`, the
    same levels in each channel. In the color space of `icc_profile` or else sRGB."""
    alpha: Tensor | None = None
    """``(1, 1, H, W)`` float32 in [0, 1] or uint8; 1 or 255 is opaque. Color is not multiplied by it."""
    gray: bool = False
    """The file had one color channel: it is repeated in `color`, and written back as one."""
    bits: Literal[8, 16, 32] = 8
    """Bits per channel to write, at most those that `color` has; 32 is floating point."""
    icc_profile: bytes | None = None
    """A gray profile if `gray` is true, otherwise an RGB profile."""
    exif: bytes | None = None
    """Without orientation, which `color` has already, without thumbnail, and without tags that describe the
    pixels' layout."""
    xmp: bytes | None = None
    """The XMP packet in UTF-8, cleared of the same things as `exif`."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution in pixels per inch."""
    lossless: bool = False
    """Whether the file was losslessly compressed in a format that is usually lossy, such as WebP. Results in
    that format are then lossless as well."""
    frames: int = 1
    """Number of images in the file, of which this is the first."""
    notes: tuple[str, ...] = ()
    """Sentences about what decoding changed, such as "its palette became RGB"."""


@dataclass(frozen=True, eq=False)
class Animation:
    """The frames of an animation, all of one size, with disposal and blending already applied."""

    frames: tuple[Photo, ...]
    """At least one, as 8-bit levels. The first one has the metadata of the file."""
    durations: tuple[float, ...]
    """Duration of each frame in milliseconds."""
    plays: int = 0
    """Total number of plays; 0 loops forever."""
