"""Objects that a worker thread keeps between items."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["kept"]

T = TypeVar("T")

_here = threading.local()


def kept(work: object, build: Callable[[], T]) -> T:
    """What `build` returned when this thread was last called with an equal `work`; else it is called.

    One thing is kept per thread, so that the models of earlier work leave the memory.

    >>> kept("first", list) is kept("first", list)
    True
    """
    if getattr(_here, "work", None) != work:
        _here.thing, _here.work = build(), work
    thing: T = _here.thing
    return thing
