"""Change the size of a restored image by antialiased bicubic interpolation."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from restore.images import Photo
from restore.levels import to_levels, to_values
from restore.resizing import imresize

__all__ = ["Size", "resized", "scaled"]

Size = tuple[int, int]
"""Width and height in pixels."""


def scaled(size: Size, scale: float) -> Size:
    """`size` times `scale`, rounded half up, at least one pixel a side.

    >>> scaled((5, 1), 1.5)
    (8, 2)
    """
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    return width, height


def resized(photo: Photo, size: Size) -> Photo:
    """Resize a photo; transparent pixels do not bleed into visible ones.

    The resolution in pixels per inch changes with the size, so that a print keeps its dimensions.

    Args:
        photo: levels stay levels, values stay values.
        size: width and height of the result in pixels.

    Example:
        >>> resized(Photo(torch.zeros(1, 3, 4, 6)), (3, 2)).color.shape
        torch.Size([1, 3, 2, 3])
    """
    width, height = size
    before = photo.color.shape[-2:]
    if before == (height, width):
        return photo
    channels = range(1 if photo.gray else 3)  # one by one: in float32 they take four times the memory
    opaque = None if photo.alpha is None else to_values(photo.alpha)
    planes = [_resized(photo.color[:, channel : channel + 1], size, opaque) for channel in channels]
    color = planes[0] if photo.gray else torch.cat(planes, 1)
    alpha = None if photo.alpha is None else _resized(photo.alpha, size)
    dpi = photo.dpi and (photo.dpi[0] * width / before[1], photo.dpi[1] * height / before[0])
    return replace(photo, color=color.expand(1, 3, height, width), alpha=alpha, dpi=dpi)


def _resized(plane: Tensor, size: Size, opaque: Tensor | None = None) -> Tensor:
    """One plane of levels or values, weighted by the opacity of each pixel."""
    target = (size[1], size[0])
    values = imresize(to_values(plane), target)
    if opaque is not None:
        weight = imresize(opaque, target)
        weighted = imresize(to_values(plane) * opaque, target)
        values = torch.where(weight > 1e-3, weighted / weight, values)
    return to_levels(values) if plane.dtype == torch.uint8 else values.clamp(0, 1)
