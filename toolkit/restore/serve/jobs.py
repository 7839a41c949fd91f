"""The jobs of a server: a bounded queue, job states, and listeners for changes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from restore.batch import Job
from restore.serve.limits import Limits
from restore.serve.problems import Problem
from restore.serve.schema import JobOptions, JobView, State
from restore.serve.uploads import Upload, identifier

__all__ = ["ENDED", "Jobs", "ServedJob"]

ENDED = frozenset({"done", "failed", "canceled"})

Hear = Callable[["ServedJob | None"], None]
"""Called with a job that changed, and with `None` when the server is being stopped."""


@dataclass(eq=False)
class ServedJob:
    """A job with its state and result."""

    upload: Upload
    options: JobOptions
    group: str | None
    folder: Path
    """For the result; removed with the job."""
    name: str
    """Display name of the result."""
    id: str = field(default_factory=identifier)
    state: State = "queued"
    progress: float = 0.0
    ended: float | None = None
    """When it ended, on the monotonic clock."""
    cancel: threading.Event = field(default_factory=threading.Event)
    size: tuple[int, int] | None = None
    bytes: int | None = None
    seconds: float | None = None
    model: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def job(self) -> Job:
        """The job for `restore.batch`."""
        return Job(self.upload.path, self.folder / f"result{Path(self.name).suffix}")

    @property
    def shown(self) -> Job:
        """The job with the names that users see."""
        return Job(Path(self.upload.name), Path(self.name))


class Jobs:
    """The jobs of a server. Safe to use from several threads.

    Args:
        limits: of the number that waits.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: dict[str, ServedJob] = {}
        self._waiting: deque[ServedJob] = deque()
        self._changed = threading.Condition()
        self._listeners: dict[object, Hear] = {}
        self.stopping = False

    def submit(self, job: ServedJob) -> None:
        """Add a job to the queue.

        Raises:
            Problem: the queue is full, or the server is being stopped.
        """
        with self._changed:
            if self.stopping:
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the server is being stopped; try again later")
            if len(self._waiting) >= self._limits.waiting:
                raise Problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{len(self._waiting)} jobs are waiting; try again later",
                    {"Retry-After": "1"},
                )
            job.upload.jobs += 1
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify()
        self._tell(job)

    def next(self, like: ServedJob | None = None, timeout: float = 0.0) -> ServedJob | None:
        """Take the first job that waits, and mark it as running.

        Args:
            like: take it only if it has the same options.
            timeout: seconds to wait for one.
        """
        with self._changed:
            if not self._waiting and timeout:
                self._changed.wait(timeout)
            if self.stopping or not self._waiting:
                return None
            if like is not None and self._waiting[0].options != like.options:
                return None
            job = self._waiting.popleft()
            job.state = "running"
        self._tell(job)
        return job

    def put_back(self, job: ServedJob) -> None:
        """Put a job that was taken back at the front of the queue."""
        with self._changed:
            if job.state != "running" or job.cancel.is_set():
                return
            job.state = "queued"
            self._waiting.appendleft(job)
        self._tell(job)

    def report(self, job: ServedJob, progress: float) -> None:
        """Record the progress of a job; listeners are called once per percent."""
        before, job.progress = job.progress, progress
        if int(100 * before) != int(100 * progress) and job.state == "running":
            self._tell(job)

    def end(self, job: ServedJob, state: State, **found: Any) -> bool:
        """End a job; false if it has ended before.

        Args:
            job: the job.
            state: done, failed or canceled.
            found: values of its other fields.
        """
        with self._changed:
            if job.state in ENDED:
                return False
            for name, value in found.items():
                setattr(job, name, value)
            job.state, job.ended = state, time.monotonic()
            if state == "done":
                job.progress = 1.0
            job.upload.used = job.ended  # it is kept as long as the result
            job.upload.jobs -= 1
        self._tell(job)
        return True

    def cancel(self, job: ServedJob, reason: str = "") -> None:
        """End a job that waits or runs; its network stops at the next tile."""
        job.cancel.set()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
        self.end(job, "canceled", reason=reason)

    def forget(self, job: ServedJob) -> None:
        """Remove a job from all lists."""
        with self._changed:
            self._jobs.pop(job.id, None)

    def stop(self) -> None:
        """Accept no more jobs and cancel those that wait; running jobs continue."""
        with self._changed:
            self.stopping = True
            waiting = list(self._waiting)
            self._changed.notify_all()
        for job in waiting:
            self.cancel(job, "the server was stopped")
        self._tell(None)

    def get(self, name: str) -> ServedJob:
        """Return a job by its identifier.

        Raises:
            Problem: there is none.
        """
        with self._changed:
            job = self._jobs.get(name)
        if job is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such job; it may have been removed after a time")
        return job

    def of(self, group: str) -> list[ServedJob]:
        """Return the jobs of a group, oldest first."""
        with self._changed:
            return [job for job in self._jobs.values() if job.group == group]

    def all(self) -> list[ServedJob]:
        """All jobs, oldest first."""
        with self._changed:
            return list(self._jobs.values())

    def expired(self) -> list[ServedJob]:
        """The jobs that ended, and whose image was last asked for, too long ago."""
        before = time.monotonic() - self._limits.keep_seconds
        return [job for job in self.all() if job.ended and job.upload.used < before]

    def count(self) -> tuple[int, int]:
        """Return the numbers of waiting and running jobs."""
        with self._changed:
            running = sum(job.state == "running" for job in self._jobs.values())
            return len(self._waiting), running

    def view(self, job: ServedJob) -> JobView:
        """Return the view of a job for clients."""
        with self._changed:
            position = self._waiting.index(job) + 1 if job in self._waiting else 0
        return JobView(
            id=job.id,
            image=job.upload.id,
            name=job.upload.name,
            result=job.name,
            state=job.state,
            progress=round(job.progress, 3),
            position=position,
            size=job.size,
            bytes=job.bytes,
            seconds=job.seconds,
            model=job.model,
            notes=list(job.notes),
            reason=job.reason,
        )

    @contextmanager
    def hearing(self, hear: Hear) -> Iterator[None]:
        """Call `hear` with each job that changes while the block runs, in whatever thread changes it."""
        key = object()
        with self._changed:
            self._listeners[key] = hear
        try:
            yield
        finally:
            with self._changed:
                del self._listeners[key]

    def _tell(self, job: ServedJob | None) -> None:
        with self._changed:
            listeners = list(self._listeners.values())
        for hear in listeners:
            hear(job)
