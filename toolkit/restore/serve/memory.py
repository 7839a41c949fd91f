"""Limit the jobs that run at the same time to those that fit into memory together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from restore.inference.devices import available_memory

__all__ = ["Memory"]


class Memory:
    """Promises memory to jobs. Safe to use from several threads.

    A job always gets its memory while no other has any: whether it fits at all is for `restore.batch` to
    decide, which refuses it with both amounts.

    Args:
        available: returns the free bytes; `None` if they are unknown.
        drop: drops a model to make room; false if there is none.

    Example:
        >>> memory = Memory(lambda: 100)
        >>> memory.take(70), memory.take(70)
        (True, False)
        >>> memory.give(70)
        >>> memory.take(70)
        True
    """

    def __init__(
        self, available: Callable[[], int | None] = available_memory, drop: Callable[[], bool] = lambda: False
    ) -> None:
        self._available, self._drop = available, drop
        self._promised = 0
        self._holders = 0
        self._changed = threading.Condition(threading.RLock())

    def take(self, need: int) -> bool:
        """Promise `need` bytes, if there are as many; drop models before this fails."""
        with self._changed:
            while not self._fits(need):
                if not self._drop():
                    if self._holders:
                        return False
                    break
            self._promised += need
            self._holders += 1
            return True

    def give(self, need: int) -> None:
        """End the promise of `need` bytes."""
        with self._changed:
            self._promised -= need
            self._holders -= 1
            self._changed.notify_all()

    @contextmanager
    def holding(self, need: int, timeout: float = 60.0) -> Iterator[None]:
        """Wait until there are `need` bytes, and promise them to the block.

        Raises:
            TimeoutError: there were not for `timeout` seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while not self.take(need):
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError("there was not enough memory for a minute")
        try:
            yield
        finally:
            self.give(need)

    def _fits(self, need: int) -> bool:
        available = self._available()
        return available is None or self._promised + need <= available
