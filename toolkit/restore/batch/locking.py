"""Who works on which result, when several processes work on one folder.

A result is claimed by a lock of the operating system on a file beside it, which ends with its process however
that ends: there is no stale claim to tell from a live one. The file itself and what a killed process had not
finished bear the key of the result in their names, and are removed by whoever claims it next.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from restore.files import PREFIX, move_into_place

__all__ = ["Claim", "claim", "folded", "sweep"]

_OURS = re.compile(rf"{re.escape(PREFIX)}([0-9a-f]{{16}})[.-]")


class Claim:
    """The right to make one result, until it is released or the process ends."""

    def __init__(self, destination: Path, lock: FileLock, made: list[Path]) -> None:
        self._destination = destination
        self._lock = lock
        self.made = made
        """Folders that were missing, from the top."""
        self.temporary = destination.with_name(f"{PREFIX}{_key(destination)}{destination.suffix}")
        """Where to write before the result is moved into place."""

    def publish(self) -> None:
        """Make what was written the result.

        Raises:
            OSError: the disk refuses.
        """
        move_into_place(self.temporary, self._destination)

    def release(self) -> None:
        """Let others have it."""
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)
        _release(self._lock)


def claim(destination: Path) -> Claim | None:
    """Claim a result, making its folder; ``None`` while another process has it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder = destination.parent
    made: list[Path] = []
    for _ in range(100):  # another process that found nothing to do may remove the folder again
        with suppress(FileNotFoundError):
            made = _make(folder)
            lock = _locked(folder, _key(destination))
            return Claim(destination, lock, made) if lock else None
    raise FileNotFoundError(2, "it is removed again and again", str(folder))


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder of results; what is being worked on stays."""
    with suppress(OSError):
        _sweep(folder)


def folded(path: Path) -> str:
    """Equal for two paths that are one file on some system: case and the way of writing accents are gone."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def _sweep(folder: Path) -> None:
    found: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if (ours := _OURS.match(entry.name)) and entry.is_file(follow_symlinks=False):
                found.setdefault(ours[1], []).append(Path(entry.path))
    for key, files in found.items():
        if lock := _locked(folder, key):
            for file in files:
                if file.suffix != ".lock":
                    file.unlink(missing_ok=True)
            _release(lock)


def _key(destination: Path) -> str:
    """16 hexadecimal digits for a name, of any length and in any script."""
    name = unicodedata.normalize("NFC", destination.name).casefold()
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _make(folder: Path) -> list[Path]:
    """The folders that were missing, from the top."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _locked(folder: Path, key: str) -> FileLock | None:
    # Claimed in the thread that reads and released in the one that writes.
    lock = FileLock(folder / f"{PREFIX}{key}.lock", thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _release(lock: FileLock) -> None:
    # While it is held: the library checks that the file which it locked is still the one of that name.
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
    with suppress(OSError):
        lock.release()
