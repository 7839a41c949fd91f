"""Addresses of files in object stores, web servers and other places that are not paths of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Url", "is_url", "without_secrets"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")  # of one letter is a drive
_USER = re.compile(r"(\w://)[^/\s'\"@]*@")
_QUERY = re.compile(r"(\w://[^\s'\"?]*)\?[^\s'\")]*")


def is_url(text: str) -> bool:
    """Whether `text` is the address of a file elsewhere.

    >>> is_url("s3://bucket/photos"), is_url("photos/a.png"), is_url("C://photos")
    (True, False, False)
    """
    return _SCHEME.match(text) is not None


def without_secrets(text: str) -> str:
    """`text` without the users, passwords and signatures in its addresses.

    >>> without_secrets("404 for https://me:secret@host/a.png?X-Amz-Signature=abc")
    '404 for https://host/a.png'
    """
    if "@" not in text and "?" not in text:
        return text
    return _QUERY.sub(r"\1", _USER.sub(r"\1", text))


@dataclass(frozen=True, slots=True)
class Url:
    """The address of a file: ``s3://bucket/a.png``, or an absolute path of a shared disk.

    As text it is without user, password and signature, so that no message contains them.

    >>> url = Url("https://me:secret@host/photos/a.png?signature=abc")
    >>> str(url), url.name
    ('https://host/photos/a.png', 'a.png')
    >>> url
    Url('https://host/photos/a.png')
    """

    address: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return str(self).rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the name, such as ``.png``."""
        return PurePosixPath(self.name).suffix

    def __truediv__(self, relative: str) -> Url:
        return Url(f"{self.address.rstrip('/')}/{relative}")

    def __str__(self) -> str:
        return without_secrets(self.address)

    def __fspath__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"
