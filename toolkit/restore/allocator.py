"""How the C library handles memory that is needed again and again."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["keep_memory"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1
_AT_ONCE = 256 * 2**20  # bytes that are asked of the system at a time


def keep_memory() -> None:
    """Have this process keep the memory that it frees, for as long as it lives.

    A network allocates the same large blocks again and again. By default glibc gives each of them back and
    has the next one mapped anew, which the kernel fills with zeros page by page: more than a quarter of the
    time of a training step on a CPU. Without glibc nothing is changed.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
        libc.mallopt(_M_TOP_PAD, _AT_ONCE)
