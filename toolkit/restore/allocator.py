"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

__all__ = ["VARIABLE", "keep_memory"]

VARIABLE = "RESTORE_KEEP_MEMORY"
"""Environment variable: 0 has the commands leave the allocator as it is."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1
_AT_ONCE = 256 * 2**20  # bytes that are requested from the system at a time


def keep_memory() -> bool:
    """Have this process keep the memory that it frees, for as long as it lives.

    A network allocates the same large blocks again and again. By default glibc returns each of them to the
    system and maps the next one again, which the kernel fills with zeros page by page: more than a quarter of
    the time of a training step on a CPU.

    The setting affects the whole process, so only the commands of ``restore`` call this: a program that
    imports the package is left alone, and may call it itself.

    Returns:
        Whether the setting was changed: not without glibc, nor where ``RESTORE_KEEP_MEMORY`` is 0.
    """
    if os.environ.get(VARIABLE) == "0":
        return False
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
        libc.mallopt(_M_TOP_PAD, _AT_ONCE)
        return True
    return False
