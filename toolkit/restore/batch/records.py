"""A small file beside results: what made those that cannot tell it themselves.

One JSON object a line; the last one of a name counts, and lines that are damaged do not. A line is added
before its result is moved into place, with the hash of the result: whichever of the two a kill prevents, no
result is taken for something that it is not.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from restore.files import to_line
from restore.images import Provenance, read_provenance

__all__ = ["RECORD", "Records", "digest", "remember"]

RECORD = ".restore.jsonl"


class Records:
    """What made the files in any folder. For one thread."""

    def __init__(self) -> None:
        self._folders: dict[Path, _Folder] = {}

    def made(self, file: Path) -> Provenance | None:
        """What made `file`; ``None`` if that is not known, or the file was changed since."""
        if found := read_provenance(file):
            return found
        folder = self._folders.setdefault(file.parent, _Folder(file.parent / RECORD))
        entry = folder.entry(file.name)
        if entry is None:
            return None
        sha256, provenance = entry
        try:
            return provenance if file.is_file() and digest(file) == sha256 else None
        except OSError:
            return None


def remember(file: Path, name: str, provenance: Provenance) -> None:
    """Record what made `file`, which will be `name` in the same folder.

    Raises:
        OSError: the disk refuses.
    """
    entry = {"file": name, "sha256": digest(file), "provenance": provenance.to_text()}
    path = file.parent / RECORD
    # In one piece, so that lines of several processes do not mix.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(handle, "ab", buffering=0) as record:
        record.write(_separator(path) + to_line(entry).encode("utf-8", "surrogateescape"))
        os.fsync(record.fileno())


def digest(file: Path) -> str:
    """SHA-256 of the bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _separator(path: Path) -> bytes:
    """A line break, if a line was cut short."""
    with path.open("rb") as record:
        if not record.seek(0, os.SEEK_END):
            return b""
        record.seek(-1, os.SEEK_END)
        return b"" if record.read() == b"\n" else b"\n"


class _Folder:
    """The record of one folder, of which only what is new is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[str, Provenance]] = {}
        self._end = 0

    def entry(self, name: str) -> tuple[str, Provenance] | None:
        """SHA-256 and provenance of a file."""
        try:
            with self._path.open("rb") as record:
                if record.seek(0, os.SEEK_END) < self._end:  # it was replaced
                    self._end = 0
                    self._entries.clear()
                record.seek(self._end)
                for line in record:
                    if not line.endswith(b"\n"):
                        break
                    self._end += len(line)
                    self._add(line)
        except OSError:
            return None
        return self._entries.get(name)

    def _add(self, line: bytes) -> None:
        try:
            content = json.loads(line.decode("utf-8", "surrogateescape"))
            name, sha256, text = content["file"], content["sha256"], content["provenance"]
            provenance = Provenance.from_text(text)
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if provenance and isinstance(name, str) and isinstance(sha256, str):
            self._entries[name] = (sha256, provenance)
