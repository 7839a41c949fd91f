"""Fingerprints of training images: whether a resumed run sees the images with which it started."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from restore.files import atomic_file, cache_folder

__all__ = ["fingerprint", "matches"]

Stamp = list[int]
"""What changes with a file: size, times of change of content and of inode in ns, inode."""


def fingerprint(files: Sequence[Path]) -> str:
    """Hash of the contents of `files` in their order, which together decide every training sample.

    Names and folders do not count. Each file is read once: its hash is kept in the user's cache until its
    size, times or inode change.

    Returns:
        32 hexadecimal digits.

    Raises:
        OSError: a file cannot be read.
    """
    cache = cache_folder() / "image-hashes" / f"{_of_text(str(file.absolute()) for file in files)}.json"
    known = _read(cache)
    digests: dict[str, tuple[Stamp, str]] = {}
    for file in files:
        name, stamp = str(file.absolute()), _stamp(file)
        before = known.get(name)
        digests[name] = before if before and before[0] == stamp else (stamp, _digest(file))
    if digests != known:
        with suppress(OSError), atomic_file(cache) as temporary:  # an optimization that may fail
            temporary.write_text(json.dumps(digests), encoding="utf-8")
    return _of_text(digests[str(file.absolute())][1] for file in files)


def matches(known: str, files: Sequence[Path], current: str) -> bool:
    """Whether `known`, from a checkpoint, is the fingerprint of `files`.

    Args:
        known: what `fingerprint` returned, or the fingerprint of version 0.1, which is shorter.
        files: the images now.
        current: their fingerprint now.
    """
    return known in (current, _of_names_and_sizes(files))


def _of_names_and_sizes(files: Sequence[Path]) -> str:
    lines = sorted(f"{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _of_text(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(cache: Path) -> dict[str, tuple[Stamp, str]]:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        return {name: (list(stamp), str(digest)) for name, (stamp, digest) in content.items()}
    return {}
