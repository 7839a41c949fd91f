"""The interface between a batch and whatever runs its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from restore.batch.jobs import AnyJob, Existing, Listener, Outcome
from restore.batch.output import Output
from restore.inference import AnyRestorer

__all__ = ["Executor", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What all jobs of a batch share; see `restore.batch.run_all`.

    >>> from restore.inference import load
    >>> settings = Settings(load("bicubic", scale=2), Output(quality=90), existing="skip")
    >>> settings.restorer.scale, settings.output.quality
    (2, 90)
    """

    restorer: AnyRestorer
    output: Output = field(default_factory=Output)
    existing: Existing = "overwrite"
    max_pixels: int | None = None
    listener: Listener = field(default_factory=Listener)


class Executor(Protocol):
    """Runs the jobs of a batch: in this process, or elsewhere.

    >>> from pathlib import Path
    >>> from restore.batch import Job, run_all
    >>> from restore.inference import load
    >>> class DryRun:
    ...     def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
    ...         for job in jobs:
    ...             yield Outcome(job.source, "planned", job.destination)
    >>> jobs = [Job(Path("a.png"), Path("a_x4.png"))]
    >>> [outcome.status for outcome in run_all(jobs, load("bicubic"), executor=DryRun())]
    ['planned']
    """

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        """Yield one outcome per job.

        Whatever goes wrong with one image becomes a failed outcome. Jobs are taken only a few ahead of the
        outcomes, so that an iterator of millions is never held in memory. Closing the iterator ends the work.

        Args:
            jobs: in the order in which they should be started.
            settings: what all jobs share.
        """
