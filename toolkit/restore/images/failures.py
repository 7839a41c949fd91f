"""Whatever a file or Pillow does, one sentence for the person at the keyboard."""

from __future__ import annotations

import stat
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import UnidentifiedImageError

from restore.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["check_file", "explained", "strict_pillow", "why_unreadable"]


@contextmanager
def explained(failure: str, why: Callable[[Exception], str]) -> Iterator[None]:
    """Turn whatever a damaged file makes Pillow raise into one sentence."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{failure}: {why(error)}") from error


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Keep Pillow's warnings about metadata to ourselves.

    The filter names Pillow, because another thread may come to see it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def check_file(path: Path) -> None:
    """Refuse what is no file with content: opening a pipe, for one, would wait for ever.

    Raises:
        ImageError: without the file's name.
        OSError: there is no such file.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("it is a folder; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("it is not a regular file; copy its content into one")
    if status.st_size == 0:
        raise ImageError("the file is empty; replace it by a whole copy")


def why_unreadable(error: Exception) -> str:
    """Why a file cannot be read, and what to do about it."""
    match error:
        case ImageError():
            return str(error)
        case UnidentifiedImageError():
            return "it is not an image that Pillow knows, or its header is damaged; convert or replace it"
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file; check the path"
        case OSError(strerror=str(reason)):
            return f"{reason}; make the file readable or leave it out"
    return f"it is damaged or cut short ({_detail(error)}); replace it by a whole copy"


def _detail(error: Exception) -> str:
    return str(error) or type(error).__name__
