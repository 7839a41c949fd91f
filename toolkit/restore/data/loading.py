"""Batches of patches, loaded ahead in worker processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from restore.data.mixture import Samples
from restore.data.patches import Sample
from restore.errors import RestoreError

__all__ = ["CountedSampler", "batches"]


class CountedSampler(Sampler[list[int]]):
    """The sample indices of each batch from step `start` to `stop`, for one of `ranks` processes.

    A batch of `batch_size` samples is divided evenly, so that a step consists of the same samples whatever
    the number of processes.

    >>> list(CountedSampler(2, 4, batch_size=4, rank=1, ranks=2))
    [[10, 11], [14, 15]]
    """

    def __init__(self, start: int, stop: int, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.start = start
        self.stop = stop
        self.batch_size = batch_size
        self.rank = rank
        self.ranks = ranks

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.ranks
        for step in range(self.start, self.stop):
            first = step * self.batch_size + self.rank * share
            yield list(range(first, first + share))

    def __len__(self) -> int:
        return self.stop - self.start


def batches(samples: Samples, sampler: CountedSampler, workers: int = 0) -> Generator[Sample]:
    """The batches of `sampler`, loaded ahead in `workers` processes, or in this one without any.

    The workers start at once, and end when the generator is closed. They are forked, because the objects of
    plugins need not be picklable. A fork has no threads but its own copies of their locks: call this before
    torch or another library has started threads, or set `workers` to 0. The workers themselves compute in one
    thread, which needs none of the parent's. Where the system cannot fork, this process loads.

    Args:
        samples: by their index.
        sampler: assigns samples to batches.
        workers: number of processes.

    Yields:
        ``(B, 3, h, w)``, ``(B, 3, scale*h, scale*w)`` and ``(B, n)``.

    Raises:
        ImageError: an image cannot be read.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        workers = 0
    loader = DataLoader(
        _ErrorsAsSamples(samples),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_signals,
        multiprocessing_context="fork" if workers else None,
    )
    return _opened(iter(loader))


class _ErrorsAsSamples(Dataset[Sample | RestoreError]):
    """Returns an error as a sample: raised in a worker, its message would end up inside a traceback.

    Without traceback and cause: some libraries (tblib, which Dask installs) pickle them too, and unpickled
    they refer to frames of the loader, whose workers would live as long as the error.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Sample | RestoreError:
        try:
            return self.samples[index]
        except RestoreError as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)


def _opened(loaded: Iterator[Any]) -> Generator[Sample]:
    try:
        for batch in loaded:
            if isinstance(batch, RestoreError):
                raise batch
            yield Sample(*batch)
    finally:
        # Ends the workers; a traceback would keep the reference, and Python would wait for them at its exit.
        del loaded


def _collate(samples: list[Sample | RestoreError]) -> Any:
    errors = [sample for sample in samples if isinstance(sample, RestoreError)]
    return errors[0] if errors else default_collate(samples)


def _ignore_signals(worker: int) -> None:  # noqa: ARG001
    """Ctrl-C reaches every process of a terminal: the training process decides when the workers end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
