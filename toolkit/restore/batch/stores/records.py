"""Records of finished results in a store: small files next to them, held in 24 bytes per result.

Each run writes files of its own, so that no run waits for another. A line is about one result: its name, its
identity in listings, and a stamp of what it was made of and how. A result is done if the listing shows the
identity of a line with the wanted stamp, which takes no request per result.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import uuid
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.batch.stores.access import Entry, Store, put
from restore.batch.urls import Url
from restore.files import to_line

__all__ = ["FOLDER", "Done", "RecordWriter", "State"]

FOLDER = ".restore"
"""Of the records, in the folder of the results."""

_EVERY = 10.0  # seconds between two files of a run: what the loss of the client can cost

State = Literal["missing", "done", "outdated", "unknown"]
"""What is known of a result; see `Done.state`."""


class Done:
    """The existing results with their records.

    Args:
        results: the results that exist.
        records: of the same folder.
    """

    def __init__(self, results: Iterable[Entry], records: Iterable[bytes]) -> None:
        names, identities = array("Q"), array("Q")
        for entry in results:
            names.append(_hash(entry.name))
            identities.append(_hash(entry.identity))
        order = np.argsort(np.array(names), kind="stable")
        self._names, self._identities = np.array(names)[order], np.array(identities)[order]
        del names, identities, order
        stamped, made = array("Q"), array("Q")
        for line in records:
            try:
                found = json.loads(line)
                name, identity, stamp = found["file"], found["identity"], found["stamp"]
            except (ValueError, TypeError, KeyError):
                continue  # cut short
            stamped.append(_hash(f"{name}\0{_hash(identity)}\0{stamp}"))
            made.append(_hash(f"{name}\0{_hash(identity)}"))
        self._stamped, self._made = _sorted(stamped), _sorted(made)

    def state(self, name: str, stamp: str) -> State:
        """Whether a result is up to date.

        Args:
            name: of the result.
            stamp: of what it would be made of now, and how.

        Returns:
            ``outdated`` if this program made it of something else or otherwise; ``unknown`` if no record
            says who made it.
        """
        index = _find(self._names, _hash(name))
        if index is None:
            return "missing"
        identity = int(self._identities[index])
        if _find(self._stamped, _hash(f"{name}\0{identity}\0{stamp}")) is not None:
            return "done"
        return "outdated" if _find(self._made, _hash(f"{name}\0{identity}")) is not None else "unknown"


class RecordWriter:
    """The records that one run writes. A context manager: at its end they become one file.

    Args:
        out: the folder of the results.
    """

    def __init__(self, out: Url) -> None:
        self._folder = out / FOLDER
        self._run = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self._here = tempfile.TemporaryDirectory(prefix="restore-")
        self._all = Path(self._here.name) / "all.jsonl"
        self._new: list[bytes] = []
        self._parts: list[str] = []
        self._written = time.monotonic()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._here:
            self._write()
            if len(self._parts) > 1:
                put(self._all, self._folder / f"{self._run}.jsonl")
                store = Store(self._folder)
                for part in self._parts:
                    store.remove(part)

    def add(self, name: str, identity: str, stamp: str) -> None:
        """Record a result that is in its place.

        Raises:
            ImageError: the store refuses.
        """
        line = to_line({"file": name, "identity": identity, "stamp": stamp})
        self._new.append(line.encode("utf-8", "surrogateescape"))
        if time.monotonic() - self._written >= _EVERY:
            self._write()

    def _write(self) -> None:
        """Write the new records to a file of their own."""
        self._written = time.monotonic()
        if not self._new:
            return
        content = b"".join(self._new)
        with self._all.open("ab") as file:
            file.write(content)
        part = Path(self._here.name) / f"{self._run}-{len(self._parts)}.jsonl"
        part.write_bytes(content)
        put(part, self._folder / part.name)
        part.unlink()
        self._parts.append(part.name)
        self._new.clear()


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _sorted(values: array[int]) -> NDArray[np.uint64]:
    return np.sort(np.array(values))


def _find(values: NDArray[np.uint64], wanted: int) -> int | None:
    """The index of a value in a sorted array."""
    index = int(np.searchsorted(values, np.uint64(wanted)))
    return index if index < len(values) and int(values[index]) == wanted else None
