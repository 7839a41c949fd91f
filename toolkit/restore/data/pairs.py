"""Whole images with their degraded versions, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from restore.data.folders import find_images
from restore.degradation import crop_to_multiple
from restore.errors import DataError
from restore.images import read
from restore.interfaces import Degrade

__all__ = ["ImagePair", "pair", "pairs"]


@dataclass(frozen=True)
class ImagePair:
    """A whole image to be restored, and what it should become."""

    name: str
    degraded: Tensor
    """``(1, 3, H, W)`` float32."""
    target: Tensor
    """``(1, 3, scale*H, scale*W)`` float32."""
    gray: bool
    """The target's file has one channel."""
    degraded_file: Path | None = None
    """``None`` if the input was made of the target."""


def pairs(folder: Path, scale: int, degrade: Degrade, degraded: Path | None = None) -> Iterator[ImagePair]:
    """What `pair` gives for each image of a folder, in order of their names.

    Raises:
        DataError: a target has no partner, or a partner of the wrong size.
        ImageError: a file cannot be read.
    """
    for file in find_images([folder]):
        yield pair(folder, file, scale, degrade, degraded)


def pair(folder: Path, file: Path, scale: int, degrade: Degrade, degraded: Path | None = None) -> ImagePair:
    """A whole image with its degraded version.

    Args:
        folder: of the targets.
        file: a target below `folder`; it is cropped to a multiple of `scale`.
        scale: target pixels per input pixel.
        degrade: makes the input, unless `degraded` is given.
        degraded: a folder of inputs with the names of the targets.

    Raises:
        DataError: the target is smaller than the scale or has no partner, or one of the wrong size.
        ImageError: a file cannot be read.
    """
    photo = read(file)
    name = file.relative_to(folder).as_posix()
    try:
        target = crop_to_multiple(photo.color, scale)
    except ValueError as error:
        raise DataError(f"'{file}': {error}") from None
    if degraded is None:
        # In float64, so that rounding to 8 bits never depends on the order of a sum.
        return ImagePair(name, degrade(target.double()).float(), target, photo.gray)
    partner = _partner(degraded, name)
    return ImagePair(name, _read_partner(partner, target, scale), target, photo.gray, partner)


def _partner(folder: Path, name: str) -> Path:
    """The file in `folder` that has the name of the target, with any suffix."""
    file = folder / name
    if file.is_file():
        return file
    same = sorted(file.parent.glob(f"{_escape(file.stem)}.*")) if file.parent.is_dir() else []
    if len(same) != 1:
        raise DataError(f"there is no degraded image '{file}' for the target '{name}'")
    return same[0]


def _read_partner(file: Path, target: Tensor, scale: int) -> Tensor:
    degraded = read(file).color
    wanted = tuple(side // scale for side in target.shape[-2:])
    if tuple(degraded.shape[-2:]) != wanted:
        raise DataError(
            f"the degraded image '{file}' has {degraded.shape[-1]}x{degraded.shape[-2]} pixels, but at scale "
            f"{scale} its target asks for {wanted[1]}x{wanted[0]}"
        )
    return degraded


def _escape(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)
