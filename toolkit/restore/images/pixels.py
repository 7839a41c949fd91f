"""Convert photos to what encoders take: arrays of levels, and Pillow images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from restore.errors import ImageError
from restore.images import png
from restore.levels import to_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from restore.images.formats import Format
    from restore.images.photo import Photo

__all__ = [
    "bands",
    "bits_of",
    "check_shapes",
    "drawn",
    "is_partial",
    "levels",
    "mode_of",
    "pixels",
    "with_palette",
]

Bits = Literal[8, 16, 32]

_HALF = 128  # the first level of alpha that is opaque where there is nothing in between


def check_shapes(photo: Photo) -> None:
    """Check that color and alpha have the shapes of a single image.

    Raises:
        ImageError: names the shape that is wrong.
    """
    shape = tuple(photo.color.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or min(shape) < 1:
        raise ImageError(
            f"its color has the shape {shape}", hint="give (1, 3, height, width) with both above 0"
        )
    if photo.alpha is not None and tuple(photo.alpha.shape) != (1, 1, *shape[2:]):
        raise ImageError(
            f"its alpha has the shape {tuple(photo.alpha.shape)}", hint=f"give {(1, 1, *shape[2:])}"
        )


def mode_of(photo: Photo, form: Format) -> str:
    """The Pillow mode of the format that preserves most of the photo."""
    alpha = "" if photo.alpha is None else "A"
    wanted = [f"L{alpha}", f"RGB{alpha}"] if photo.gray else [f"RGB{alpha}"]
    return next((mode for mode in wanted if mode in form.modes), "RGB")


def bits_of(photo: Photo, form: Format) -> Bits:
    """Bits per channel to write: the smaller of what photo and format have; uint8 photos have 8."""
    deepest = 8 if photo.color.dtype == torch.uint8 else photo.bits
    return min(deepest, form.bits)


def drawn(photo: Photo, mode: str, bits: Bits = 8) -> Image.Image:
    """The pixels as a Pillow image, without metadata."""
    found = pixels(photo, mode, bits)
    return Image.fromarray(found[..., 0] if found.shape[2] == 1 else found)


def bands(photo: Photo, mode: str, bits: Bits) -> Iterator[NDArray[Any]]:
    """Yield the pixels in bands of rows from the top, which avoids a second copy of the image."""
    height, width = photo.color.shape[-2:]
    count = max(1, png.BAND // width)
    for top in range(0, height, count):
        yield pixels(photo, mode, bits, slice(top, top + count))


def pixels(photo: Photo, mode: str, bits: Bits, rows: slice = slice(None)) -> NDArray[Any]:
    """(rows, W, C) contiguous levels; those of a channels_last photo that has them already are its own."""
    color = photo.color[:, :, rows]
    if photo.gray:
        same = color.dtype == torch.uint8 or bool((color == color[:, :1]).all())
        color = color[:, :1] if same else color.float().mean(1, keepdim=True)  # which rounds
    planes = [levels(color, bits)]
    if photo.gray and mode.startswith("RGB"):
        planes *= 3
    if photo.alpha is not None:
        planes.append(levels(photo.alpha[:, :, rows], bits))
    joined = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)
    return np.ascontiguousarray(joined[0].transpose(1, 2, 0))


def levels(plane: Tensor, bits: Bits) -> NDArray[Any]:
    """Convert values in [0, 1] to levels, rounded half up; 32 bits keeps them as floats. uint8 stays uint8.

    Raises:
        ImageError: a value is NaN or infinite.
    """
    if plane.dtype == torch.uint8:
        if bits == 8:
            return plane.cpu().numpy()
        plane = to_values(plane)
    if not torch.isfinite(plane).all():
        raise ImageError("some values are NaN or infinite", hint="if a model made them, run it in float32")
    values = plane.detach().to("cpu", torch.float32).clamp(0, 1)
    if bits == 32:
        return values.numpy()
    return values.mul_(2**bits - 1).add_(0.5).numpy().astype(np.uint8 if bits == 8 else np.uint16)


def with_palette(image: Image.Image) -> Image.Image:
    """An RGBA image with 255 colors, and one more for what is more transparent than opaque."""
    indices = image.convert("RGB").quantize(255)
    clear = image.getchannel("A").point(lambda level: 255 * (level < _HALF))
    indices.paste(255, mask=clear)
    indices.info["transparency"] = 255
    return indices


def is_partial(alpha: Tensor) -> bool:
    """Whether any pixel is neither opaque nor transparent."""
    found = levels(alpha, 8)
    return bool(((found > 0) & (found < 255)).any())
