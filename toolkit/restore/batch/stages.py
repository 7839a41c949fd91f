"""What happens to one image, stage by stage: claimed and read, restored, written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.locking import Claim, claim, sweep
from restore.batch.output import Output, resized
from restore.batch.records import remember
from restore.batch.skipping import Done
from restore.errors import ImageError, RestoreError
from restore.images import (
    Animation,
    Photo,
    Provenance,
    holds_animation,
    losses,
    read,
    read_all,
    read_provenance,
    write,
    write_animation,
)
from restore.inference.restorer import Progress, Restorer

__all__ = ["Task", "Watch", "Work"]

T = TypeVar("T")

Watch = Callable[[Job], AbstractContextManager[Progress | None]]
"""Entered for as long as a job is in the network; what it gives is told how far that is."""


class Task:
    """What all jobs of a batch share."""

    def __init__(
        self, restorer: Restorer, output: Output, existing: Existing, max_pixels: int | None
    ) -> None:
        self.restorer = restorer
        self.output = output
        self.done = Done(restorer, output, existing)
        self._limit: dict[str, int] = {} if max_pixels is None else {"max_pixels": max_pixels}
        self._claims: set[Claim] = set()
        self._swept: set[Path] = set()
        self._made: list[Path] = []

    def read(self, job: Job) -> Photo | Animation:
        """All frames, where the output has a place for them."""
        first = read(job.source, **self._limit)
        moving = first.frames > 1 and holds_animation(job.destination)
        return read_all(job.source, **self._limit) if moving else first

    def claim(self, destination: Path) -> Claim | None:
        """As `restore.batch.locking.claim`."""
        with _cannot_write(destination):
            found = claim(destination)
        if found:
            self._claims.add(found)
            self._made += found.made
        return found

    def sweep(self, folder: Path) -> None:
        """Remove what killed processes left in a folder of results, once."""
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(folder)

    def release(self, held: Claim) -> None:
        """Let others have a result."""
        self._claims.discard(held)
        held.release()

    def close(self) -> None:
        """Release what was given up on its way, and remove folders that were made for nothing."""
        for held in list(self._claims):
            self.release(held)
        for folder in reversed(self._made):
            with suppress(OSError):  # it holds something now
                folder.rmdir()


class Work:
    """A job on its way through the three stages: a photo, or an outcome as soon as that is settled.

    The first one is its making: to see whether there is anything to do, to claim the result, to read.
    """

    def __init__(self, job: Job, task: Task) -> None:
        self.job = job
        self._task = task
        self._seconds = 0.0
        self._claim: Claim | None = None
        self._provenance: Provenance | None = None
        self._notes: tuple[str, ...] = ()
        self._state = self._tried(self._begin)

    @property
    def claimed_by_another(self) -> bool:
        """There is nothing to do as long as another process works on it."""
        return self._state is None

    def restore(self, watch: Watch) -> None:
        """The second stage, in the caller's thread."""
        photo = self._state
        if isinstance(photo, Photo | Animation):
            with watch(self.job) as progress:
                self._state = self._tried(lambda: self._restored(photo, progress))

    def write(self) -> Outcome:
        """The third stage."""
        photo = self._state
        try:
            if isinstance(photo, Photo | Animation):
                return self._tried(lambda: self._written(photo)) or self._done(photo)
            if photo is None:
                raise RuntimeError(f"'{self.job.source}' was never begun")
            return photo
        finally:
            if self._claim:
                self._task.release(self._claim)

    def _begin(self) -> Photo | Animation | Outcome | None:
        """`None` if another process works on it."""
        source, done = self.job.source, self._task.done
        self._task.sweep(self.job.destination.parent)
        if settled := done.settled(self.job):
            return settled
        self._claim = self._task.claim(self.job.destination)
        if self._claim is None:
            return None
        if settled := done.settled(self.job):  # by another process, just before
            return settled
        before = _stamp(source)
        self._provenance = done.provenance(self.job)
        photo = self._task.read(self.job)
        if _stamp(source) != before:
            raise ImageError(f"'{source}' changed while it was read: run this again")
        return photo

    def _restored(self, photo: Photo | Animation, progress: Progress | None) -> Photo | Animation:
        if isinstance(photo, Photo):
            return self._enlarged(photo, progress)
        frames = []
        for frame in photo.frames:
            frames.append(self._enlarged(frame, None))
            if progress:
                progress(len(frames) / len(photo.frames))
        return replace(photo, frames=tuple(frames))

    def _enlarged(self, photo: Photo, progress: Progress | None) -> Photo:
        output, restorer = self._task.output, self._task.restorer
        height, width = photo.color.shape[-2:]
        self._notes = output.notes((width, height), restorer.scale)
        restored = restorer.upscale(photo, progress)
        return resized(restored, output.size((width, height), restorer.scale))

    def _written(self, photo: Photo | Animation) -> None:
        held, output, provenance = self._claim, self._task.output, self._provenance
        if held is None or provenance is None:
            raise RuntimeError(f"'{self.job.source}' was never begun")
        with _cannot_write(self.job.destination, held.temporary):
            if isinstance(photo, Animation):
                write_animation(
                    photo,
                    held.temporary,
                    quality=output.quality,
                    provenance=provenance,
                    strip=output.strip,
                )
            else:
                write(
                    photo,
                    held.temporary,
                    small=output.small,
                    quality=output.quality,
                    provenance=provenance,
                    strip=output.strip,
                )
            if read_provenance(held.temporary) != provenance:
                remember(held.temporary, self.job.destination.name, provenance)
            held.publish()

    def _tried(self, stage: Callable[[], T]) -> T | Outcome:
        begin = time.perf_counter()
        try:
            return stage()
        except RestoreError as error:
            return Outcome(self.job.source, "failed", self.job.destination, str(error), error=error)
        finally:
            self._seconds += time.perf_counter() - begin

    def _done(self, photo: Photo | Animation) -> Outcome:
        first = photo.frames[0] if isinstance(photo, Animation) else photo
        height, width = first.color.shape[-2:]
        notes = (*first.notes, *losses(first, self.job.destination), *self._notes)
        if isinstance(photo, Photo) and photo.frames > 1:
            notes += (f"only the first of its {photo.frames} frames was used",)
        return Outcome(
            self.job.source,
            "done",
            self.job.destination,
            size=(width, height),
            seconds=self._seconds,
            notes=notes,
        )


@contextmanager
def _cannot_write(destination: Path, temporary: Path | None = None) -> Iterator[None]:
    """What the disk refuses, in one sentence about `destination`."""
    try:
        yield
    except ImageError as error:
        if temporary is None:
            raise
        raise ImageError(str(error).replace(str(temporary), str(destination))) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(
            f"cannot write '{destination}': {reason}; make room or choose another place"
        ) from error


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is written to."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
