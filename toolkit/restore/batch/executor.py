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
    """What all jobs of a batch share; see `restore.batch.run_all`."""

    restorer: AnyRestorer
    output: Output = field(default_factory=Output)
    existing: Existing = "overwrite"
    max_pixels: int | None = None
    listener: Listener = field(default_factory=Listener)


class Executor(Protocol):
    """Runs the jobs of a batch: in this process, or elsewhere."""

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        """Yield one outcome per job.

        Whatever goes wrong with one image becomes a failed outcome. Jobs are taken only a few ahead of the
        outcomes, so that an iterator of millions is never held in memory. Closing the iterator ends the work.

        Args:
            jobs: in the order in which they should be started.
            settings: what all jobs share.
        """
