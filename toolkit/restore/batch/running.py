"""Run the jobs of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from restore.batch.executor import Executor, Settings
from restore.batch.jobs import AnyJob, Existing, Listener, Outcome
from restore.batch.output import Output
from restore.batch.pipeline import Pipeline
from restore.inference import AnyRestorer

__all__ = ["run_all"]


def run_all(
    jobs: Iterable[AnyJob],
    restorer: AnyRestorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> Iterator[Outcome]:
    """Read, restore and write images; whatever goes wrong with one of them becomes a failed outcome.

    Args:
        jobs: taken one by one, only a few ahead of the outcomes.
        restorer: the model.
        output: size and encoding of the results.
        existing: what to do with a result that exists; its image is then not read. ``skip`` keeps what was
            made of the same input by the same model with the same settings, makes what restore made otherwise
            again, and fails for what restore did not make.
        max_pixels: the most that an image may have; `None` is the limit of `restore.images.read`.
        listener: hears about progress and waiting.
        executor: what runs the jobs; `None` is a `Pipeline` in this process.

    Yields:
        An outcome for each job; the executor decides on their order, which for a `Pipeline` is that of the
        jobs.

    Example:
        >>> from restore.inference import load
        >>> list(run_all([], load("bicubic")))
        []
    """
    settings = Settings(restorer, output or Output(), existing, max_pixels, listener or Listener())
    yield from (executor or Pipeline()).run(jobs, settings)
