"""Jobs become files: while one image is restored, the next is read and the last is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

from restore.errors import ImageError, RestoreError
from restore.images import Photo, Provenance, read, read_provenance, write
from restore.inference.batch import Existing, Job, Outcome
from restore.inference.claims import Claim, claim, sweep
from restore.inference.done import Done
from restore.inference.output import Output, resized
from restore.inference.record import remember
from restore.inference.restorer import Progress, Restorer

__all__ = ["Watch", "run_all"]

T = TypeVar("T")

Watch = Callable[[Job], AbstractContextManager[Progress | None]]
"""Entered for as long as a job is in the network; what it gives is told how far that is."""

_PATIENCE = 0.2  # seconds between two looks at what another process is working on


def run_all(
    jobs: Iterable[Job],
    restorer: Restorer,
    *,
    output: Output | None = None,
    existing: Existing = "overwrite",
    max_pixels: int | None = None,
    watch: Watch = lambda _: nullcontext(),
) -> Iterator[Outcome]:
    """Read, restore and write images; whatever is wrong with one of them becomes a failed outcome.

    One thread reads and another writes; the network runs in the caller's own. Besides the image in the
    network at most one is read and one written, which bounds the memory. When the caller stops or something
    is raised, those two are finished first: neither a thread nor a part of a file is left behind.

    Several processes may work on one folder. What another one is working on comes last: by then it is done,
    or it is done here. What a killed process left in the folders of results is removed.

    Args:
        jobs: taken one by one, not more than two ahead of the outcomes.
        restorer: the model.
        output: how large results are to be, and how they are to be written.
        existing: what to do with an output that is there already; its image is then not read. ``skip`` keeps
            what was made of the same input by the same model with the same settings, makes anew what restore
            made otherwise, and fails for what restore did not make.
        max_pixels: the most that an image may have; `None` for the limit of `restore.images.read`.
        watch: for progress.

    Yields:
        An outcome for each job in their order, when the next image has left the network; those that another
        process was working on come after the others.

    Raises:
        MemoryError: there is no memory for an image; the images before it are done.
    """
    task = _Task(restorer, output or Output(), existing, max_pixels)
    try:
        yield from _through(jobs, task, watch)
    finally:
        task.close()


def _through(jobs: Iterable[Job], task: _Task, watch: Watch) -> Iterator[Outcome]:
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        written: Future[Outcome] | None = None
        try:
            for work in _read_ahead(reader, jobs, task):
                work.restore(watch)
                outcome = written.result() if written else None
                written = writer.submit(work.write)
                if outcome:
                    yield outcome
        except (Exception, KeyboardInterrupt):
            if written:
                yield written.result()  # it came before what was raised
            raise
        if written:
            yield written.result()


def _read_ahead(reader: ThreadPoolExecutor, jobs: Iterable[Job], task: _Task) -> Iterator[_Work]:
    """Each job with its image, while that of the next one is read; at last those that others had claimed."""
    waiting: list[Job] = []
    for work in _one_ahead(reader.submit(_Work, job, task) for job in jobs):
        if work.claimed_by_another:
            waiting.append(work.job)
        else:
            yield work
    while waiting:
        time.sleep(_PATIENCE)
        still = []
        for job in waiting:
            work = reader.submit(_Work, job, task).result()
            if work.claimed_by_another:
                still.append(job)
            else:
                yield work
        waiting = still


def _one_ahead(futures: Iterable[Future[_Work]]) -> Iterator[_Work]:
    upcoming: Future[_Work] | None = None
    for following in futures:
        if upcoming:
            yield upcoming.result()
        upcoming = following
    if upcoming:
        yield upcoming.result()


class _Task:
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

    def read(self, source: Path) -> Photo:
        """As `restore.images.read`."""
        return read(source, **self._limit)

    def claim(self, destination: Path) -> Claim | None:
        """As `restore.inference.claims.claim`."""
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


class _Work:
    """A job on its way through the three stages: a photo, or an outcome as soon as that is settled."""

    def __init__(self, job: Job, task: _Task) -> None:
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
        photo = self._state
        if isinstance(photo, Photo):
            with watch(self.job) as progress:
                self._state = self._tried(lambda: self._restored(photo, progress))

    def write(self) -> Outcome:
        photo = self._state
        try:
            if isinstance(photo, Photo):
                return self._tried(lambda: self._written(photo)) or self._done(photo)
            if photo is None:
                raise RuntimeError(f"'{self.job.source}' was never begun")
            return photo
        finally:
            if self._claim:
                self._task.release(self._claim)

    def _begin(self) -> Photo | Outcome | None:
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
        photo = self._task.read(source)
        if _stamp(source) != before:
            raise ImageError(f"'{source}' changed while it was read: run this again")
        return photo

    def _restored(self, photo: Photo, progress: Progress | None) -> Photo:
        output, restorer = self._task.output, self._task.restorer
        height, width = photo.color.shape[-2:]
        self._notes = output.notes((width, height), restorer.scale)
        restored = restorer.upscale(photo, progress)
        return resized(restored, output.size((width, height), restorer.scale))

    def _written(self, photo: Photo) -> None:
        held, output, provenance = self._claim, self._task.output, self._provenance
        if held is None or provenance is None:
            raise RuntimeError(f"'{self.job.source}' was never begun")
        with _cannot_write(self.job.destination, held.temporary):
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

    def _done(self, photo: Photo) -> Outcome:
        height, width = photo.color.shape[-2:]
        frames = (f"only the first of its {photo.frames} frames was used",) if photo.frames > 1 else ()
        return Outcome(
            self.job.source,
            "done",
            self.job.destination,
            size=(width, height),
            seconds=self._seconds,
            notes=frames + self._notes,
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
