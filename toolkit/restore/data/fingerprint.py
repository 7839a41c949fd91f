"""Fingerprint training images, to detect changes between runs, and find truncated ones.

Each file is read once for it: the answer is kept in the user's cache until size, times or inode change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from restore.files import atomic_file, cache_folder, sha256
from restore.images import is_cut_off

__all__ = ["combined", "cut_off_images", "fingerprint", "matches"]

Stamp = list[int]
"""What changes with a file: size, times of change of content and of inode in ns, inode."""


def fingerprint(files: Sequence[Path]) -> str:
    """Hash of the contents of `files` in their order, which together decide every training sample.

    Names and folders do not count.

    Returns:
        32 hexadecimal digits.

    Raises:
        OSError: a file cannot be read.
    """
    return _of_text(_of_each(files, "image-hashes", sha256))


def cut_off_images(files: Sequence[Path]) -> list[Path]:
    """Those of `files` that are JPEGs of which a part is missing; see `restore.images.is_cut_off`.

    Raises:
        OSError: a file cannot be read.
    """
    answers = _of_each(files, "cut-off-images", lambda file: str(is_cut_off(file)))
    return [file for file, answer in zip(files, answers, strict=True) if answer == str(True)]


def combined(fingerprints: Sequence[str]) -> str:
    """The fingerprint of several groups of images; that of a single one is its own."""
    return fingerprints[0] if len(fingerprints) == 1 else _of_text(fingerprints)


def matches(known: str, files: Sequence[Path], current: str) -> bool:
    """Whether `known`, from a checkpoint, is the fingerprint of `files`.

    Args:
        known: what `fingerprint` returned, or the fingerprint of version 0.1, which is shorter.
        files: the images now.
        current: their fingerprint now.
    """
    return known in (current, _of_names_and_sizes(files))


def _of_each(files: Sequence[Path], name: str, answer: Callable[[Path], str]) -> list[str]:
    """`answer` of each file, from the cache of this name where the file has not changed since."""
    cache = cache_folder() / name / f"{_of_text(str(file.absolute()) for file in files)}.json"
    known = _read(cache)
    answers: dict[str, tuple[Stamp, str]] = {}
    for file in files:
        place, stamp = str(file.absolute()), _stamp(file)
        before = known.get(place)
        answers[place] = before if before and before[0] == stamp else (stamp, answer(file))
    if answers != known:
        with suppress(OSError), atomic_file(cache) as temporary:  # an optimization that may fail
            temporary.write_text(json.dumps(answers), encoding="utf-8")
    return [answers[str(file.absolute())][1] for file in files]


def _of_names_and_sizes(files: Sequence[Path]) -> str:
    lines = sorted(f"{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _of_text(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(cache: Path) -> dict[str, tuple[Stamp, str]]:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        return {name: (list(stamp), str(digest)) for name, (stamp, digest) in content.items()}
    return {}
