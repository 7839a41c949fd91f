"""What happens to one image of a batch: `load`, then `restore`, then `save`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from restore.batch.estimate import seconds_per_pixel
from restore.batch.jobs import Existing, Job, Listener, Outcome
from restore.batch.locking import Claim, claim, holder, sweep
from restore.batch.memory import needed
from restore.batch.output import Output
from restore.batch.records import UnusableRecordError, remember
from restore.batch.skipping import Results
from restore.errors import ImageError
from restore.images import (
    MAX_PIXELS,
    Animation,
    Photo,
    Provenance,
    holds_animation,
    losses,
    read,
    read_all,
    readable,
    stores_provenance,
    write,
    write_animation,
)
from restore.inference.restorer import Progress, Restorer
from restore.inference.sizing import resized

__all__ = ["Batch", "Work", "load", "restore", "save"]

_LARGE = 64_000_000  # pixels of a result that a user may not expect


@dataclass(frozen=True)
class Work:
    """An image between two stages, and the claim on its result."""

    job: Job
    claim: Claim
    provenance: Provenance
    picture: Photo | Animation
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Spent on it so far."""


@dataclass
class Batch:
    """What all jobs share: settings, the claims that are held, and the folders that were made.

    A context manager: at its end claims are released, and folders removed that nothing was written into.
    """

    restorer: Restorer
    output: Output
    existing: Existing
    max_pixels: int | None
    listener: Listener
    _claims: dict[Job, Claim] = field(default_factory=dict)
    _swept: set[Path] = field(default_factory=set)
    _made: list[Path] = field(default_factory=list)
    _waiting: set[Job] = field(default_factory=set)
    _announced: bool = False

    def __post_init__(self) -> None:
        """Look at the results that exist as this batch would make them."""
        self.results = Results(self.restorer, self.output, self.existing)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in list(self._claims):
            self.release(job)
        for folder in reversed(self._made):
            with suppress(OSError):  # it has content now
                folder.rmdir()

    def claim(self, job: Job) -> Claim | None:
        """Claim the result of a job; `None` while another process has it.

        Raises:
            ImageError: the folder cannot be written.
        """
        with _writing(job):
            found = claim(job.destination)
        if found:
            self._claims[job] = found
            self._made += found.made
        return found

    def release(self, job: Job) -> None:
        """Release the claim of a job, if it has one."""
        if held := self._claims.pop(job, None):
            held.release()

    def waits(self, job: Job) -> None:
        """Let the listener know for whom a job waits, once."""
        if job not in self._waiting:
            self._waiting.add(job)
            process = holder(job.destination)
            self.listener.note(job, f"waits for {process}, which works on the same result")

    def sweep(self, folder: Path) -> None:
        """Remove what killed processes left in a folder of results, once."""
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(folder)

    def check_size(self, job: Job) -> None:
        """Refuse a result that cannot be made, and announce the first large one.

        Raises:
            ImageError: as for `restore.batch.memory.needed`.
        """
        need = needed(job, self.restorer, self.output, self.max_pixels)
        source, size = need.source, need.result
        if size[0] * size[1] > _LARGE and not self._announced:
            self._announced = True
            seconds = seconds_per_pixel(self.restorer) * source[0] * source[1]
            self.listener.note(
                job,
                f"{source[0]}x{source[1]} becomes {size[0]}x{size[1]} ({size[0] * size[1] / 1e6:.0f} "
                f"megapixels) in about {seconds:.0f} s with {readable(need.memory)} of memory; set "
                "`scale` or `width` for a smaller result",
            )


