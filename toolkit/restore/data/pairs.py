"""Whole images with their degraded versions, for evaluation and validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from restore.data.degradations import Degradation, generator_of
from restore.data.folders import check_images, find_images
from restore.degradation import crop_to_multiple
from restore.errors import DataError, escaped
from restore.images import is_image_name, read
from restore.interfaces import Parameters

__all__ = ["ImagePair", "find_degraded", "find_pairs", "pair", "pairs"]


_TAILS = (
    *("", "x{0}", "_x{0}", "-x{0}", "x{0}m", "x{0}d"),
    *("_LR", "_lr", "_LRBI_x{0}", "_LR_x{0}", "_LR{0}"),
)
"""What the stem of a degraded image may have after that of its target; ``{0}`` is the scale."""


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


def find_pairs(
    targets: Path, degraded: Path, scale: int
) -> tuple[dict[Path, Path], dict[Path, tuple[int, int]]]:
    """Each image of a folder with its degraded image, checked without decoding them.

    Args:
        targets: folder of the targets, searched recursively.
        degraded: folder of their degraded images; see `find_degraded` for their names.
        scale: target pixels per input pixel.

    Returns:
        Target -> its degraded image, and target -> its width and height.

    Raises:
        DataError: a folder is missing or has no image, a file cannot be read, or a target has no degraded
            image, more than one, or one of the wrong size.
    """
    if not degraded.is_dir():
        raise DataError("there is no such folder", path=degraded)
    found, failures = dict[Path, Path](), list[DataError]()
    listings: dict[Path, dict[str, list[Path]]] = {}
    for file in find_images([targets]):
        try:
            name = file.relative_to(targets).as_posix()
            found[file] = find_degraded(degraded, name, scale, listings)
        except DataError as error:
            failures.append(error)
    _raise_first(failures, "targets have none")
    sizes = check_images([*found, *found.values()])
    wrong = [
        _wrong_size(other, sizes[other], sizes[file], scale)
        for file, other in found.items()
        if not _fits(sizes[other], sizes[file], scale)
    ]
    _raise_first(wrong, "images have a wrong size")
    return found, {file: sizes[file] for file in found}


def find_degraded(
    folder: Path, name: str, scale: int, listings: dict[Path, dict[str, list[Path]]] | None = None
) -> Path:
    """The degraded image of a target, with any suffix of an image file.

    It may have the name of the target, ``0801.png``, or that of DIV2K, ``0801x4.png`` (``0801x4m.png`` and
    ``0801x4d.png`` in its harder tracks), or of other data sets and programs: ``0801_x4.png``,
    ``0801-x4.png``, ``0801_LR.png``, ``0801_lr.png``, ``0801_LRBI_x4.png``, ``0801_LR_x4.png``. Of a target
    ``0801_HR.png``, ``_HR`` may be missing or replaced, as in RealSR's ``0801_LR4.png``.

    Args:
        folder: of the degraded images.
        name: path of the target below its own folder.
        scale: target pixels per input pixel.
        listings: what was found in folders, for many calls on one folder; filled on demand.

    Raises:
        DataError: there is none, or more than one.
    """
    wanted = folder / name
    if wanted.is_file():
        return wanted
    starts = (wanted.stem, wanted.stem.removesuffix("_HR").removesuffix("_hr"))
    stems = list(dict.fromkeys(f"{start}{tail.format(scale)}" for start in starts for tail in _TAILS))
    for stem in stems:
        if (file := wanted.with_name(f"{stem}{wanted.suffix}")).is_file():
            return file
    known = {} if listings is None else listings
    if wanted.parent not in known:
        known[wanted.parent] = _by_stem(wanted.parent)
    there = known[wanted.parent]
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


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The images of a folder by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_image_name(file) and file.is_file():
            found.setdefault(file.stem, []).append(file)
    return found


def _read_degraded(file: Path, target: Tensor, scale: int) -> Tensor:
    degraded = read(file).color
    size, whole = ((image.shape[-1], image.shape[-2]) for image in (degraded, target))
    if not _fits(size, whole, scale):
        raise _wrong_size(file, size, whole, scale)
    return degraded


def _fits(size: tuple[int, int], target: tuple[int, int], scale: int) -> bool:
    return size == (target[0] // scale, target[1] // scale)


def _raise_first(errors: Sequence[DataError], summary: str) -> None:
    """Raise the first error, with the number of all."""
    if errors:
        first = errors[0]
        more = f"; in all, {len(errors)} {summary}" if len(errors) > 1 else ""
        raise DataError(f"{first.problem}{more}", path=first.path, hint=first.hint)


def _wrong_size(file: Path, size: tuple[int, int], target: tuple[int, int], scale: int) -> DataError:
    wanted = "x".join(str(side // scale) for side in target)
    return DataError(
        f"the degraded image has {size[0]}x{size[1]} pixels, but at scale {scale} its target needs {wanted}",
        path=file,
    )
