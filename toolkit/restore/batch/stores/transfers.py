"""Local copies of images from stores while they are processed."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from restore.batch.jobs import AnyJob, Job, Listener, Outcome, Transfer, renamed
from restore.batch.stores.access import fetch, put
from restore.inference.tiles import Progress

__all__ = ["Renaming", "Transfers"]

_LONGEST = 200  # bytes of a name that is kept for messages


class Transfers:
    """Fetches images of stores into a temporary folder, and puts their results. For several threads.

    Args:
        folder: where to make the temporary folders; `None` is the system's choice.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._begun: dict[Path, tuple[Job, Transfer]] = {}

    def begin(self, item: Transfer) -> Job:
        """Fetch the image of a transfer.

        Raises:
            ImageError: it does not exist, or the store refuses.
        """
        place = Path(tempfile.mkdtemp(prefix="restore-", dir=self._folder))
        job = Job(place / "in" / _safe(item.source.name), place / "out" / _safe(item.destination.name))
        try:
            job.source.parent.mkdir()
            fetch(item.source, job.source)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._begun[job.source] = (job, item)
        return job

    def original(self, job: AnyJob) -> AnyJob:
        """The transfer that `begin` made a job of; any other job as it is."""
        return self._begun[job.source][1] if isinstance(job, Job) and job.source in self._begun else job

    def deliver(self, outcome: Outcome) -> Outcome:
        """Put the result of a job that is done, if it belongs in a store.

        Raises:
            ImageError: the store refuses.
        """
        found = self._begun.get(outcome.source) if isinstance(outcome.source, Path) else None
        if found is None or outcome.status != "done":
            return outcome
        job, item = found
        return replace(outcome, stored=put(job.destination, item.destination, item.stamp))

    def finish(self, outcome: Outcome) -> Outcome:
        """The outcome with the addresses of its files; the copies are removed."""
        found = self._begun.pop(outcome.source, None) if isinstance(outcome.source, Path) else None
        if found is None:
            return outcome
        job, item = found
        shutil.rmtree(job.source.parents[1], ignore_errors=True)
        return replace(renamed(outcome, job, item), transfer=item)

    def close(self) -> None:
        """Remove the copies of jobs that did not finish."""
        for job, _ in self._begun.values():
            shutil.rmtree(job.source.parents[1], ignore_errors=True)
        self._begun.clear()


class Renaming(Listener):
    """Forwards callbacks, with the original of each job."""

    def __init__(self, listener: Listener, transfers: Transfers) -> None:
        self._listener, self._transfers = listener, transfers

    def restoring(self, job: AnyJob) -> AbstractContextManager[Progress | None]:
        """Pass on."""
        return self._listener.restoring(self._transfers.original(job))

    def note(self, job: AnyJob, text: str) -> None:
        """Pass on."""
        self._listener.note(self._transfers.original(job), text)


def _safe(name: str) -> str:
    """A file name that is valid on every file system."""
    if len(name.encode("utf-8", "surrogateescape")) <= _LONGEST and not set(name) & {"/", "\\", "\0"}:
        return name
    return f"image{Path(name.replace(chr(0), '')).suffix[:20]}"
