"""A small file next to results: what made those whose format has no place to say so.

One JSON object per line; the last one of a name counts, and damaged lines do not. A line is added before its
result is moved into place, with the hash of the result: whichever of the two a kill prevents, no result is
taken for something that it is not.

A folder may come from somebody else, with anything under the name of the record. It is opened without
following links, and used only if it is a regular file of bounded size with this name alone.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from restore.errors import ImageError
from restore.files import sha256, to_line
from restore.images import Provenance, read_provenance

__all__ = ["RECORD", "Records", "UnusableRecordError", "remember"]

RECORD = ".restore.jsonl"

_LARGEST = 2**27  # bytes of a record: about 200,000 results
_LONGEST = 2**16  # bytes of a line


class UnusableRecordError(ImageError):
    """The record of a folder is a link, no regular file, or too large."""


class Records:
    """Looks up the provenance of files in the records of their folders. Not thread-safe."""

    def __init__(self) -> None:
        self._folders: dict[Path, _Folder] = {}

    def made(self, file: Path) -> Provenance | None:
        """What made `file`; `None` if that is unknown, or the file was changed since or is a link."""
        if file.is_symlink():  # it may lead out of the folder
            return None
        # The record comes first: what a copy of a result says of itself is about the result that was copied.
        return self._recorded(file) or read_provenance(file)

    def _recorded(self, file: Path) -> Provenance | None:
        folder = self._folders.setdefault(file.parent, _Folder(file.parent / RECORD))
        entry = folder.entry(file.name)
        if entry is None:
            return None
        digest, provenance = entry
        try:
            return provenance if file.is_file() and sha256(file) == digest else None
        except OSError:
            return None


def remember(file: Path, name: str, provenance: Provenance) -> None:
    """Record what made `file`, which will be called `name` in the same folder.

    Raises:
        UnusableRecordError: the record cannot be used.
        OSError: the disk refuses.
    """
    entry = {"file": name, "sha256": sha256(file), "provenance": provenance.to_text()}
    with _opened(file.parent / RECORD, os.O_RDWR | os.O_CREAT | os.O_APPEND, "r+b") as record:
        # In one piece, so that lines of several processes do not mix.
        record.write(_separator(record) + to_line(entry).encode("utf-8", "surrogateescape"))
        os.fsync(record.fileno())


@contextmanager
def _opened(path: Path, flags: int, mode: str) -> Iterator[IO[bytes]]:
    """Open a record file unbuffered, after checking that it is safe to use."""
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise _unusable(path, "a symbolic link")
    try:
        descriptor = os.open(path, flags, 0o666)
    except IsADirectoryError:
        raise _unusable(path, "not a regular file") from None
    except PermissionError:
        if not path.exists():  # the folder refuses results, too
            raise
        raise _unusable(path, "not readable and writable") from None
    with open(descriptor, mode, buffering=0) as record:  # noqa: PTH123 - a descriptor
        status = os.fstat(record.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "not a regular file")
        if status.st_nlink > 1:
            raise _unusable(path, "a hard link")
        if status.st_size > _LARGEST:
            raise _unusable(path, f"larger than {_LARGEST // 2**20} MiB")
        yield record


def _unusable(path: Path, reason: str) -> UnusableRecordError:
    return UnusableRecordError(
        f"the record of results is {reason}", path=path, hint="remove it, so that a new one can be made"
    )


def _separator(record: IO[bytes]) -> bytes:
    """A line break, if the last line was cut short."""
    if not record.seek(0, os.SEEK_END):
        return b""
    record.seek(-1, os.SEEK_END)
    return b"" if record.read(1) == b"\n" else b"\n"


class _Folder:
    """The record of one folder; only appended lines are read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[str, Provenance]] = {}
        self._end = 0

    def entry(self, name: str) -> tuple[str, Provenance] | None:
        """SHA-256 and provenance of a file."""
        try:
            with _opened(self._path, os.O_RDONLY, "rb") as record:
                if record.seek(0, os.SEEK_END) < self._end:  # it was replaced
                    self._end = 0
                    self._entries.clear()
                record.seek(self._end)
                self._read(record)
        except (OSError, UnusableRecordError):
            return None
        return self._entries.get(name)

    def _read(self, record: IO[bytes]) -> None:
        content = record.read(_LARGEST) or b""
        whole = content.rfind(b"\n") + 1
        self._end += whole
        for line in content[:whole].splitlines():
            if len(line) <= _LONGEST:
                self._add(line)

    def _add(self, line: bytes) -> None:
        try:
            content = json.loads(line.decode("utf-8", "surrogateescape"))
            name, digest, text = content["file"], content["sha256"], content["provenance"]
            provenance = Provenance.from_text(text)
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if provenance and isinstance(name, str) and isinstance(digest, str):
            self._entries[name] = (digest, provenance)
