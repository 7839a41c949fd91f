"""The memory that an image will take, known before it is read."""

from __future__ import annotations

from pathlib import Path

from restore.batch.output import Output
from restore.errors import ImageError
from restore.inference.devices import available_memory
from restore.inference.restorer import Restorer
from restore.inference.sizing import Size, scaled

__all__ = ["check_memory", "needed_memory", "readable"]

_INPUT = 16  # bytes per input pixel: levels as they were decoded, and float32
_LEVELS = 3  # bytes per output pixel
_RESIZING = 8  # bytes per pixel of one plane in float32, before and after


def needed_memory(source: Size, suffix: str, restorer: Restorer, output: Output) -> int:
    """Estimated peak memory in bytes for one image, beside what the process holds already.

    Args:
        source: width and height of the input in pixels.
        suffix: of the result: PNG is encoded in strips, other formats at once.
        restorer: the model with its tiles.
        output: the size of the result.
    """
    width, height = source
    restored = _area(scaled(source, restorer.scale))
    result = _area(output.size(source, restorer.output_scale))
    network = restorer.working_memory(height, width) + _INPUT * width * height + _LEVELS * restored
    in_strips = suffix.lower() == ".png" and not output.small
    encoding = (_LEVELS if in_strips else 2 * _LEVELS) * result
    if result == restored:
        return max(network, network + encoding - _LEVELS * result)
    resizing = _LEVELS * restored + _RESIZING * max(restored, result) + _LEVELS * result
    return max(network, resizing, encoding)


def check_memory(job_source: Path, source: Size, needed: int, output: Size) -> None:
    """Refuse an image for which this machine has too little memory.

    Args:
        job_source: the file, for the message.
        source: width and height of the input in pixels.
        needed: from `needed_memory`.
        output: width and height of the result in pixels.

    Raises:
        ImageError: names both amounts.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise ImageError(
            f"{source[0]}x{source[1]} would become {output[0]}x{output[1]}, which takes about "
            f"{readable(needed)} of memory, and {readable(available)} are available",
            path=job_source,
            hint="reduce `scale`, `width` or `height`",
        )


def readable(size: float) -> str:
    """A number of bytes for people.

    >>> readable(3 * 2**30)
    '3.0 GiB'
    >>> readable(200 * 2**20)
    '200 MiB'
    """
    if size < 2**30:
        return f"{size / 2**20:,.0f} MiB"
    return f"{size / 2**30:,.1f} GiB" if size < 2**40 else f"{size / 2**40:,.1f} TiB"


def _area(size: Size) -> int:
    return size[0] * size[1]
