"""Run jobs on the workers of a Dask cluster."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from distributed import get_worker

from restore.batch.executor import Settings
from restore.batch.jobs import AnyJob, Existing, Job, Listener, Outcome, Transfer, renamed
from restore.batch.output import Output
from restore.batch.pipeline import run_stages
from restore.batch.stages import Batch
from restore.batch.stores.transfers import Transfers
from restore.cluster import Cluster, Killed, Recipe, Reply, kept, weights_of
from restore.errors import ImageError
from restore.threads import inherit_cores

__all__ = ["ClusterExecutor"]


class ClusterExecutor:
    """The executor of a cluster: each worker runs the stages of one job after the other.

    Jobs name files of stores, or files that all workers reach under the same path. A worker loads the model
    once, in the precision that the client chose. Outcomes come as jobs are finished, in any order.

    Args:
        cluster: from `restore.cluster.connect`.
        device: of the workers, as for `restore.inference.load`.
    """

    def __init__(self, cluster: Cluster, device: str = "auto") -> None:
        self._cluster, self._device = cluster, device

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        """Yield outcomes as jobs are finished.

        Raises:
            RestoreError: the scheduler is gone, or a worker cannot load the model.
        """
        recipe = Recipe.of(settings.restorer, self._device)
        work = _Restoring(recipe, settings.output, settings.existing, settings.max_pixels)
        sent = map(_Sent, jobs)
        replies = self._cluster.map(work, sent, weights_of(recipe), settings.listener.workers)
        for item, reply in replies:
            yield _outcome(item.job, reply)


@dataclass(frozen=True)
class _Sent:
    """A job with the client's working directory, to which its paths are relative."""

    job: AnyJob
    folder: Path = field(default_factory=Path.cwd)

    @property
    def absolute(self) -> AnyJob:
        """The same job for any working directory."""
        if isinstance(self.job, Transfer):
            return self.job
        return Job(self.folder / self.job.source, self.folder / self.job.destination)


@dataclass(frozen=True)
class _Restoring:
    """What a worker does with a job."""

    recipe: Recipe
    output: Output
    existing: Existing
    max_pixels: int | None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Differs for each run: by the next one, files can have changed."""

    def __call__(self, sent: _Sent, contents: Mapping[str, bytes]) -> Outcome:
        inherit_cores()
        notes, absolute = _Notes(), sent.absolute
        batch = self._batch(contents)
        batch.listener = notes
        transfers = Transfers(Path(get_worker().local_directory))
        with batch:
            (outcome,) = run_stages([absolute], batch, transfers)
        if isinstance(absolute, Job):
            outcome = renamed(outcome, absolute, sent.job)
        return replace(outcome, notes=(*notes.texts, *outcome.notes))

    def _batch(self, contents: Mapping[str, bytes]) -> Batch:
        """The batch of this thread and run, which remembers the folders that it has seen."""
        restorer, batches = kept(self.recipe, lambda: (self.recipe.restorer(contents), dict[str, Batch]()))
        if self.run not in batches:
            batches.clear()
            batches[self.run] = Batch(restorer, self.output, self.existing, self.max_pixels, Listener())
        return batches[self.run]


class _Notes(Listener):
    """Keeps what the client should report."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, job: AnyJob, text: str) -> None:  # noqa: ARG002 - the signature of `Listener`
        self.texts.append(text)


def _outcome(job: AnyJob, reply: Reply[Outcome] | Killed) -> Outcome:
    if isinstance(reply, Killed):
        error = ImageError(
            f"{reply.count} workers ended while they worked on it, the last one at {reply.worker}",
            path=job.source,
            hint="leave it out, or give the workers more memory",
        )
        return Outcome(job.source, "failed", job.destination, error=error)
    if reply.value.error is not None:
        reply.value.error.problem += f" (on worker {reply.worker})"
    return reply.value
