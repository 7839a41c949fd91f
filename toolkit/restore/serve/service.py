"""A server without HTTP: uploads, jobs, models and worker threads."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from restore.batch import Executor
from restore.serve.folder import PrivateFolder
from restore.serve.jobs import Jobs, ServedJob
from restore.serve.limits import Limits
from restore.serve.looking import Looking
from restore.serve.memory import Memory
from restore.serve.metrics import Metrics
from restore.serve.networks import RestorerCache
from restore.serve.problems import Problem
from restore.serve.schema import JobOptions
from restore.serve.uploads import Upload, Uploads, identifier
from restore.serve.worker import Worker
from restore.threads import one_core_threads

__all__ = ["Service"]

T = TypeVar("T")


class Service:
    """One machine's server: it owns the networks and all files. A context manager.

    Args:
        networks: the models.
        folder: where uploads and results are stored.
        limits: what is accepted.
        executor: what runs jobs; `None` is this process.
        workers: jobs that are run at the same time, as far as there is memory.
        memory: how much there is; `None` asks the system.
    """

    def __init__(
        self,
        networks: RestorerCache,
        folder: PrivateFolder,
        limits: Limits | None = None,
        executor: Executor | None = None,
        workers: int = 1,
        memory: Memory | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.networks = networks
        self.folder = folder
        self.memory = memory or Memory(drop=networks.drop)
        self.uploads = Uploads(folder.path, self.limits)
        self.jobs = Jobs(self.limits)
        self.metrics = Metrics()
        self.looking = Looking(networks, self.memory, self.limits)
        self._pool = one_core_threads(2, "restore-looking")
        self._looking = 0
        self._stack = ExitStack()
        self._workers = [
            Worker(self.jobs, networks, self.uploads, self.memory, self.limits.pixels, executor)
            for _ in range(workers)
        ]

    def __enter__(self) -> Service:
        self._stack.enter_context(self.jobs.hearing(self.metrics.hear))
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what is left, which nobody can fetch any more, and end."""
        self.jobs.stop()
        for job in self.jobs.all():
            self.jobs.cancel(job, "the server was stopped")
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.join(self.limits.grace_seconds)
        self._stack.close()

    def submit(self, upload: Upload, options: JobOptions, group: str | None = None) -> ServedJob:
        """Add a job to the queue.

        Raises:
            UsageError: the model is not offered, or not at this scale.
            Problem: the queue is full, or there is no room for a result.
        """
        self.networks.check(options)
        self.uploads.check_room()
        scale = options.scale if options.scale is not None else self.networks.scale(options.model)
        suffix = "_clean" if scale == 1 and not options.output.is_sized else options.output.suffix(scale)
        name = options.naming(suffix).beside(Path(upload.name), only=False).name
        job = ServedJob(upload, options, group, self.folder.path / identifier(), name)
        self.jobs.submit(job)
        return job

    def remove(self, job: ServedJob) -> None:
        """End a job if it has not ended, and remove its result."""
        self.jobs.cancel(job)
        self.jobs.forget(job)
        shutil.rmtree(job.folder, ignore_errors=True)
        size, job.bytes = job.bytes or 0, None
        self.uploads.add_result(-size)

    def expire(self) -> None:
        """Remove jobs that ended a while ago, and images that were not used since."""
        for job in self.jobs.expired():
            self.remove(job)
        self.uploads.expire()

    async def look(self, call: Callable[[], T]) -> T:
        """Run a function of `looking` in a thread, at most two at a time.

        Raises:
            Problem: too many wait already, or the server has no memory for it.
        """
        if self._looking >= self.limits.looking:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._looking} requests of this kind are waiting; try again later",
                {"Retry-After": "2"},
            )
        self._looking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        except TimeoutError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "30"}) from error
        finally:
            self._looking -= 1
