"""The size and memory of a result, checked before the image is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from restore.batch.jobs import Job
from restore.batch.output import Output
from restore.errors import ImageError
from restore.images import MAX_PIXELS, Header, header_of, holds_animation, longest_side, readable
from restore.inference.devices import available_memory
from restore.inference.sizing import Size, scaled

__all__ = ["UNCHANGED", "Need", "Sized", "needed"]

_INPUT = 12  # bytes per input pixel in float32, besides what decoding takes
_LEVELS = 3  # bytes per output pixel
_FRAME = 4  # bytes per pixel of each further frame of an animation, as levels
_RESIZING = 8  # bytes per pixel of one plane in float32, before and after


class Sized(Protocol):
    """What decides the size and memory of a result: a restorer, or `UNCHANGED`."""

    @property
    def scale(self) -> int:
        """See `restore.inference.Restorer.scale`."""
        ...

    @property
    def output_scale(self) -> float:
        """Output pixels per input pixel along one side."""
        ...

    def working_memory(self, height: int, width: int) -> int:
        """See `restore.inference.Restorer.working_memory`."""
        ...


@dataclass(frozen=True)
class _Unchanged:
    scale: int = 1
    output_scale: float = 1.0

    def working_memory(self, height: int, width: int) -> int:  # noqa: ARG002 - as for a restorer
        return 0


UNCHANGED = _Unchanged()
"""Images that no network changes."""


@dataclass(frozen=True)
class Need:
    """The size of one image and its result, and the memory that they need."""

    source: Size
    result: Size
    memory: int
    """Estimated peak in bytes, in addition to what the process already uses."""


def needed(job: Job, restorer: Sized, output: Output, max_pixels: int | None = None) -> Need:
    """Read the size of an image from its header, and refuse a result that cannot be made.

    Args:
        job: the image and its result.
        restorer: the model with its tiles.
        output: the size and encoding of the result.
        max_pixels: the most that the image may have; `None` is the limit of `restore.images.read`.

    Raises:
        ImageError: the header cannot be read, the result has a longer side than its format allows, or there
            is too little memory.
    """
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    header = header_of(job.source, max_pixels=limit, all_frames=holds_animation(job.destination))
    source = header.size
    result = output.size(source, restorer.output_scale)
    longest = longest_side(job.destination)
    if max(result) > longest:
        wider = "" if job.destination.suffix.lower() == ".png" else "set `format` to 'png' or "
        raise ImageError(
            f"the result of {result[0]}x{result[1]} is too large for {job.destination.suffix}, which "
            f"stores at most {longest} pixels per side",
            path=job.source,
            hint=f"{wider}reduce `scale`, `width` or `height`",
        )
    need = Need(source, result, _memory(header, job.destination.suffix, restorer, output))
    _check_memory(job, need)
    return need


def _memory(header: Header, suffix: str, restorer: Sized, output: Output) -> int:
    """Estimated peak memory in bytes for one image, beside what the process holds already.

    Args:
        header: of the input.
        suffix: of the result: PNG is encoded in strips, other formats at once.
        restorer: the model with its tiles.
        output: the size of the result.
    """
    source, declared = header.size, header.declared
    width, height = source
    restored = _area(scaled(source, restorer.scale))
    result = _area(output.size(source, restorer.output_scale))
    network = (
        restorer.working_memory(height, width)
        + _INPUT * width * height
        + declared.memory
        + _LEVELS * restored
    )
    in_strips = suffix.lower() == ".png" and not output.small
    encoding = (_LEVELS if in_strips else 2 * _LEVELS) * result
    others = _FRAME * (declared.frames - 1) * result  # restored frames are kept until all are written
    if result == restored:
        return others + max(network, network + encoding - _LEVELS * result)
    resizing = _LEVELS * restored + _RESIZING * max(restored, result) + _LEVELS * result
    return others + max(network, resizing, encoding)


def _check_memory(job: Job, need: Need) -> None:
    """Raise `ImageError` with both amounts if less memory is available than needed."""
    available = available_memory()
    if available is not None and need.memory > available:
        raise ImageError(
            f"{need.source[0]}x{need.source[1]} would become {need.result[0]}x{need.result[1]}, which takes "
            f"about {readable(need.memory)} of memory, and {readable(available)} are available",
            path=job.source,
            hint="reduce `scale`, `width` or `height`",
        )


def _area(size: Size) -> int:
    return size[0] * size[1]
