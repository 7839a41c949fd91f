"""Estimates for a dry run: what a batch would do, with time and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

import torch

from restore.batch.failures import failed
from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.memory import UNCHANGED, needed
from restore.batch.output import Output
from restore.batch.skipping import Results
from restore.images import MAX_PIXELS, read
from restore.inference import AnyRestorer, AutoRestorer, Restorer
from restore.inference.restorer import Selected

__all__ = ["preview", "seconds_per_pixel"]

_SIDE = 128  # input pixels of the tile that is measured
_paces: WeakKeyDictionary[Restorer, float] = WeakKeyDictionary()


def preview(
    jobs: Iterable[Job],
    restorer: AnyRestorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
) -> Iterator[Outcome]:
    """Yield what `run_all` would do with these arguments. Nothing is written.

    Sizes are from the headers of the files, times from the network's own on one tile, which is measured
    first; reading and writing run at the same time. Memory is that of the process so far, the tile and the
    images. Damage further inside a file is not found, except where images are read to choose their models.

    Yields:
        An outcome ``planned``, ``skipped`` or ``failed`` for each job.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from restore.inference import load
        >>> Image.new("RGB", (8, 6)).save("small.png")
        >>> job = Job(Path("small.png"), Path("small_x4.png"))
        >>> [(outcome.status, outcome.size) for outcome in preview([job], load("bicubic", scale=4))]
        [('planned', (32, 24))]
    """
    wanted = output or Output()
    results = Results(restorer, wanted, existing)
    planning = _Planning(restorer, wanted, max_pixels)
    for job in jobs:
        try:
            yield results.settled(job) or planning.planned(job)
        except Exception as error:  # as in `run_all`: the other images are looked at
            yield failed(job, error)


class _Planning:
    """Plans jobs."""

    def __init__(self, restorer: AnyRestorer, output: Output, max_pixels: int | None) -> None:
        self._restorer = restorer
        self._output = output
        self._max_pixels = max_pixels
        if not isinstance(restorer, AutoRestorer):
            seconds_per_pixel(restorer)
        self._base = _resident()

    def planned(self, job: Job) -> Outcome:
        selected = self._selected(job)
        restorer = selected.restorer or UNCHANGED
        need = needed(job, restorer, self._output, self._max_pixels)
        pace = seconds_per_pixel(selected.restorer) if selected.restorer else 0.0
        return Outcome(
            job.source,
            "planned",
            job.destination,
            size=need.result,
            seconds=pace * need.source[0] * need.source[1],
            notes=self._output.notes(need.source, restorer.scale),
            source_size=need.source,
            memory=self._base + need.memory,
            choice=selected.choice,
        )

    def _selected(self, job: Job) -> Selected:
        if not isinstance(self._restorer, AutoRestorer):
            return Selected(self._restorer)
        needed(job, self._restorer, self._output, self._max_pixels)  # before the image is read
        limit = MAX_PIXELS if self._max_pixels is None else self._max_pixels
        return self._restorer.select(read(job.source, max_pixels=limit), job.source)


def seconds_per_pixel(restorer: Restorer) -> float:
    """Seconds per input pixel in the network, measured on one tile the first time."""
    if (known := _paces.get(restorer)) is not None:
        return known
    tile = torch.rand(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    restorer.restore(tile)  # the first run is slower
    begin = time.perf_counter()
    restorer.restore(tile)
    _paces[restorer] = (time.perf_counter() - begin) / _SIDE**2
    return _paces[restorer]


def _resident() -> int:
    """Peak memory of this process so far in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
