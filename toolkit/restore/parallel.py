"""The same work on many things, in several processes, none of which outlives the one that asked.

The pools of the standard library were not enough: when the asking process is killed their workers wait
for ever, and one of them waits for ever when a worker is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from restore.errors import RestoreError

__all__ = ["cores", "each"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # items that a process has been given, so that it never waits for the next one


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(work: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Generator[Result]:
    """The results of `work`, in the order in which they are done.

    The processes start at once, are forks where the system has them, compute with one thread each and
    ignore Ctrl-C. Closing the generator, or the death of this process, ends each of them after the item
    that it works on. Call this before other threads run, whose locks a fork would find held for ever.

    Args:
        work: done in one of the processes; it and the items can be pickled.
        items: asked for one by one, and only as fast as they are worked on.
        processes: with 1, this process does the work itself.

    Raises:
        Exception: what `work` raised.
        RestoreError: a process was killed.
    """
    if processes <= 1:
        return (work(item) for item in items)
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(method)
    workers: dict[Connection, BaseProcess] = {}
    for _ in range(processes):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(work, theirs, [*workers, ours]), daemon=True)
        process.start()
        theirs.close()  # so that a process that dies closes the last copy
        workers[ours] = process
    return _results(workers, iter(items))


@dataclass
class _Failure:
    error: Exception


def _serve(work: Callable[[Any], Any], asking: Connection, inherited: list[Connection]) -> None:
    """Answer until nobody asks any more."""
    for connection in inherited:  # a copy here would keep the others from seeing that nobody asks them
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while True:
            asking.send(_answer(work, asking.recv()))


def _answer(work: Callable[[Any], Any], item: Any) -> Any:
    try:
        return work(item)
    except Exception as error:
        error.add_note(traceback.format_exc())  # which does not travel with it
        return _Failure(error)


def _results(workers: dict[Connection, BaseProcess], items: Iterator[Any]) -> Generator[Any]:
    owed = dict.fromkeys(workers, 0)
    try:
        for connection in list(workers) * _AHEAD:
            owed[connection] += _ask(connection, items)
        while any(owed.values()):
            ready = wait([connection for connection, count in owed.items() if count])
            for connection in filter(ready.__contains__, workers):
                answer = _received(connection)
                owed[connection] += _ask(connection, items) - 1
                yield answer
    finally:
        for connection in workers:
            connection.close()
        for process in workers.values():
            process.join()


def _ask(connection: Connection, items: Iterator[Any]) -> int:
    """Hand over the next item, if there is one."""
    for item in islice(items, 1):
        with suppress(OSError):  # it is dead, which receiving from it will tell
            connection.send(item)
        return 1
    return 0


def _received(connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except (EOFError, OSError):
        raise RestoreError(
            "a process was killed, perhaps for lack of memory: run the same command again with fewer --jobs"
        ) from None
    if isinstance(answer, _Failure):
        raise answer.error
    return answer
