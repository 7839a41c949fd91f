"""Stream several files as one ZIP archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

__all__ = ["archive", "unique"]

_CHUNK = 2**20


class _Sink:
    """Collect what the archive writes until it is sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Do nothing."""

    def taken(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def archive(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield the archive piece by piece. Images are stored as they are: they are compressed already.

    A file that has been removed meanwhile is left out.

    Args:
        files: the name in the archive and the file of each.
    """
    sink = _Sink()
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_STORED) as written:
        for name, file in files:
            if not file.is_file():
                continue
            info = zipfile.ZipInfo.from_file(file, name)
            info.external_attr = 0o644 << 16
            with file.open("rb") as source, written.open(info, "w", force_zip64=True) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield sink.taken()
    yield sink.taken()


def unique(names: Iterable[str]) -> Iterator[str]:
    """Yield the names, numbering repeated ones.

    >>> list(unique(["a.png", "b.png", "A.png"]))
    ['a.png', 'b.png', 'A (2).png']
    """
    seen: dict[str, int] = {}
    for name in names:
        path, count = PurePosixPath(name), seen.get(name.casefold(), 0) + 1
        seen[name.casefold()] = count
        yield name if count == 1 else f"{path.stem} ({count}){path.suffix}"
