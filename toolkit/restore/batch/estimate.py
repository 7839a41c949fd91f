"""What a batch would do, before it does anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import torch

from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.output import Output
from restore.batch.skipping import Done
from restore.errors import RestoreError
from restore.images import MAX_PIXELS, size_of
from restore.inference.restorer import Restorer

__all__ = ["preview"]

_SIDE = 128  # input pixels of the tile that is measured
_INPUT = 16  # bytes an input pixel: levels as they were decoded, and float32
_OUTPUT = 3  # bytes an output pixel: levels; as many again where an encoder or a filter needs them at once


def preview(
    jobs: Iterable[Job],
    restorer: Restorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
) -> Iterator[Outcome]:
    """What `run_all` would do with these arguments. Nothing is written.

    Sizes are from the headers of the files, times from the network's own on one tile, which is measured
    first; reading and writing are done beside it. Memory is that of the process so far, the tile and the
    pictures. A file that is damaged further inside is not found out.

    Yields:
        ``planned``, ``skipped`` or ``failed`` for each job.
    """
    wanted = output or Output()
    done = Done(restorer, wanted, existing)
    seconds_a_pixel = _measured(restorer)
    base = _resident()
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    for job in jobs:
        try:
            settled = done.settled(job)
            width, height = (0, 0) if settled else size_of(job.source, max_pixels=limit)
        except RestoreError as error:
            settled = Outcome(job.source, "failed", job.destination, str(error), error=error)
        yield settled or Outcome(
            job.source,
            "planned",
            job.destination,
            size=wanted.size((width, height), restorer.scale),
            seconds=seconds_a_pixel * width * height,
            notes=wanted.notes((width, height), restorer.scale),
            source_size=(width, height),
            memory=base + _memory(job, (width, height), restorer, wanted),
        )


def _memory(job: Job, size: tuple[int, int], restorer: Restorer, output: Output) -> int:
    """Bytes for the tile and the pictures of one job."""
    width, height = size
    enlarged = (restorer.scale * width, restorer.scale * height)
    pieces = job.destination.suffix.lower() == ".png" and not output.small
    copies = 1 if pieces and output.size(size, restorer.scale) == enlarged else 2
    pictures = _INPUT * width * height + copies * _OUTPUT * enlarged[0] * enlarged[1]
    return restorer.working_memory(height, width) + pictures


def _measured(restorer: Restorer) -> float:
    """Seconds an input pixel."""
    tile = torch.rand(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    restorer.restore(tile)  # the first time costs more
    begin = time.perf_counter()
    restorer.restore(tile)
    return (time.perf_counter() - begin) / _SIDE**2


def _resident() -> int:
    """Bytes that this process has held at its fullest; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
