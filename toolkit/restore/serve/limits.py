"""Limits of a server: sizes, numbers and times."""

from __future__ import annotations

from dataclasses import dataclass

from restore.images import MAX_PIXELS

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The bounds of a server. Beyond them requests are refused with 413 or 429."""

    upload_bytes: int = 256 * 2**20
    """Of one image file."""
    pixels: int = MAX_PIXELS
    """Of one image."""
    stored_bytes: int = 8 * 2**30
    """Of all uploads and results together."""
    images: int = 4096
    """Uploads that are stored at a time."""
    waiting: int = 1024
    """Jobs that wait at a time."""
    looking: int = 64
    """Plans, previews and comparisons that wait at a time."""
    keep_seconds: float = 3600.0
    """Uploads and results are removed this long after they were last used."""
    idle_seconds: float = 30.0
    """An upload that sends nothing for this long is ended."""
    upload_seconds: float = 900.0
    """An upload that takes longer is ended."""
    grace_seconds: float = 20.0
    """What is being restored gets this long to finish when the server is stopped."""
