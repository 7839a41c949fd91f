"""Changes of jobs as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from restore.serve.jobs import ENDED, Jobs, ServedJob

__all__ = ["Changes", "events"]

_PING = 15.0  # seconds without an event after which proxies are shown that the connection lives


class Changes:
    """Yield the jobs that changed since the last call; intermediate changes are dropped for slow clients.

    Args:
        jobs: all jobs.
        wanted: returns whether to report a job.
    """

    def __init__(self, jobs: Jobs, wanted: Callable[[ServedJob], bool]) -> None:
        self._jobs, self._wanted = jobs, wanted
        self._changed: dict[str, ServedJob] = {}
        self._some = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[list[ServedJob]]:
        """Yield the jobs as they are now, then those that change; an empty list now and then."""
        loop = asyncio.get_running_loop()

        def hear(job: ServedJob | None) -> None:  # in any thread
            if (job is None or self._wanted(job)) and not loop.is_closed():
                loop.call_soon_threadsafe(self._note, job)

        with self._jobs.hearing(hear):
            yield [job for job in self._jobs.all() if self._wanted(job)]
            while True:
                try:
                    await asyncio.wait_for(self._some.wait(), _PING)
                except TimeoutError:
                    yield []
                    continue
                self._some.clear()
                changed, self._changed = list(self._changed.values()), {}
                yield changed

    def _note(self, job: ServedJob | None) -> None:
        if job is not None:
            self._changed[job.id] = job
        self._some.set()


async def events(jobs: Jobs, only: ServedJob | None, group: str | None) -> AsyncIterator[str]:
    """Stream the events of one job until it ends, or of a group while the client is connected."""

    def wanted(job: ServedJob) -> bool:
        return job is only if only is not None else job.group == group

    async for changed in Changes(jobs, wanted):
        if not changed:
            yield ": waiting\n\n"
        for job in changed:
            yield f"event: job\ndata: {jobs.view(job).model_dump_json()}\n\n"
        if jobs.stopping or (only is not None and only.state in ENDED):
            return
