"""Stream several files as one ZIP archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from itertools import count
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
    """Yield the names, numbering repeated ones; a number that makes another of the names is left out.

    >>> list(unique(["a.png", "b.png", "A.png", "a.png", "a (2).png"]))
    ['a.png', 'b.png', 'A (3).png', 'a (4).png', 'a (2).png']
    """
    given = list(names)
    taken = {name.casefold() for name in given}
    numbers: dict[str, Iterator[int]] = {}
    for name in given:
        key, path = name.casefold(), PurePosixPath(name)
        if key not in numbers:
            numbers[key] = count(2)
            yield name
            continue
        candidates = (f"{path.stem} ({number}){path.suffix}" for number in numbers[key])
        found = next(candidate for candidate in candidates if candidate.casefold() not in taken)
        taken.add(found.casefold())
        yield found
