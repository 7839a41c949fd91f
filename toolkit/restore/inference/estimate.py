"""What a batch would do, before it does anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import torch

from restore.errors import ImageError, RestoreError
from restore.images import size_of
from restore.inference.batch import Existing, Job, Outcome
from restore.inference.done import Done
from restore.inference.output import Output
from restore.inference.restorer import Restorer

__all__ = ["preview"]

_SIDE = 128  # input pixels of the tile that is measured
_INPUT = 16  # bytes an input pixel: levels as they were decoded, and float32
_OUTPUT = 3  # bytes an output pixel: levels
_SECOND = 3  # as many again: what an encoder that needs the whole picture takes, or what is resized


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
    for job in jobs:
        try:
            if settled := done.settled(job):
                yield settled
                continue
            width, height = size_of(job.source)
            if max_pixels is not None and width * height > max_pixels:
                raise ImageError(f"cannot read '{job.source}': it has more than {max_pixels} pixels")
        except RestoreError as error:
            yield Outcome(job.source, "failed", job.destination, str(error), error=error)
            continue
        size = wanted.size((width, height), restorer.scale)
        native = width * height * restorer.scale**2
        pictures = _INPUT * width * height + _OUTPUT * native
        if (
            job.destination.suffix.lower() != ".png"
            or wanted.small
            or size
            != (
                restorer.scale * width,
                restorer.scale * height,
            )
        ):
            pictures += _SECOND * native
        yield Outcome(
            job.source,
            "planned",
            job.destination,
            size=size,
            seconds=seconds_a_pixel * width * height,
            notes=wanted.notes((width, height), restorer.scale),
            source_size=(width, height),
            memory=base + restorer.working_memory(height, width) + pictures,
        )


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
