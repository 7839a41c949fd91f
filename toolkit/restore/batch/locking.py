"""Locks on results, for several processes that work on one folder.

A result is claimed by a lock of the operating system on a file next to it, which ends with its process,
however that ends: no claim is ever stale. The lock file, which says who holds it, and what a killed process
had not finished carry the key of the result in their names; the next process that claims it removes them.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import unicodedata
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from restore.errors import escaped
from restore.files import PREFIX, move_into_place, remove_link

__all__ = ["Claim", "claim", "folded", "holder", "sweep"]

_LONGEST = 1024  # bytes that are read of a lock file
_UNFINISHED = re.compile(rf"{re.escape(PREFIX)}([0-9a-f]{{16}})[.-]")


class Claim:
    """An exclusive lock on one result, until it is released or the process ends."""

    def __init__(self, destination: Path, lock: FileLock, made: list[Path]) -> None:
        self._destination = destination
        self._lock = lock
        self.made = made
        """Folders that were missing, from the top."""
        self.temporary = destination.with_name(f"{PREFIX}{_key(destination)}{destination.suffix}")
        """Where to write before the result is moved into place."""

    def publish(self) -> None:
        """Move what was written into the place of the result.

        Raises:
            OSError: the disk refuses.
        """
        move_into_place(self.temporary, self._destination)

    def release(self) -> None:
        """Release the lock, and remove what was not published."""
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)
        _release(self._lock)


def claim(destination: Path) -> Claim | None:
    """Claim a result and make its folder; `None` while another process has it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder = destination.parent
    made: list[Path] = []
    for _ in range(100):  # another process that found nothing to do may remove the folder again
        with suppress(FileNotFoundError):
            made = _make(folder)
            lock = _locked(folder, _key(destination))
            return _unlinked(Claim(destination, lock, made)) if lock else None
    raise FileNotFoundError(2, "another process keeps removing the folder", str(folder))


def _unlinked(claimed: Claim) -> Claim:
    """Return the claim after removing any link at the path of its temporary file."""
    try:
        remove_link(claimed.temporary)
    except OSError:
        claimed.release()
        raise
    return claimed


def holder(destination: Path) -> str:
    """The process that holds the lock on a result, such as ``process 1234 on this-machine``."""
    file = destination.with_name(f"{PREFIX}{_key(destination)}.lock")
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as content:  # noqa: PTH123 - a descriptor
            text = content.read(_LONGEST).decode("utf-8", "replace")
    except OSError:  # it was released just now, or the system does not let others read it
        return "another process"
    process, host = [*text.split("\n"), "", ""][:2]
    return f"process {process} on {escaped(host)}" if process.isdecimal() else "another process"


def sweep(folder: Path) -> None:
    """Remove the leftovers of killed processes from a folder; files that are in use stay."""
    with suppress(OSError):
        _sweep(folder)


def folded(path: Path) -> str:
    """A path without case and composition of accents: equal for two that are one file on some system."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def _sweep(folder: Path) -> None:
    found: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if (found_key := _UNFINISHED.match(entry.name)) and entry.is_file(follow_symlinks=False):
                found.setdefault(found_key[1], []).append(Path(entry.path))
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
    file = folder / f"{PREFIX}{key}.lock"
    remove_link(file)
    # Claimed in the thread that reads and released in the one that writes.
    lock = FileLock(file, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    with suppress(OSError):
        _sign(file)
    return lock


def _sign(file: Path) -> None:
    """Write who holds the lock, in the form that the library uses where it cannot lock but only mark."""
    handle = os.open(file, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    with open(handle, "r+b") as content:  # noqa: PTH123 - a descriptor
        process = f"{os.getpid()}\n"
        if not content.read(_LONGEST).startswith(process.encode()):
            content.seek(0)
            content.truncate()
            content.write(f"{process}{socket.gethostname()}\n".encode("utf-8", "replace"))


def _release(lock: FileLock) -> None:
    # While it is held: the library checks that the file which it locked is still the one of that name.
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
    with suppress(OSError):
        lock.release()
