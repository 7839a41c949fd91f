"""Uploaded images in the private folder of a server."""

from __future__ import annotations

import math
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath

from restore.errors import RestoreError, escaped
from restore.estimation import Estimate
from restore.images import READ_SUFFIXES, header_of, suffix_of
from restore.inference.sizing import Size
from restore.serve.limits import Limits
from restore.serve.problems import Problem

__all__ = ["Place", "Upload", "Uploads", "identifier", "safe_name"]

_LONGEST = 120  # characters of a name


def identifier() -> str:
    """A name that cannot be guessed.

    >>> len(identifier())
    22
    """
    return secrets.token_urlsafe(16)


def safe_name(name: str) -> str:
    r"""The last part of a name from outside, escaped and shortened; it is shown, and never opened.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\photos\\a.jpg"), safe_name("..")
    ('passwd', 'a.jpg', 'image')
    """
    last = escaped(PureWindowsPath(PurePosixPath(name).name).name).strip().lstrip(".").replace('"', "'")
    if len(last) > _LONGEST:
        path = PurePosixPath(last)
        last = f"{path.stem[: _LONGEST - len(path.suffix[:10])]}{path.suffix[:10]}"
    return last or "image"


@dataclass(eq=False)
class Upload:
    """An image that was uploaded."""

    id: str
    name: str
    path: Path
    bytes: int
    size: Size
    used: float = field(default_factory=time.monotonic)
    """When it was last asked for."""
    jobs: int = 0
    """Jobs that need it."""
    found: Estimate | None = None


@dataclass
class Place:
    """Where an upload is written."""

    id: str
    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "upload"


class Uploads:
    """The uploads of a server. Safe to use from several threads.

    Args:
        folder: where they are stored.
        limits: of their number, bytes and pixels.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()
        self._reserved = 0
        self._receiving = 0
        self._results = 0

    @property
    def stored(self) -> int:
        """Bytes of all uploads and results, and those that are promised to uploads under way."""
        with self._lock:
            return self._stored()

    def _stored(self) -> int:
        return sum(upload.bytes for upload in self._uploads.values()) + self._reserved + self._results

    def add_result(self, size: int) -> None:
        """Count the bytes of a result, which need room too; negative where it is removed."""
        with self._lock:
            self._results += size

    def check_room(self) -> None:
        """Check that there is room for another result, whose size is not known yet.

        Raises:
            Problem: there is none.
        """
        if self.stored >= self._limits.stored_bytes:
            raise _no_room()

    @contextmanager
    def receiving(self, size: int) -> Iterator[Place]:
        """Give a place for an upload of at most `size` bytes; what is not `add`-ed in the block is removed.

        Raises:
            Problem: there is no room.
        """
        with self._lock:
            full = len(self._uploads) + self._receiving >= self._limits.images
            if full or self._stored() + size > self._limits.stored_bytes:
                raise _no_room()
            self._reserved += size
            self._receiving += 1
        name = identifier()
        place = Place(name, self._folder / name)
        try:
            place.folder.mkdir(mode=0o700)
            yield place
        except OSError as error:
            raise Problem(
                HTTPStatus.INSUFFICIENT_STORAGE,
                f"the server cannot store the image: {error.strerror or error}; try again later",
            ) from error
        finally:
            with self._lock:
                self._reserved -= size
                self._receiving -= 1
                kept = name in self._uploads
            if not kept:
                shutil.rmtree(place.folder, ignore_errors=True)

    def add(self, place: Place, name: str) -> Upload:
        """Take what was written to `place` as an image.

        Raises:
            ImageError: it is none, or has too many pixels.
        """
        shown = safe_name(name)
        size = place.path.stat().st_size
        try:
            header = header_of(place.path, max_pixels=self._limits.pixels)
        except RestoreError as error:
            error.path = shown
            raise
        suffix = PurePosixPath(shown).suffix.lower()
        if suffix not in READ_SUFFIXES:
            suffix = suffix_of(place.path)
            shown = f"{shown}{suffix}"
        path = place.path.rename(place.folder / f"image{suffix}")
        upload = Upload(place.id, shown, path, size, header.size)
        with self._lock:
            self._uploads[upload.id] = upload
        return upload

    def get(self, name: str) -> Upload:
        """An upload by its identifier.

        Raises:
            Problem: there is none.
        """
        with self._lock:
            upload = self._uploads.get(name)
            if upload is None:
                raise Problem(
                    HTTPStatus.NOT_FOUND, "there is no such image; it may have been removed after a time"
                )
            upload.used = time.monotonic()
            return upload

    def discard(self, upload: Upload, unused_since: float = math.inf) -> None:
        """Remove an upload, unless a job needs it or it was asked for since a time."""
        with self._lock:
            if upload.jobs or upload.used >= unused_since:
                return
            self._uploads.pop(upload.id, None)
        shutil.rmtree(upload.path.parent, ignore_errors=True)

    def expire(self) -> None:
        """Remove what has not been used for a time."""
        before = time.monotonic() - self._limits.keep_seconds
        with self._lock:
            uploads = list(self._uploads.values())
        for upload in uploads:
            self.discard(upload, before)


def _no_room() -> Problem:
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "the server has no room for more images; delete some, or try again later",
        {"Retry-After": "30"},
    )
