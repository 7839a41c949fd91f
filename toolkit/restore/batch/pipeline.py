"""Run jobs in this process: while one image is restored, the next is read and the last is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from restore.batch import stages
from restore.batch.executor import Settings
from restore.batch.failures import failed
from restore.batch.jobs import AnyJob, Outcome, Transfer
from restore.batch.stages import Batch
from restore.batch.stores.transfers import Renaming, Transfers
from restore.batch.work import Work
from restore.threads import one_core_threads

__all__ = ["Pipeline", "overlapped", "run_stages"]

Stage = TypeVar("Stage", bound=Work | Outcome | None)

_PAUSE = 0.2  # seconds between two looks at what another process is working on
_PATIENCE = 3.0  # seconds before a user is told about it


class Pipeline:
    """The executor of this process: one thread reads, another writes, the network runs in the caller's own.

    Besides the image in the network at most one is read and one written, which bounds the memory. When the
    caller stops or is interrupted, those two are finished first: neither a thread nor a partial file is left
    behind.

    Several processes may work on one folder. What another one is working on comes last: by then it is done,
    or it is done here. What a killed process left in the folders of results is removed.

    >>> from pathlib import Path
    >>> from restore.batch.jobs import Job
    >>> from restore.inference import load
    >>> jobs = [Job(Path("missing.png"), Path("missing_x4.png"))]
    >>> [outcome.status for outcome in Pipeline().run(jobs, Settings(load("bicubic")))]
    ['failed']
    """

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        """Yield outcomes in the order of the jobs; those that another process works on come last."""
        transfers = Transfers()
        try:
            with Batch(
                settings.restorer,
                settings.output,
                settings.existing,
                settings.max_pixels,
                Renaming(settings.listener, transfers),
            ) as batch:
                yield from run_stages(jobs, batch, transfers)
        finally:
            transfers.close()


def run_stages(jobs: Iterable[AnyJob], batch: Batch, transfers: Transfers) -> Iterator[Outcome]:
    """Run the three stages of each job, those of different jobs at the same time."""

    def loaded(job: AnyJob) -> Work | Outcome | None:
        here = transfers.begin(job) if isinstance(job, Transfer) else job
        return _attempt(partial(stages.load, batch=batch), batch, here)

    def restored(work: Work) -> Work:
        with batch.listener.restoring(work.job) as progress:
            return stages.restore(work, batch, progress)

    def saved(work: Work) -> Outcome:
        return transfers.deliver(stages.save(work, batch))

    def finished(result: Stage | Outcome) -> Stage | Outcome:
        return transfers.finish(result) if isinstance(result, Outcome) else result

    yield from overlapped(
        jobs,
        load=lambda job: finished(_attempt(loaded, batch, job)),
        restore=lambda work: finished(_attempt(lambda _: restored(work), batch, work.job, work.seconds)),
        save=lambda work: transfers.finish(_attempt(lambda _: saved(work), batch, work.job, work.seconds)),
        wait=partial(_wait, batch),
    )


def overlapped(
    jobs: Iterable[AnyJob],
    *,
    load: Callable[[AnyJob], Work | Outcome | None],
    restore: Callable[[Work], Work | Outcome],
    save: Callable[[Work], Outcome],
    wait: Callable[[AnyJob, float], None],
) -> Iterator[Outcome]:
    """Run three stages at once, each on another job, and yield the outcomes in the order of the jobs.

    Args:
        jobs: taken one by one.
        load: called in a thread; `None` means that the job has to wait, and is tried again after the others.
        restore: called in the caller's thread with what `load` gave.
        save: called in another thread with what `restore` gave.
        wait: called before a job is tried again, with the seconds for which it has waited.
    """
    with one_core_threads(1) as reader, one_core_threads(1) as writer:
        saving: Future[Outcome] | None = None
        try:
            for loaded in _read_ahead(reader, jobs, load, wait):
                work = restore(loaded) if isinstance(loaded, Work) else loaded
                del loaded  # the image, whose memory the next one needs
                finished = saving.result() if saving else None
                saving = writer.submit(_saved, work, save)
                del work
                if finished:
                    yield finished
        except (Exception, KeyboardInterrupt):
            if saving:
                yield saving.result()  # it came before what was raised
            raise
        if saving:
            yield saving.result()


def _attempt(
    stage: Callable[[AnyJob], Stage], batch: Batch, job: AnyJob, seconds: float = 0.0
) -> Stage | Outcome:
    """Run one stage of one job; whatever it raises becomes its outcome."""
    begin = time.perf_counter()
    try:
        result = stage(job)
    except Exception as error:  # of a decoder, a plugin, PyTorch, the disk: the other images go on
        batch.release(job)
        return failed(job, error)
    spent = seconds + time.perf_counter() - begin
    return replace(result, seconds=spent) if isinstance(result, Work | Outcome) else result


def _saved(work: Work | Outcome, save: Callable[[Work], Outcome]) -> Outcome:
    return work if isinstance(work, Outcome) else save(work)


def _read_ahead(
    reader: ThreadPoolExecutor,
    jobs: Iterable[AnyJob],
    load: Callable[[AnyJob], Work | Outcome | None],
    wait: Callable[[AnyJob, float], None],
) -> Iterator[Work | Outcome]:
    """Yield what `load` returns for each job while the next one is loading; jobs that must wait come last."""
    waiting: list[AnyJob] = []
    for job, loading in _one_ahead((job, reader.submit(load, job)) for job in jobs):
        loaded = loading.result()
        del loading
        if loaded is None:
            waiting.append(job)
        else:
            yield loaded
            del loaded
    since = time.monotonic()
    while waiting:
        time.sleep(_PAUSE)
        for job in list(waiting):
            wait(job, time.monotonic() - since)
            loaded = reader.submit(load, job).result()
            if loaded is not None:
                waiting.remove(job)
                since = time.monotonic()
                yield loaded
                del loaded


T = TypeVar("T")


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the same items, one step behind: each after the next one has been taken.

    What the iterator raises comes after the items before it.
    """
    before: list[T] = []
    try:
        for item in items:
            yield from before
            before = [item]
    except Exception:
        yield from before
        raise
    yield from before


def _wait(batch: Batch, job: AnyJob, seconds: float) -> None:
    """After some seconds, report which process a job waits for."""
    if seconds >= _PATIENCE:
        batch.waits(job)
