"""All estimates of a picture at once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from torch import Tensor

from restore.estimation.blur import blur_width
from restore.estimation.enlargement import enlargement_factor
from restore.estimation.jpeg_pixels import jpeg_from_pixels
from restore.estimation.jpeg_tables import jpeg_from_file
from restore.estimation.noise import noise_level
from restore.estimation.results import Estimate
from restore.images import Photo

__all__ = ["estimate"]

_ALL = ("jpeg", "noise", "blur", "enlarged")


def estimate(
    picture: Photo | Tensor, file: Path | bytes | None = None, only: Collection[str] = _ALL
) -> Estimate:
    """Estimate compression, noise, blur and an earlier enlargement of a picture.

    Args:
        picture: a photo, or its colors: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.
        file: where it was read from, or the file's content; if that is a JPEG file, the quality is read from
            its tables, otherwise it is estimated from the pixels.
        only: what to estimate, some of "jpeg", "noise", "blur" and "enlarged"; the others become ``None``.
            Noise and enlargement need "jpeg" where a picture may be compressed.

    Raises:
        ImageError: `file` cannot be read.
        ValueError: `picture` is not one picture of three channels.

    >>> import torch
    >>> estimate(torch.full((3, 128, 128), 0.5)).degradations
    ()
    """
    image = picture.color if isinstance(picture, Photo) else picture
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or (image.ndim == 4 and len(image) != 1):
        raise ValueError(f"one picture of three channels is needed, not {tuple(image.shape)}")
    image = image.detach().cpu().reshape(image.shape[-3:])
    jpeg = None
    if "jpeg" in only:
        jpeg = (jpeg_from_file(file) if file is not None else None) or jpeg_from_pixels(image)
    return Estimate(
        jpeg=jpeg,
        noise=noise_level(image, jpeg=jpeg) if "noise" in only else None,
        blur=blur_width(image) if "blur" in only else None,
        enlarged=enlargement_factor(image, jpeg_grid=jpeg is not None) if "enlarged" in only else None,
    )
