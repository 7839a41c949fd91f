"""Access files in object stores through fsspec: paged listing, and whole-file download and upload.

Credentials come from the configuration of each store's library, never from here.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from restore.batch.locking import folded
from restore.batch.urls import Url, without_secrets
from restore.errors import ImageError, UsageError, in_one_line
from restore.files import PREFIX, atomic_file

__all__ = ["Entry", "Store", "fetch", "put"]

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}
"""Protocol -> extra of restorekit."""

_METADATA = {"s3": "Metadata", "s3a": "Metadata", "gs": "metadata", "gcs": "metadata"}
"""Protocol -> argument of ``put_file``, where the store keeps texts with an object."""

_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}
"""Protocols whose objects appear when they are complete."""

_LOCAL = {"file", "local"}
"""Protocols of this machine's own paths."""

_STAMP = "restore-stamp"

_STRONG = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
_WEAK = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a store, as its listing describes it."""

    name: str
    """Relative to the store."""
    identity: str
    """Changes with the content: a checksum where the store has one, else size and date."""


class Store:
    """A folder of a store.

    Args:
        root: its address.

    Raises:
        UsageError: the library of the store is not installed, or there is no such kind of store.
    """

    def __init__(self, root: Url) -> None:
        self.root = root
        self._fs, self._path = _opened(root)

    def files(self, *, recursive: bool) -> Iterator[Entry]:
        """Yield the files in the order of their names' bytes; of a folder that does not exist, none.

        Object stores of Amazon's kind are listed in pages, others one folder at a time.

        Raises:
            ImageError: the store refuses.
        """
        with _explained(self.root, "list"):
            if hasattr(self._fs, "call_s3"):
                yield from self._pages(recursive=recursive)
            else:
                yield from self._walk(self._path, recursive=recursive)

    def entry(self, name: str) -> Entry | None:
        """One file, or `None` if there is no such file.

        Raises:
            ImageError: the store refuses.
        """
        with _explained(self.root / name, "find"):
            try:
                return Entry(name, _identity(self._fs.info(self._place(name))))
            except FileNotFoundError:
                return None

    def stamp(self, name: str) -> str:
        """The text that `put` left with a result; empty if there is none, or the store keeps none.

        Raises:
            ImageError: the store refuses.
        """
        if _protocol(self.root) not in _METADATA:
            return ""
        with _explained(self.root / name, "read"):
            place = self._place(name)
            own = hasattr(self._fs, "metadata")
            found = self._fs.metadata(place) if own else self._fs.info(place).get("metadata")
            return str({key.replace("_", "-"): text for key, text in (found or {}).items()}.get(_STAMP, ""))

    def place(self, name: str = "") -> str:
        """A text that is equal for all addresses of one file or folder, also for ``s3://`` and ``s3a://``.

        Paths of this machine are compared as by `restore.batch.locking.folded`.
        """
        place = self._place(name)
        if _protocol(self.root) in _LOCAL:
            return folded(Path(place))
        options = sorted(self._fs.storage_options.items())  # the host, if the path does not begin with it
        return f"{type(self._fs).__name__} {options} {place}"

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a text.

        Raises:
            ImageError: the store refuses.
        """
        with _explained(self.root / name, "read"), self._fs.open(self._place(name), "rb") as content:
            yield from content

    def remove(self, name: str) -> None:
        """Remove a file; a store that refuses keeps it."""
        with suppress(Exception):
            self._fs.rm_file(self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}" if name else self._path

    def _pages(self, *, recursive: bool) -> Iterator[Entry]:
        bucket, _, prefix = self._path.partition("/")
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        wanted: dict[str, str] = {"Bucket": bucket, "Prefix": prefix}
        if not recursive:
            wanted["Delimiter"] = "/"
        while True:
            page = self._fs.call_s3("list_objects_v2", **wanted)
            for found in page.get("Contents", ()):
                yield Entry(found["Key"][len(prefix) :], _identity(found))
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _walk(self, folder: str, *, recursive: bool) -> Iterator[Entry]:
        try:
            found = self._fs.ls(folder, detail=True)
        except FileNotFoundError:
            return
        start = len(self._path.rstrip("/")) + 1
        for info in sorted(found, key=_order):
            name = info["name"].rstrip("/")
            if info["type"] != "directory":
                yield Entry(name[start:], _identity(info))
            elif recursive:
                yield from self._walk(name, recursive=True)