def load(job: Job, batch: Batch) -> Work | Outcome | None:
    """Claim the result of a job and read its image.

    Returns:
        `None` while another process works on it; an outcome if there is nothing to do.

    Raises:
        ImageError: the image cannot be read, or there is too little memory for it.
    """
    batch.sweep(job.destination.parent)
    if settled := batch.results.settled(job):
        return settled
    held = batch.claim(job)
    if held is None:
        return None
    if settled := batch.results.settled(job):  # by another process, just before
        batch.release(job)
        return settled
    batch.check_size(job)
    before = _stamp(job.source)
    provenance = batch.results.provenance(job)
    picture = _read(job, batch.max_pixels)
    if _stamp(job.source) != before:
        raise ImageError("the file changed while it was read", path=job.source, hint="run this again")
    return Work(job, held, provenance, picture)


def restore(work: Work, batch: Batch, progress: Progress | None = None) -> Work:
    """Run the network on every frame."""
    picture = work.picture
    first = picture if isinstance(picture, Photo) else picture.frames[0]
    # From the first frame for all of them, so that an animation does not flicker.
    conditions = batch.restorer.conditions_of(first, work.job.source)
    wanted = batch.restorer.model.conditions
    estimated = sorted((name, f"{value:g}") for name, value in conditions.items() if wanted[name] == "auto")
    work = replace(work, provenance=replace(work.provenance, estimated=tuple(estimated)))
    if isinstance(picture, Photo):
        restored = _restored(picture, batch, conditions, progress)
        return replace(work, picture=restored, notes=_size_notes(picture, batch))
    frames: list[Photo] = []
    for frame in picture.frames:
        frames.append(_restored(frame, batch, conditions))
        if progress:
            progress(len(frames) / len(picture.frames))
    notes = _size_notes(picture.frames[0], batch)
    return replace(work, picture=replace(picture, frames=tuple(frames)), notes=notes)


def save(work: Work, batch: Batch) -> Outcome:
    """Write the result, move it into place and release the claim.

    Raises:
        ImageError: the format cannot hold it, or the disk refuses.
    """
    notes = (*_losses(work), *work.notes)
    with _writing(work.job, work.claim.temporary):
        _write(work, batch.output)
        if batch.output.strip or not stores_provenance(work.claim.temporary):
            try:
                remember(work.claim.temporary, work.job.destination.name, work.provenance)
            except UnusableRecordError as error:
                notes += (f"{error}; until then this result is not recognized as done",)
        work.claim.publish()
    batch.release(work.job)
    first = work.picture.frames[0] if isinstance(work.picture, Animation) else work.picture
    height, width = first.color.shape[-2:]
    return Outcome(
        work.job.source,
        "done",
        work.job.destination,
        size=(width, height),
        seconds=work.seconds,
        notes=notes,
    )


def _read(job: Job, max_pixels: int | None) -> Photo | Animation:
    """All frames, where the format of the result has a place for them."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    first = read(job.source, max_pixels=limit)
    moves = first.frames > 1 and holds_animation(job.destination)
    return read_all(job.source, max_pixels=limit) if moves else first


def _restored(
    photo: Photo, batch: Batch, conditions: Mapping[str, float], progress: Progress | None = None
) -> Photo:
    height, width = photo.color.shape[-2:]
    restored = batch.restorer.upscale(photo, progress, conditions)
    return resized(restored, batch.output.size((width, height), batch.restorer.output_scale))


def _size_notes(source: Photo, batch: Batch) -> tuple[str, ...]:
    height, width = source.color.shape[-2:]
    return batch.output.notes((width, height), batch.restorer.scale)


def _write(work: Work, output: Output) -> None:
    place, picture = work.claim.temporary, work.picture
    if isinstance(picture, Animation):
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


def _losses(work: Work) -> tuple[str, ...]:
    """What the result does not carry of its input."""
    first = work.picture.frames[0] if isinstance(work.picture, Animation) else work.picture
    notes = (*first.notes, *losses(first, work.job.destination))
    if isinstance(work.picture, Photo) and first.frames > 1:
        notes += (f"only the first of its {first.frames} frames was used",)
    return notes


@contextmanager
def _writing(job: Job, temporary: Path | None = None) -> Iterator[None]:
    """Turn what the disk refuses into one sentence about the result."""
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
            hint="make room or choose another place",
        ) from error


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is written to."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
