"""Jobs become files: while one image is restored, the next is read and the last is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.output import Output
from restore.batch.stages import Task, Watch, Work
from restore.inference.restorer import Restorer

__all__ = ["run_all"]

_PATIENCE = 0.2  # seconds between two looks at what another process is working on


def run_all(
    jobs: Iterable[Job],
    restorer: Restorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
    watch: Watch = lambda _: nullcontext(),
) -> Iterator[Outcome]:
    """Read, restore and write images; whatever is wrong with one of them becomes a failed outcome.

    One thread reads and another writes; the network runs in the caller's own. Besides the image in the
    network at most one is read and one written, which bounds the memory. When the caller stops or something
    is raised, those two are finished first: neither a thread nor a part of a file is left behind.

    Several processes may work on one folder. What another one is working on comes last: by then it is done,
    or it is done here. What a killed process left in the folders of results is removed.

    Args:
        jobs: taken one by one, not more than two ahead of the outcomes.
        restorer: the model.
        output: how large results are to be, and how they are to be written.
        existing: what to do with an output that is there already; its image is then not read. ``skip`` keeps
            what was made of the same input by the same model with the same settings, makes anew what restore
            made otherwise, and fails for what restore did not make.
        max_pixels: the most that an image may have; `None` for the limit of `restore.images.read`.
        watch: for progress.

    Yields:
        An outcome for each job in their order, when the next image has left the network; those that another
        process was working on come after the others.

    Raises:
        MemoryError: there is no memory for an image; the images before it are done.
    """
    task = Task(restorer, output or Output(), existing, max_pixels)
    try:
        yield from _through(jobs, task, watch)
    finally:
        task.close()


def _through(jobs: Iterable[Job], task: Task, watch: Watch) -> Iterator[Outcome]:
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        written: Future[Outcome] | None = None
        try:
            for work in _read_ahead(reader, jobs, task):
                work.restore(watch)
                outcome = written.result() if written else None
                written = writer.submit(work.write)
                if outcome:
                    yield outcome
        except (Exception, KeyboardInterrupt):
            if written:
                yield written.result()  # it came before what was raised
            raise
        if written:
            yield written.result()


def _read_ahead(reader: ThreadPoolExecutor, jobs: Iterable[Job], task: Task) -> Iterator[Work]:
    """Each job with its image, while that of the next one is read; at last those that others had claimed."""
    waiting: list[Job] = []
    for work in _one_ahead(reader.submit(Work, job, task) for job in jobs):
        if work.claimed_by_another:
            waiting.append(work.job)
        else:
            yield work
    while waiting:
        time.sleep(_PATIENCE)
        still = []
        for job in waiting:
            work = reader.submit(Work, job, task).result()
            if work.claimed_by_another:
                still.append(job)
            else:
                yield work
        waiting = still


def _one_ahead(futures: Iterable[Future[Work]]) -> Iterator[Work]:
    upcoming: Future[Work] | None = None
    for following in futures:
        if upcoming:
            yield upcoming.result()
        upcoming = following
    if upcoming:
        yield upcoming.result()
