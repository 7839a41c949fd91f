"""Jobs become files: while one image is restored, the next is read and the last is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Literal, TypeVar

from restore.errors import RestoreError
from restore.images import Animation, Photo, holds_animation, losses, read, read_all, write, write_animation
from restore.inference.batch import Job, Outcome
from restore.inference.restorer import Progress, Restorer

__all__ = ["Existing", "Watch", "run_all"]

T = TypeVar("T")

Existing = Literal["overwrite", "skip", "error"]
"""What to do with an output that is there already."""

Watch = Callable[[Job], AbstractContextManager[Progress | None]]
"""Entered for as long as a job is in the network; what it gives is told how far that is."""


def run_all(
    jobs: Iterable[Job],
    restorer: Restorer,
    *,
    existing: Existing = "overwrite",
    small: bool = False,
    watch: Watch = lambda _: nullcontext(),
) -> Iterator[Outcome]:
    """Read, restore and write images; whatever is wrong with one of them becomes a failed outcome.

    One thread reads and another writes; the network runs in the caller's own. Besides the image in the
    network at most one is read and one written, which bounds the memory. When the caller stops or something
    is raised, those two are finished first: neither a thread nor a part of a file is left behind.

    Args:
        jobs: taken one by one, not more than two ahead of the outcomes.
        restorer: the model.
        existing: what to do with an output that is there already; its image is then not read.
        small: as for `restore.images.write`.
        watch: for progress.

    Yields:
        An outcome for each job in their order, when the next image has left the network.

    Raises:
        MemoryError: there is no memory for an image; the images before it are done.
        OSError: an output folder cannot be looked into.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        written: Future[Outcome] | None = None
        try:
            for work in _read_ahead(reader, jobs, existing):
                work.restore(restorer, watch)
                outcome = written.result() if written else None
                written = writer.submit(work.write, small)
                if outcome:
                    yield outcome
        except (Exception, KeyboardInterrupt):
            if written:
                yield written.result()  # it came before what was raised
            raise
        if written:
            yield written.result()


def _read_ahead(reader: ThreadPoolExecutor, jobs: Iterable[Job], existing: Existing) -> Iterator[_Work]:
    """Each job with its image, while that of the next one is read."""
    upcoming: Future[_Work] | None = None
    for job in jobs:
        following = reader.submit(_Work, job, existing)
        if upcoming:
            yield upcoming.result()
        upcoming = following
    if upcoming:
        yield upcoming.result()


class _Work:
    """A job on its way through the three stages: a photo, or an outcome as soon as that is settled."""

    def __init__(self, job: Job, existing: Existing) -> None:
        self._job = job
        self._seconds = 0.0
        self._state = self._tried(lambda: _settled(job, existing) or _read(job))

    def restore(self, restorer: Restorer, watch: Watch) -> None:
        photo = self._state
        if not isinstance(photo, Outcome):
            with watch(self._job) as progress:
                self._state = self._tried(lambda: _restored(photo, restorer, progress))

    def write(self, small: bool) -> Outcome:
        photo = self._state
        if isinstance(photo, Outcome):
            return photo
        if isinstance(photo, Animation):
            failed = self._tried(lambda: write_animation(photo, self._job.destination))
        else:
            failed = self._tried(lambda: write(photo, self._job.destination, small=small))
        return failed or self._done(photo)

    def _tried(self, stage: Callable[[], T]) -> T | Outcome:
        begin = time.perf_counter()
        try:
            return stage()
        except RestoreError as error:
            return Outcome(self._job.source, "failed", self._job.destination, str(error))
        finally:
            self._seconds += time.perf_counter() - begin

    def _done(self, photo: Photo | Animation) -> Outcome:
        first = photo.frames[0] if isinstance(photo, Animation) else photo
        left_out = isinstance(photo, Photo) and photo.frames > 1
        only_first = (f"only the first of its {first.frames} frames was used",) if left_out else ()
        height, width = first.color.shape[-2:]
        return Outcome(
            self._job.source,
            "done",
            self._job.destination,
            size=(width, height),
            seconds=self._seconds,
            notes=(*first.notes, *losses(first, self._job.destination), *only_first),
        )


def _read(job: Job) -> Photo | Animation:
    """All frames, where the output has a place for them."""
    first = read(job.source)
    return read_all(job.source) if first.frames > 1 and holds_animation(job.destination) else first


def _restored(photo: Photo | Animation, restorer: Restorer, progress: Progress | None) -> Photo | Animation:
    if isinstance(photo, Photo):
        return restorer.upscale(photo, progress)
    frames = []
    for frame in photo.frames:
        frames.append(restorer.upscale(frame))
        if progress:
            progress(len(frames) / len(photo.frames))
    return replace(photo, frames=tuple(frames))


def _settled(job: Job, existing: Existing) -> Outcome | None:
    """The outcome of a job whose output must not be written, because there is one."""
    if existing == "overwrite" or not job.destination.exists():
        return None
    if existing == "skip":
        return Outcome(job.source, "skipped", job.destination)
    reason = f"'{job.destination}' is there already: use --existing overwrite or skip"
    return Outcome(job.source, "failed", job.destination, reason)
