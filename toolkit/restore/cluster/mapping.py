"""Apply a function to items on the workers of a cluster, with a bounded number of them in the scheduler."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from distributed import Client, Future, KilledWorker, as_completed, get_worker

from restore.cluster.equality import check_versions
from restore.errors import RestoreError, in_one_line

__all__ = ["MOST_KILLED", "Killed", "Reply", "Work", "connection_lost", "mapped"]

MOST_KILLED = 3
"""Workers that may end while they have an item, before it is given up."""

_AHEAD = 3  # items in the scheduler per thread of its workers
_LOOK = 1.0  # seconds between two looks at the number of workers

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Item, Mapping[str, bytes]], Result]
"""What a worker does with an item and the files that the client sent, by their SHA-256.

It is pickled, so it should be a small dataclass. Whatever is wrong with an item alone is part of its result:
what is raised ends the whole mapping.
"""


@dataclass(frozen=True)
class Reply(Generic[Result]):
    """A result, and the address of the worker that it comes from."""

    value: Result
    worker: str


@dataclass(frozen=True)
class Killed:
    """An item that was given up, because workers ended while they worked on it."""

    count: int
    """How many."""
    worker: str
    """The address of the last one."""


@dataclass(frozen=True)
class _Attempt(Generic[Item]):
    item: Item
    killed: int = 0
    """Workers that ended while they had the item, whether they worked on it or it stood in line."""


@dataclass(frozen=True)
class _Perform(Generic[Item, Result]):
    """The function that a worker calls."""

    work: Work[Item, Result]
    versions: Mapping[str, str]

    def __call__(self, item: Item, contents: Mapping[str, bytes]) -> Reply[Result]:
        worker = get_worker().address
        try:
            check_versions(self.versions, worker)  # of workers that came after the client looked
            return Reply(self.work(item, contents), worker)
        except RestoreError as error:
            error.problem = f"worker {worker}: {error.problem}"
            raise


def mapped(
    client: Client,
    work: Work[Item, Result],
    items: Iterable[Item],
    contents: Mapping[str, bytes],
    *,
    versions: Mapping[str, str],
    on_workers: Callable[[int], None],
) -> Iterator[tuple[Item, Reply[Result] | Killed]]:
    """Yield each item with its result, in the order in which they are finished.

    The scheduler counts a worker that ends against every item that it was given, also those that it had not
    begun. An item that was there when two workers ended is therefore done after all others, as the only one
    in the scheduler: if a worker ends then, that item is the reason.

    Args:
        client: connected to the scheduler.
        work: what to do.
        items: taken one by one, a few ahead of the results.
        contents: files for the workers, by their SHA-256.
        versions: of the client, which the workers' must equal.
        on_workers: called with the number of workers, about once per second.

    Raises:
        RestoreError: the scheduler is gone, or a worker cannot do the work at all.
    """
    window = _Window(client, _Perform(work, versions), _sent(client, contents), on_workers)
    with window:
        for item in items:
            window.submit(_Attempt(item))
            while window.is_full() or window.has_finished():
                yield from window.finished()
        while window.running or window.suspects:
            window.resubmit()
            yield from window.finished()


class _Window(Generic[Item, Result]):
    """The items that the scheduler has, and those that wait to be tried again."""

    def __init__(
        self,
        client: Client,
        perform: _Perform[Item, Result],
        contents: Any,
        on_workers: Callable[[int], None],
    ) -> None:
        self._client, self._perform, self._contents = client, perform, contents
        self._on_workers = on_workers
        self._looked = 0.0
        self._size = 1
        self._done = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self.running: dict[Future[Any], _Attempt[Item]] = {}
        self.suspects: deque[_Attempt[Item]] = deque()

    def __enter__(self) -> _Window[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running and self._client.status == "running":
            self._client.cancel(list(self.running))
        self.running.clear()

    def submit(self, attempt: _Attempt[Item]) -> None:
        """Give an item to the scheduler."""
        key = f"restore-{uuid.uuid4().hex}"  # the dashboard shows the part before the number
        future = self._client.submit(self._perform, attempt.item, self._contents, key=key)
        self.running[future] = attempt
        self._done.add(future)

    def is_full(self) -> bool:
        """Whether the scheduler has as many items as its workers need."""
        self._look()
        return len(self.running) >= self._size

    def has_finished(self) -> bool:
        """Whether a result is there."""
        return bool(self._done.has_ready())

    def resubmit(self) -> None:
        """When nothing else is left, try the next item that workers ended with, alone."""
        if not self.running and self.suspects:
            self.submit(self.suspects.popleft())

    def finished(self) -> Iterator[tuple[Item, Reply[Result] | Killed]]:
        """Wait for the next item that is finished, and yield it unless it has to be tried again."""
        alone = len(self.running) == 1 and next(iter(self.running.values())).killed >= MOST_KILLED - 1
        while not self._done.has_ready():
            if self._client.status != "running":
                raise _fatal(None, self._client)
            self._look()
            with self._done.thread_condition:
                self._done.thread_condition.wait(0.02)
        future, result = next(self._done)
        attempt = self.running.pop(future)
        if isinstance(result, Reply):
            yield attempt.item, result
            return
        error = result[1] if isinstance(result, tuple) else result
        if not isinstance(error, KilledWorker):
            raise _fatal(error, self._client)
        attempt = replace(attempt, killed=attempt.killed + error.allowed_failures + 1)
        if attempt.killed >= MOST_KILLED and alone:
            yield attempt.item, Killed(attempt.killed, error.last_worker.address)
        elif attempt.killed >= MOST_KILLED - 1:
            self.suspects.append(attempt)
        else:
            self.submit(attempt)

    def _look(self) -> None:
        """Adjust to the workers that there are, from time to time."""
        now = time.monotonic()
        if now - self._looked < _LOOK or self._client.status != "running":
            return
        self._looked = now
        try:
            threads = self._client.nthreads()
        except OSError:  # the scheduler is gone, which the items in it show
            return
        self._size = max(_AHEAD * sum(threads.values()), 1)
        self._on_workers(len(threads))


def _sent(client: Client, contents: Mapping[str, bytes]) -> Any:
    """The files as the result of a task, which the scheduler repeats if a worker that has them ends."""
    return client.submit(dict, dict(contents), pure=False) if contents else {}


def _fatal(error: object, client: Client) -> RestoreError:
    if isinstance(error, RestoreError):
        return error
    if isinstance(error, CancelledError) or client.status != "running":
        return connection_lost()
    text = in_one_line(error) if isinstance(error, BaseException) else str(error)
    return RestoreError(
        f"a worker cannot run this job: {type(error).__name__}: {text}",
        hint="see the log of the worker",
    )


def connection_lost() -> RestoreError:
    """The error for a scheduler that is gone."""
    return RestoreError(
        "the connection to the scheduler is lost",
        hint="start the scheduler again if it ended, then run the same command to process the rest",
    )
