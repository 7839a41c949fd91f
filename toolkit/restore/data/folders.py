"""Folders of images: which files they hold, and whether those can be read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from restore.errors import DataError, ImageError
from restore.images import check, is_image_name

__all__ = ["check_images", "find_images", "fingerprint", "usable"]

_NAMED = 3  # files that a sentence about many names


def find_images(folders: Sequence[Path]) -> list[Path]:
    """All image files below `folders`, sorted, hidden ones left out.

    Raises:
        DataError: a folder is missing or holds no image.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"there is no folder '{folder}'")
        files = sorted(
            path
            for path in folder.rglob("*")
            if is_image_name(path) and path.is_file() and not _is_hidden(path.relative_to(folder))
        )
        if not files:
            raise DataError(f"there is no image in the folder '{folder}'")
        found += files
    return found


def fingerprint(files: Sequence[Path]) -> str:
    """A short hash of the names and sizes of `files`: tells whether two runs saw the same data."""
    lines = sorted(f"{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def check_images(files: Sequence[Path]) -> dict[Path, int]:
    """The short side in pixels of each image, none of which is seen to be damaged.

    Looks at the header and the end of each file only, where its format allows (`restore.images.check`).

    Raises:
        DataError: names the files that cannot be read, with their reasons.
    """
    sides: dict[Path, int] = {}
    failures: dict[Path, str] = {}
    for file in files:
        try:
            sides[file] = min(check(file))
        except ImageError as error:
            failures[file] = str(error)
    if failures:
        raise DataError(_unreadable(failures, len(files)))
    return sides


def usable(files: Sequence[Path], patch: int) -> tuple[list[Path], list[Path]]:
    """Split `files` into those with both sides >= `patch` pixels, and those that are too small.

    Raises:
        DataError: files cannot be read, or none is large enough.
    """
    sides = check_images(files)
    large = [file for file, side in sides.items() if side >= patch]
    if not large:
        raise DataError(
            f"none of the {len(files)} images has {patch} pixels on both sides, the largest has "
            f"{max(sides.values())}: use a smaller --patch-size"
        )
    return large, [file for file, side in sides.items() if side < patch]


def _unreadable(failures: dict[Path, str], total: int) -> str:
    """One sentence about all images that cannot be read."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    reasons = {file: reason.removeprefix(f"cannot read '{file}': ") for file, reason in failures.items()}
    named = [f"'{file}' ({reason})" for file, reason in islice(reasons.items(), _NAMED)]
    more = f" and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return (
        f"{len(failures)} of {total} images cannot be read: {', '.join(named)}{more}; replace them, or take "
        "them out of the folder"
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
