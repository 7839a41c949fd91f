"""The three stages of one image of a batch: `load`, `restore` and `save`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from restore.batch.estimate import seconds_per_pixel
from restore.batch.jobs import AnyJob, Existing, Job, Listener, Outcome
from restore.batch.locking import Claim, claim, holder, sweep
from restore.batch.memory import UNCHANGED, needed
from restore.batch.output import Output
from restore.batch.records import UnusableRecordError, remember
from restore.batch.skipping import Results
from restore.batch.work import Work, first_frame
from restore.batch.writing import is_copied, losses_of, write_result, writing
from restore.errors import ImageError
from restore.files import stamp
from restore.images import (
    MAX_PIXELS,
    Animation,
    Photo,
    Provenance,
    holds_animation,
    read,
    read_all,
    readable,
    stores_provenance,
)
from restore.inference import AnyRestorer, AutoRestorer
from restore.inference.restorer import Selected
from restore.inference.sizing import resized
from restore.inference.tiles import Progress

__all__ = ["Batch", "load", "restore", "save"]

_LARGE = 64_000_000  # pixels of a result that a user may not expect


@dataclass
class Batch:
    """State that all jobs share: settings, held locks, and created folders.

    A context manager: at its end, locks are released and created folders that stayed empty are removed. It
    can be entered again.
    """

    restorer: AnyRestorer
    output: Output
    existing: Existing
    max_pixels: int | None
    listener: Listener
    _claims: dict[Job, Claim] = field(default_factory=dict)
    _swept: set[Path] = field(default_factory=set)
    _made: list[Path] = field(default_factory=list)
    _waiting: set[AnyJob] = field(default_factory=set)
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
        self._made.clear()

    def claim(self, job: Job) -> Claim | None:
        """Claim the result of a job; `None` while another process has it.

        Raises:
            ImageError: the folder cannot be written.
        """
        with writing(job):
            found = claim(job.destination)
        if found:
            self._claims[job] = found
            self._made += found.made
        return found

    def release(self, job: AnyJob) -> None:
        """Release the claim of a job, if it has one."""
        if isinstance(job, Job) and (held := self._claims.pop(job, None)):
            held.release()

    def waits(self, job: AnyJob) -> None:
        """Let the listener know for whom a job waits, once."""
        if isinstance(job, Job) and job not in self._waiting:
            self._waiting.add(job)
            process = holder(job.destination)
            self.listener.note(job, f"waits for {process}, which works on the same result")

    def sweep(self, folder: Path) -> None:
        """Remove what killed processes left in a folder of results, once."""
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(folder)

    def check_size(self, job: Job, restorer: AnyRestorer | None) -> None:
        """Refuse a result that cannot be made, and announce the first large one.

        Args:
            job: the image and its result.
            restorer: what restores it; `None` if it is left unchanged.

        Raises:
            ImageError: as for `restore.batch.memory.needed`.
        """
        need = needed(job, restorer or UNCHANGED, self.output, self.max_pixels)
        source, size = need.source, need.result
        if restorer is None or isinstance(restorer, AutoRestorer):
            return
        if size[0] * size[1] > _LARGE and not self._announced:
            self._announced = True
            seconds = seconds_per_pixel(restorer) * source[0] * source[1]
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
    batch.check_size(job, batch.restorer)
    before = stamp(job.source)
    picture = _read(job, batch.max_pixels)
    # From the first frame for all of them, so that an animation does not flicker.
    selected = batch.restorer.select(first_frame(picture), job.source)
    if isinstance(batch.restorer, AutoRestorer):
        batch.check_size(job, selected.restorer)
    provenance = _provenance(job, batch, selected)
    if stamp(job.source) != before:
        raise ImageError("the file changed while it was read", path=job.source, hint="run this again")
    return Work(job, held, provenance, picture, selected)


def restore(work: Work, batch: Batch, progress: Progress | None = None) -> Work:
    """Run the network on every frame; without one, change nothing."""
    picture, restorer = work.picture, work.selected.restorer
    if restorer is None:
        return work
    # The notes of a model that the user named were printed before.
    notes = restorer.notes if isinstance(batch.restorer, AutoRestorer) else ()
    height, width = first_frame(picture).color.shape[-2:]
    notes += batch.output.notes((width, height), restorer.scale)
    if isinstance(picture, Photo):
        return replace(work, picture=_restored(picture, work, batch.output, progress), notes=notes)
    frames: list[Photo] = []
    for frame in picture.frames:
        frames.append(_restored(frame, work, batch.output))
        if progress:
            progress(len(frames) / len(picture.frames))
    return replace(work, picture=replace(picture, frames=tuple(frames)), notes=notes)


def save(work: Work, batch: Batch) -> Outcome:
    """Write the result, move it into place and release the claim.

    Raises:
        ImageError: the format cannot hold it, or the disk refuses.
    """
    copied = is_copied(work, batch.output)
    notes = work.notes if copied else (*losses_of(work), *work.notes)
    with writing(work.job, work.claim.temporary):
        write_result(work, batch.output, copied=copied)
        if copied or batch.output.strip or not stores_provenance(work.claim.temporary):
            try:
                remember(work.claim.temporary, work.job.destination.name, work.provenance)
            except UnusableRecordError as error:
                notes += (f"{error}; until then this result is not recognized as done",)
        work.claim.publish()
    batch.release(work.job)
    height, width = first_frame(work.picture).color.shape[-2:]
    return Outcome(
        work.job.source,
        "done",
        work.job.destination,
        size=(width, height),
        seconds=work.seconds,
        notes=notes,
        choice=work.selected.choice,
    )


def _read(job: Job, max_pixels: int | None) -> Photo | Animation:
    """Read all frames if the output format can store them, otherwise the first."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    reads = read_all if holds_animation(job.destination) else read
    return reads(job.source, max_pixels=limit)


def _provenance(job: Job, batch: Batch, selected: Selected) -> Provenance:
    """The provenance of a result, with what was found in the image."""
    found = dict[str, float | None]()
    if selected.choice is not None and isinstance(batch.restorer, AutoRestorer):
        choice = selected.choice
        found = {"quality": choice.quality, "sigma": choice.noise, "blur": choice.blur}
    if selected.restorer is not None:
        wanted = selected.restorer.model.conditions
        found |= {name: value for name, value in selected.conditions.items() if wanted[name] == "auto"}
    estimated = sorted((name, f"{value:g}") for name, value in found.items() if value is not None)
    return replace(batch.results.provenance(job, selected.restorer), estimated=tuple(estimated))


def _restored(photo: Photo, work: Work, output: Output, progress: Progress | None = None) -> Photo:
    restorer = work.selected.restorer
    if restorer is None:
        return photo
    height, width = photo.color.shape[-2:]
    restored = restorer.upscale(photo, progress, work.selected.conditions)
    return resized(restored, output.size((width, height), restorer.output_scale))
