"""Errors of files and decoders as one sentence that says what to do."""

from __future__ import annotations

import logging
import re
import stat
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from PIL import Image, UnidentifiedImageError

from restore.errors import ImageError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "check_file",
    "explained_reading",
    "is_out_of_memory",
    "strict_pillow",
    "why_unreadable",
]

logging.getLogger("PIL").addHandler(logging.NullHandler())  # its errors reach people as exceptions

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "bad allocation",
    "failed to allocate",
    "decoder error -9",
)
_REPLACE = "replace it by a whole copy"
_CONVERT_OR_REPLACE = f"convert it to PNG, or {_REPLACE}"
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unimplemented|not implemented|cannot handle|cannot load this image|"
    r"unknown (mode|pixel|data|compression|BLP|PCX|TGA|picture)|bad configuration|codec configuration|"
    r"requires the",
    re.IGNORECASE,
)
"""What Pillow, tifffile and imagecodecs say of a sound file that they do not decode."""


@contextmanager
def explained_reading(path: Path | None = None) -> Iterator[None]:
    """Turn whatever a file or a decoder raises into an `ImageError` about `path`.

    >>> with explained_reading():
    ...     raise MemoryError
    Traceback (most recent call last):
    restore.errors.ImageError: there is not enough memory to decode it; close other programs, or reduce it
    """
    try:
        yield
    except ImageError as error:
        error.path = error.path or path
        raise
    except Exception as error:
        problem, hint = why_unreadable(error)
        if is_out_of_memory(error):
            traceback.clear_frames(error.__traceback__)  # which hold what was decoded so far
        raise ImageError(problem, path=path, hint=hint) from error


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Hide Pillow's warnings, such as those about metadata.

    The filter names Pillow's modules because filters are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def check_file(path: Path) -> None:
    """Refuse what is not a regular file with content: opening a pipe, for example, would block.

    Raises:
        ImageError: without the file's name.
        OSError: there is no such file.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("it is a folder", hint="name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("it is not a regular file", hint="copy its content into one")
    if status.st_size == 0:
        raise ImageError("the file is empty", hint="replace it by a whole copy")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, by the type or, where a library raises something general, by the message.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    True
    """
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in text for words in _OUT_OF_MEMORY
    )


def why_unreadable(error: Exception) -> tuple[str, str]:
    """Why a file cannot be read, and what to do about it.

    >>> why_unreadable(OSError("Unsupported BMP pixel depth (2)"))
    ('it is of a kind that is not supported (Unsupported BMP pixel depth (2))', 'convert it to PNG')
    >>> why_unreadable(OSError("image file is truncated"))
    ('it is damaged or cut short (image file is truncated)', 'replace it by a whole copy')
    """
    if is_out_of_memory(error):
        return "there is not enough memory to decode it", "close other programs, or reduce it"
    match error:
        case UnidentifiedImageError(__cause__=None):
            found = (
                "it is not an image in a format that is supported, or its header is damaged",
                _CONVERT_OR_REPLACE,
            )
        case UnidentifiedImageError(__cause__=BaseException() as reason):
            found = _why_undecoded(reason) or (
                f"it is damaged, or of a kind that is not supported ({_detail(reason)})",
                _CONVERT_OR_REPLACE,
            )
        case FileNotFoundError() | NotADirectoryError():
            found = "there is no such file", "check the path"
        case OSError(strerror=str(reason)):
            found = reason, "make the file readable, or omit it"
        case Image.DecompressionBombError():
            found = "an image inside it is larger than its header says", "convert it to PNG, or omit it"
        case ValueError() if "Decompressed data too large" in str(error):
            found = "its text or color profile takes more than 1 MiB", "remove its metadata"
        case _:
            damaged = f"it is damaged or cut short ({_detail(error)})", _REPLACE
            found = _why_undecoded(error) or damaged
    return found


def _why_undecoded(error: BaseException) -> tuple[str, str] | None:
    """The sentence on a sound file that a decoder does not know, if the error is of that kind."""
    detail = _detail(error)
    if isinstance(error.__cause__, KeyError):  # in Pillow's tables of modes
        detail = f"unknown mode {detail}"
    if isinstance(error, TypeError) or not _UNSUPPORTED.search(detail):
        return None
    return f"it is of a kind that is not supported ({detail})", "convert it to PNG"


def _detail(error: BaseException) -> str:
    return in_one_line(error) or type(error).__name__
