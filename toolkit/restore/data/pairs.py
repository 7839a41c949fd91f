"""Whole images with their degraded versions, for evaluation and validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from restore.data.degradations import Degradation, generator_of
from restore.data.folders import find_images
from restore.degradation import crop_to_multiple
from restore.errors import DataError, escaped
from restore.images import is_image_name, read
from restore.interfaces import Parameters

__all__ = ["ImagePair", "find_degraded", "pair", "pairs"]


@dataclass(frozen=True)
class ImagePair:
    """A whole image to be restored, and its target."""

    name: str
    degraded: Tensor
    """``(1, 3, H, W)`` float32."""
    target: Tensor
    """``(1, 3, scale*H, scale*W)`` float32."""
    gray: bool
    """Whether the file of the target has one channel."""
    degraded_file: Path | None = None
    """``None`` if the input was made from the target."""
    parameters: Parameters = field(default_factory=dict)
    """What a random degradation drew."""


def pairs(folder: Path, degradation: Degradation, degraded: Path | None = None) -> Iterator[ImagePair]:
    """The `pair` of each image of a folder, in the order of their names.

    Raises:
        DataError: a target has no degraded image, or one of the wrong size.
        ImageError: a file cannot be read.
    """
    for file in find_images([folder]):
        yield pair(folder, file, degradation, degraded)


def pair(
    folder: Path, file: Path, degradation: Degradation, degraded: Path | None = None, *, seed: int = 0
) -> ImagePair:
    """A whole image with its degraded version.

    What a random degradation draws depends on `seed` and the name of the image alone, so that every model
    sees the same input in every run.

    Args:
        folder: of the targets.
        file: a target below `folder`; it is cropped to a multiple of the scale.
        degradation: makes the input, unless `degraded` is given.
        degraded: a folder of inputs, named after the targets; see `find_degraded`.
        seed: of the random numbers; every evaluation uses 0.

    Raises:
        DataError: the target is smaller than the scale, or has no degraded image, or one of the wrong size.
        ImageError: a file cannot be read.
    """
    photo = read(file)
    name = file.relative_to(folder).as_posix()
    try:
        target = crop_to_multiple(photo.color, degradation.scale)
    except ValueError as error:
        raise DataError(str(error), path=file) from None
    if degraded is None:
        # In float64, so that rounding to 8 bits never depends on the order of a sum.
        made = degradation(target.double(), generator_of(seed, name))
        return ImagePair(name, made.image.float(), target, photo.gray, parameters=made.parameters[0])
    found = find_degraded(degraded, name, degradation.scale)
    return ImagePair(name, _read_degraded(found, target, degradation.scale), target, photo.gray, found)


def find_degraded(folder: Path, name: str, scale: int) -> Path:
    """The degraded image of a target, with any suffix of an image file.

    It may have the name of the target, ``0801.png``, or that of DIV2K, ``0801x4.png`` (``0801x4m.png`` and
    ``0801x4d.png`` in its harder tracks), or of other data sets and programs: ``0801_x4.png``,
    ``0801-x4.png``, ``0801_LR.png``, ``0801_lr.png``, ``0801_LRBI_x4.png``, ``0801_LR_x4.png``.

    Args:
        folder: of the degraded images.
        name: path of the target below its own folder.
        scale: target pixels per input pixel.

    Raises:
        DataError: there is none, or more than one.
    """
    wanted = folder / name
    if wanted.is_file():
        return wanted
    stems = [
        wanted.stem,
        *(
            f"{wanted.stem}{tail}"
            for tail in (f"x{scale}", f"_x{scale}", f"-x{scale}", f"x{scale}m", f"x{scale}d")
        ),
        *(f"{wanted.stem}{tail}" for tail in ("_LR", "_lr", f"_LRBI_x{scale}", f"_LR_x{scale}")),
    ]
    for stem in stems:
        if (file := wanted.with_name(f"{stem}{wanted.suffix}")).is_file():
            return file
    there: dict[str, list[Path]] = {}
    if wanted.parent.is_dir():
        for file in sorted(wanted.parent.iterdir()):
            if is_image_name(file) and file.is_file():
                there.setdefault(file.stem, []).append(file)
    for stem in stems:
        if len(found := there.get(stem, [])) == 1:
            return found[0]
        if found:
            both = " and ".join(escaped(file.name) for file in found[:2])
            raise DataError(f"{both} are both named after the target '{escaped(name)}'", path=wanted.parent)
    tried = ", ".join(escaped(f"{stem}{wanted.suffix}") for stem in stems)
    raise DataError(
        f"there is no degraded image for the target '{escaped(name)}'; tried {tried}",
        path=wanted.parent,
        hint="rename the degraded images like their targets",
    )


def _read_degraded(file: Path, target: Tensor, scale: int) -> Tensor:
    degraded = read(file).color
    height, width = (side // scale for side in target.shape[-2:])
    if tuple(degraded.shape[-2:]) != (height, width):
        raise DataError(
            f"the degraded image has {degraded.shape[-1]}x{degraded.shape[-2]} pixels, but at scale {scale} "
            f"its target needs {width}x{height}",
            path=file,
        )
    return degraded
