"""What a batch would do, before it does anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import torch

from restore.batch.failures import failed
from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.memory import needed
from restore.batch.output import Output
from restore.batch.skipping import Results
from restore.inference.restorer import Restorer

__all__ = ["preview", "seconds_per_pixel"]

_SIDE = 128  # input pixels of the tile that is measured


def preview(
    jobs: Iterable[Job],
    restorer: Restorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
) -> Iterator[Outcome]:
    """Yield what `run_all` would do with these arguments. Nothing is written.

    Sizes are from the headers of the files, times from the network's own on one tile, which is measured
    first; reading and writing run at the same time. Memory is that of the process so far, the tile and the
    images. Damage further inside a file is not found.

    Yields:
        An outcome ``planned``, ``skipped`` or ``failed`` for each job.
    """
    wanted = output or Output()
    results = Results(restorer, wanted, existing)
    pace, base = seconds_per_pixel(restorer), _resident()
    for job in jobs:
        try:
            yield results.settled(job) or _planned(job, restorer, wanted, max_pixels, pace, base)
        except Exception as error:  # as in `run_all`: the other images are looked at
            yield failed(job, error)


def _planned(
    job: Job, restorer: Restorer, output: Output, max_pixels: int | None, pace: float, base: int
) -> Outcome:
    need = needed(job, restorer, output, max_pixels)
    return Outcome(
        job.source,
        "planned",
        job.destination,
        size=need.result,
        seconds=pace * need.source[0] * need.source[1],
        notes=output.notes(need.source, restorer.scale),
        source_size=need.source,
        memory=base + need.memory,
    )


def seconds_per_pixel(restorer: Restorer) -> float:
    """Seconds per input pixel in the network, measured on one tile."""
    tile = torch.rand(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    restorer.restore(tile)  # the first run is slower
    begin = time.perf_counter()
    restorer.restore(tile)
    return (time.perf_counter() - begin) / _SIDE**2


def _resident() -> int:
    """Peak memory of this process so far in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