def fetch(url: Url, file: Path) -> None:
    """Download a file from a store.

    Raises:
        ImageError: it does not exist, or the store refuses.
    """
    with _explained(url, "fetch"):
        fs, path = _opened(url)
        fs.get_file(path, str(file))


def put(file: Path, url: Url, stamp: str = "") -> str:
    """Upload a finished local file; the store never shows a partial file.

    Args:
        file: what to copy.
        url: where to.
        stamp: a text that the store keeps with it, where it can.

    Returns:
        The identity of the new file, as in `Entry`.

    Raises:
        ImageError: the store refuses.
    """
    with _explained(url, "write"):
        fs, path = _opened(url)
        protocol = _protocol(url)
        if protocol == "file":
            with atomic_file(Path(path)) as temporary:
                shutil.copyfile(file, temporary)
        elif protocol in _WHOLE:
            texts = {_METADATA[protocol]: {_STAMP: stamp}} if stamp and protocol in _METADATA else {}
            fs.put_file(str(file), path, **texts)
        else:
            aside = f"{path.rpartition('/')[0]}/{PREFIX}{uuid.uuid4().hex}"
            try:
                fs.put_file(str(file), aside)
                fs.mv(aside, path)
            except BaseException:
                with suppress(Exception):
                    fs.rm_file(aside)
                raise
        return _identity(fs.info(path))


def _opened(url: Url) -> tuple[Any, str]:
    """The file system of an address, and the path in it; listings are not kept in memory."""
    core = _module()
    try:
        fs, path = core.url_to_fs(url.address, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        protocol = _protocol(url)
        extra = _EXTRAS.get(protocol)
        if extra:
            problem, hint = "the library of this store is not installed", f"pip install 'restorekit[{extra}]'"
        else:
            problem, hint = f"cannot open '{protocol}' addresses", f"use one of {', '.join(sorted(_EXTRAS))}"
        raise UsageError(problem, path=str(url), hint=hint) from error
    return fs, path


def _module() -> Any:
    try:
        return importlib.import_module("fsspec.core")
    except ModuleNotFoundError:
        raise UsageError(
            "stores need fsspec, which is not installed", hint="run: pip install 'restorekit[s3]'"
        ) from None


def _protocol(url: Url) -> str:
    scheme, separator, _ = url.address.partition("://")
    return scheme if separator else "file"


def _identity(info: Mapping[str, Any]) -> str:
    size = info.get("size", info.get("Size"))
    for name in (*_STRONG, *_WEAK):
        value = info.get(name)
        if value:
            return f"{size}:{_text(value)}"
    return f"{size}:{hashlib.sha256(repr(sorted(info.items())).encode()).hexdigest()}"


def _text(value: Any) -> str:
    """A checksum or a date, in the same form whether it comes from a listing or from one file."""
    if isinstance(value, datetime):
        return repr(value.timestamp())
    return value.hex() if isinstance(value, bytes | bytearray) else str(value).strip('"')


def _order(info: Mapping[str, Any]) -> str:
    return f"{info['name'].rstrip('/')}/" if info["type"] == "directory" else str(info["name"])


@contextmanager
def _explained(url: Url, action: str) -> Iterator[None]:
    """Turn whatever a library raises into one sentence without secrets."""
    try:
        yield
    except (UsageError, ImageError):
        raise
    except Exception as error:  # each library has its own tree of errors
        text = without_secrets(in_one_line(error)) or "no message"
        known = isinstance(error, OSError)
        problem = (
            f"cannot {action} it: {text}" if known else f"cannot {action} it: {type(error).__name__}: {text}"
        )
        hint = "check the address, and the credentials of the store"
        raise ImageError(problem, path=str(url), hint=hint) from None  # its frames hold credentials
