"""Errors of files and decoders as one sentence that says what to do."""

from __future__ import annotations

import logging
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
    """Why a file cannot be read, and what to do about it."""
    if is_out_of_memory(error):
        return "there is not enough memory to decode it", "close other programs, or reduce it"
    whole = "replace it by a whole copy"
    match error:
        case UnidentifiedImageError():
            found = (
                "it is not an image that Pillow knows, or its header is damaged",
                "convert it to PNG, or " + whole,
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
            found = f"it is damaged or cut short ({_detail(error)})", whole
    return found


def _detail(error: Exception) -> str:
    return in_one_line(error) or type(error).__name__
