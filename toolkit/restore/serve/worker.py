"""The threads that restore: they take jobs from the queue and run them with `restore.batch`."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from restore.batch import Executor, Job, Listener, Outcome, run_all
from restore.batch.failures import failed
from restore.batch.jobs import AnyJob, renamed
from restore.batch.memory import needed
from restore.batch.urls import Url
from restore.errors import RestoreError
from restore.inference import AnyRestorer
from restore.inference.tiles import Progress
from restore.serve.jobs import Jobs, ServedJob
from restore.serve.memory import Memory
from restore.serve.networks import RestorerCache
from restore.serve.uploads import Uploads
from restore.threads import inherit_cores

__all__ = ["Worker"]

_log = logging.getLogger("restore.serve")


class _CanceledError(RestoreError):
    """Raised into a network whose job was canceled."""


class Worker:
    """Restores one job after the other, jobs of the same options as one batch.

    While one image of a batch is restored, the next is read and the last is written.

    Args:
        jobs: the queue.
        networks: the models.
        uploads: where results are counted.
        memory: shared with whatever else needs much.
        max_pixels: the most that an image may have.
        executor: what runs the jobs; `None` is this process.
    """

    def __init__(
        self,
        jobs: Jobs,
        networks: RestorerCache,
        uploads: Uploads,
        memory: Memory,
        max_pixels: int,
        executor: Executor | None = None,
    ) -> None:
        self._jobs, self._networks, self._uploads = jobs, networks, uploads
        self._memory, self._max_pixels, self._executor = memory, max_pixels, executor
        self._thread = threading.Thread(target=self._work, name="restore-worker", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the job that runs, after `Jobs.stop`; false if it takes longer."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        inherit_cores()
        while not self._jobs.stopping:
            job = self._jobs.next(timeout=0.5)
            if job is None:
                continue
            try:
                restorer = self._networks.restorer(job.options)
            except BaseException as error:  # the weights are missing, a plugin exits: the server goes on
                self._end(job, failed(job.job, error))
            else:
                self._run(job, restorer)

    def _run(self, first: ServedJob, restorer: AnyRestorer) -> None:
        batch = _Batch(self._jobs, self._memory, first)
        outcomes = run_all(
            batch.jobs(restorer),
            restorer,
            output=first.options.output,
            max_pixels=self._max_pixels,
            listener=batch,
            executor=self._executor,
        )
        try:
            for outcome in outcomes:
                self._end(batch.job(outcome), outcome)
                batch.remove(outcome)
        except BaseException as error:  # a cluster is gone, a plugin exits: the server goes on
            for left in batch.left():
                self._end(left, failed(left.job, error))

    def _end(self, job: ServedJob, outcome: Outcome) -> None:
        if outcome.error is not None and not isinstance(outcome.error, _CanceledError):
            for note in getattr(outcome.error, "__notes__", ()):
                _log.debug("%s", note)
        shown = renamed(outcome, job.job, job.shown)
        if job.cancel.is_set():
            self._jobs.end(job, "canceled")
        elif outcome.status == "done":
            self._keep(job, shown)
        else:
            self._jobs.end(job, "failed", reason=shown.reason)
        if job.state != "done":  # it may have been removed while the result was being written
            shutil.rmtree(job.folder, ignore_errors=True)

    def _keep(self, job: ServedJob, outcome: Outcome) -> None:
        try:
            size = job.job.destination.stat().st_size
        except OSError as error:  # the job was removed at this moment, or its disk is gone
            self._end(job, failed(job.job, error))
            return
        kept = self._jobs.end(
            job,
            "done",
            size=outcome.size,
            bytes=size,
            seconds=round(outcome.seconds, 3),
            model=outcome.choice.model if outcome.choice else job.options.model,
            notes=(*((outcome.choice.sentence,) if outcome.choice else ()), *outcome.notes),
        )
        if kept:
            self._uploads.add_result(size)


@dataclass
class _Batch(Listener):
    """Jobs of the same options that are worked on, and the memory that is promised to them."""

    queue: Jobs
    memory: Memory
    first: ServedJob
    _open: dict[Path | Url | None, ServedJob] = field(default_factory=dict)
    """Destination -> job without an outcome."""
    _promised: dict[Path | Url | None, int] = field(default_factory=dict)
    """Destination -> bytes."""

    def __post_init__(self) -> None:
        self._open[self.first.job.destination] = self.first  # the executor may fail before it asks for a job

    def job(self, outcome: Outcome) -> ServedJob:
        """The job of an outcome."""
        return self._open[outcome.destination]

    def remove(self, outcome: Outcome) -> None:
        """End the promise to the job of an outcome, which has ended."""
        self.memory.give(self._promised.pop(outcome.destination))
        del self._open[outcome.destination]

    def left(self) -> list[ServedJob]:
        """End all promises, and return the jobs that have no outcome."""
        left = list(self._open.values())
        for need in self._promised.values():
            self.memory.give(need)
        self._open.clear()
        self._promised.clear()
        return left

    def jobs(self, restorer: AnyRestorer) -> Iterator[Job]:
        """The first job, then those that wait as long as they have the same options and fit into memory."""
        job: ServedJob | None = self.first
        while job is not None:
            destination = job.job.destination
            self._open[destination] = job
            need = _need(job, restorer)
            while not self.memory.take(need):
                if job is not self.first:  # what is being restored must end before
                    del self._open[destination]
                    self.queue.put_back(job)
                    return
                if job.cancel.wait(0.1):
                    return
            self._promised[destination] = need
            yield job.job
            job = self.queue.next(like=self.first)

    @contextmanager
    def restoring(self, job: AnyJob) -> Iterator[Progress | None]:
        served = self._open[job.destination]

        def progress(done: float) -> None:
            if served.cancel.is_set():
                raise _CanceledError("it was canceled")
            self.queue.report(served, done)

        progress(0.0)
        yield progress


def _need(job: ServedJob, restorer: AnyRestorer) -> int:
    """Estimated memory; 0 for what cannot be restored, which the batch will say."""
    try:
        return needed(job.job, restorer, job.options.output).memory
    except RestoreError:
        return 0
