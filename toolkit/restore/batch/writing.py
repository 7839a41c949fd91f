"""Write the result of one image: encode it, or copy the file of an image that was left unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restore.batch.jobs import Job
from restore.batch.output import Output
from restore.batch.work import Work, first_frame
from restore.errors import ImageError
from restore.files import sha256
from restore.images import WRITE_SUFFIXES, Animation, Photo, losses, suffix_of, write, write_animation
from restore.images.formats import format_of

__all__ = ["is_copied", "losses_of", "write_result", "writing"]


def write_result(work: Work, output: Output, *, copied: bool) -> None:
    """Write the result to its temporary place.

    Args:
        work: with the restored image.
        output: how it is encoded.
        copied: see `is_copied`.

    Raises:
        ImageError: the format cannot hold the image, or the source changed.
        OSError: the disk refuses.
    """
    place, picture = work.claim.temporary, work.picture
    if copied:
        shutil.copyfile(work.job.source, place)
        if sha256(place) != work.provenance.source:
            raise ImageError(
                "the file changed while it was copied", path=work.job.source, hint="run this again"
            )
    elif isinstance(picture, Animation):
        write_animation(
            picture, place, quality=output.quality, provenance=work.provenance, strip=output.strip
        )
    else:
        write(
            picture,
            place,
            small=output.small,
            quality=output.quality,
            provenance=work.provenance,
            strip=output.strip,
        )


def is_copied(work: Work, output: Output) -> bool:
    """Whether the file of an unchanged image is copied: decoded and encoded again, a JPEG would change."""
    source, destination = work.job.source, work.job.destination
    if work.selected.restorer is not None or output != Output():
        return False
    actual = Path(f"image{suffix_of(source)}")
    return (
        source.suffix.lower() in WRITE_SUFFIXES
        and format_of(source) == format_of(destination)
        and format_of(actual) == format_of(destination)
    )


def losses_of(work: Work) -> tuple[str, ...]:
    """Notes on what the result does not keep of its input."""
    first = first_frame(work.picture)
    notes = (*first.notes, *losses(first, work.job.destination))
    if isinstance(work.picture, Photo) and first.frames > 1:
        notes += (f"only the first of its {first.frames} frames was used",)
    return notes


@contextmanager
def writing(job: Job, temporary: Path | None = None) -> Iterator[None]:
    """Turn an `OSError` in the block into an `ImageError` about the result."""
    try:
        yield
    except ImageError as error:  # of an encoder, about the file under its temporary name
        if temporary is None:
            raise
        if error.path is not None and Path(error.path) == temporary:
            error.path = job.destination
        error.problem = error.problem.replace(str(temporary), str(job.destination))
        raise
    except OSError as error:
        raise ImageError(
            f"cannot write the result: {error.strerror or error}",
            path=job.destination,
            hint="free some space or choose another folder",
        ) from error
