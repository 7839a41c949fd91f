"""Convert the supported kinds of images: arrays, tensors, PIL images, files and their bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from restore.errors import ImageError, UsageError
from restore.images import Photo, from_pil, read, suffix_of, to_pil, write
from restore.levels import FULL, to_levels, to_values

__all__ = ["as_batch", "as_photo", "file_of", "from_values", "in_unit_range"]

# A restored image may overshoot a little; values up to 255, and those from -1 to 1, are other ranges.
_LOWEST, _HIGHEST = -0.5, 2.0


def as_photo(image: Any) -> tuple[Photo, Callable[[Photo], Any]]:
    """Any image but a tensor as a photo, and the function that makes the same kind of a result.

    Args:
        image: a `Photo`, a PIL image, the path of a file, the bytes of a file, or an array ``(H, W)`` or
            ``(H, W, C)`` of uint8, uint16 or floats in [0, 1], where C is 1 to 4: gray or RGB, each with
            alpha or without.

    Returns:
        The result of a path is a PIL image; that of bytes is a file in the same format, or PNG if that
        cannot be written.

    Raises:
        UsageError: it is none of these.
        ImageError: the file cannot be read.

    Example:
        >>> photo, back = as_photo(np.zeros((4, 6), np.uint8))
        >>> photo.gray, back(photo).shape
        (True, (4, 6))
    """
    match image:
        case Photo():
            return image, lambda photo: photo
        case Image.Image():
            return from_pil(image), to_pil
        case str() | PathLike():
            return read(Path(image)), to_pil
        case bytes() | bytearray() | memoryview():
            return _from_bytes(bytes(image))
        case np.ndarray():
            return _from_array(image)
    raise UsageError(
        f"cannot restore a {type(image).__name__}",
        hint="pass a path, the bytes of a file, a PIL image, a NumPy array or a tensor",
    )


def file_of(image: Any) -> Path | bytes | None:
    """The file of an image, or its content, from whose header more may be known than from its pixels."""
    match image:
        case str() | PathLike():
            return Path(image)
        case bytes() | bytearray() | memoryview():
            return bytes(image)
    return None


def as_batch(image: Tensor) -> Tensor:
    """``(3, H, W)`` or ``(B, 3, H, W)`` as ``(B, 3, H, W)``.

    Raises:
        UsageError: it has another shape, or no pixels.
    """
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
        raise UsageError(
            f"a tensor of shape {tuple(image.shape)} is not an image", hint="pass (3, H, W) or (B, 3, H, W)"
        )
    return image[None] if image.ndim == 3 else image


def in_unit_range(image: Tensor) -> Tensor:
    """Pixels of any numeric kind as floats in [0, 1]: integers are levels, floats are values already.

    Raises:
        UsageError: the type has no known range, floats are beyond it or not a number, or it is not dense.

    Example:
        >>> in_unit_range(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([0., 1.])
    """
    if image.layout != torch.strided or image.is_meta or image.is_quantized:
        kind = "meta" if image.is_meta else "quantized" if image.is_quantized else "sparse"
        raise UsageError(f"a {kind} tensor has no pixels to restore", hint="pass a dense tensor")
    if image.dtype in FULL:
        return to_values(image)
    if not image.dtype.is_floating_point or image.dtype.itemsize < 2:  # an 8-bit float is for weights
        raise UsageError(
            f"pixels of type {image.dtype} have no known range", hint="pass uint8, uint16 or floats in [0, 1]"
        )
    low, high = (float(value) for value in image.detach().aminmax()) if image.numel() else (0.0, 1.0)
    if math.isnan(low):
        raise UsageError(
            "floats are expected in [0, 1], but one is not a number", hint="replace NaN by a value"
        )
    if high > _HIGHEST:
        raise UsageError(
            f"floats are expected in [0, 1], but one is {high:g}", hint="divide by 255, or pass uint8"
        )
    if low < _LOWEST:
        raise UsageError(
            f"floats are expected in [0, 1], but one is {low:g}",
            hint="if they run from -1 to 1, pass (x + 1) / 2",
        )
    return image


def from_values(values: Tensor, like: torch.dtype) -> Tensor:
    """Values in [0, 1] as pixels of another type, rounded half up to levels.

    >>> from_values(torch.tensor([0.0, 0.5, 1.0]), torch.uint8)
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return to_levels(values, like) if like in FULL else values.to(like)


def _from_bytes(content: bytes) -> tuple[Photo, Callable[[Photo], bytes]]:
    # Through a file, as the command does: every format and bit depth then works in the same way.
    with TemporaryDirectory(prefix="restore-") as folder:
        source = Path(folder) / "image"
        source.write_bytes(content)
        try:
            photo, suffix = read(source), suffix_of(source)
        except ImageError as error:
            raise ImageError(error.problem, hint=error.hint) from error  # the file is not the caller's

    def encoded(restored: Photo) -> bytes:
        with TemporaryDirectory(prefix="restore-") as folder:
            result = Path(folder) / f"image{suffix}"
            write(restored, result)
            return result.read_bytes()

    return photo, encoded


def _from_array(array: NDArray[Any]) -> tuple[Photo, Callable[[Photo], NDArray[Any]]]:
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise UsageError(
            f"an array of shape {array.shape} is not an image",
            hint="pass (height, width) or (height, width, channels) with 1 to 4 channels",
        )
    # A copy where torch could not share the memory: of a read-only array, or in another byte order.
    native = np.require(np.atleast_3d(array), array.dtype.newbyteorder("="), ["C", "W"])
    try:
        pixels = torch.from_numpy(native).permute(2, 0, 1)[None]
    except TypeError as error:
        raise UsageError(
            f"pixels of type {array.dtype} have no known range", hint="pass uint8, uint16 or floats in [0, 1]"
        ) from error
    values = pixels if pixels.dtype == torch.uint8 else in_unit_range(pixels).float()
    color, alpha = (values[:, :-1], values[:, -1:]) if values.shape[1] % 2 == 0 else (values, None)
    gray = color.shape[1] == 1
    color = color.expand(1, 3, *color.shape[-2:])
    photo = Photo(color, alpha, gray=gray, bits=8 if pixels.dtype == torch.uint8 else 32)

    def back(restored: Photo) -> NDArray[Any]:
        planes = [restored.color[:, :1] if gray else restored.color]
        planes += [] if restored.alpha is None else [restored.alpha]
        result = torch.cat(planes, 1)[0].permute(1, 2, 0)
        result = result if result.dtype == torch.uint8 else from_values(result, pixels.dtype)
        return np.ascontiguousarray(result.numpy()).reshape(*result.shape[: array.ndim])

    return photo, back
