"""Find the images in folders and check that they can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from restore.errors import DataError, ImageError, escaped
from restore.images import check, is_image_name

__all__ = ["check_images", "find_images", "usable"]

_NAMED = 3  # files that an error about many files names

_HINT = "check the path, or name the folder where the images are now"


def find_images(folders: Sequence[Path]) -> list[Path]:
    """All image files below `folders`, in the order of the folders and sorted within each; not hidden ones.

    Raises:
        DataError: a folder is missing or contains no image.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError("there is no such folder", path=folder, hint=_HINT)
        files = sorted(
            path
            for path in folder.rglob("*")
            if is_image_name(path) and path.is_file() and not _is_hidden(path.relative_to(folder))
        )
        if not files:
            raise DataError("there is no image in this folder", path=folder)
        found += files
    return found


def check_images(files: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """Check images without decoding them, where their format allows (see `restore.images.check`).

    Returns:
        File -> its width and height in pixels.

    Raises:
        DataError: files cannot be read; the first ones are named with their reasons.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    failures: dict[Path, ImageError] = {}
    for file in files:
        try:
            sizes[file] = check(file)
        except ImageError as error:
            failures[file] = error
    if failures:
        raise _unreadable(failures, len(files))
    return sizes


def usable(sizes: Mapping[Path, tuple[int, int]], patch: int) -> tuple[list[Path], list[Path]]:
    """Split images into those with both sides of at least `patch` pixels, and the smaller ones.

    Args:
        sizes: what `check_images` returned.
        patch: in pixels.

    Raises:
        DataError: none is large enough.
    """
    large = [file for file, size in sizes.items() if min(size) >= patch]
    if not large:
        raise DataError(
            f"none of the {len(sizes)} images has {patch} pixels on both sides, the largest has "
            f"{max(map(min, sizes.values()))}",
            hint="use a smaller `patch_size`",
        )
    return large, [file for file, size in sizes.items() if min(size) < patch]


def _unreadable(failures: dict[Path, ImageError], total: int) -> DataError:
    """One error about all images that cannot be read."""
    if len(failures) == 1:
        (error,) = failures.values()
        return DataError(error.problem, path=error.path, hint=error.hint)
    named = [f"{escaped(str(file))} ({error.problem})" for file, error in islice(failures.items(), _NAMED)]
    more = f" and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return DataError(
        f"{len(failures)} of {total} images cannot be read: {', '.join(named)}{more}",
        hint="replace them, or remove them from the folder",
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
