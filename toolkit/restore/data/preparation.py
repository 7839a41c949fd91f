"""Clean training images from a folder of photographs, as EnhanceNet was trained on.

Photographs carry noise and traces of JPEG, which a model would learn to draw. Reduction by an
antialiased kernel averages them away: take large images, cut a central square, make it small.

::

    plan = make_plan(Path("coco"), Path("clean"), Settings(min_side=384, size=256, square=True))
    with closing(run(plan, threads=8)) as outcomes:
        for outcome in outcomes: ...
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tomli_w
import torch

from restore.data.folders import find_images
from restore.errors import DataError, ImageError, UsageError, escaped, first_line
from restore.files import atomic_file, remove_leftovers
from restore.images import Photo, check, read, size_of, write_atomic
from restore.resizing import imresize

__all__ = ["RECORD", "Job", "Outcome", "Plan", "Settings", "Status", "Tally", "make_plan", "run"]

RECORD = "prepared.toml"
"""In the folder of the results: how they were made."""

Status = Literal["done", "existing", "small", "gray", "transparent", "failed"]


@dataclass(frozen=True)
class Settings:
    """What is made of which images.

    Raises:
        UsageError: images of `min_side` would have to be enlarged.
    """

    min_side: int | None = None
    """Images whose short side has fewer pixels are left out; `None` is `size`."""
    size: int | None = None
    """Pixels of the result's short side; `None` keeps the size."""
    square: bool = False
    """Cut out the central square first."""
    keep_gray: bool = False
    """Do not leave out images without color."""
    format: Literal["png", "jpg"] = "png"

    def __post_init__(self) -> None:
        if self.size and self.min_side and self.min_side < self.size:
            raise UsageError(
                f"`min_side={self.min_side}` takes images that `size={self.size}` would have to enlarge",
                hint=f"use `min_side={self.size}` or more, or a smaller `size`",
            )

    @property
    def smallest(self) -> int:
        """The shortest side of an image that is used."""
        return self.min_side or self.size or 1


@dataclass(frozen=True)
class Job:
    """One image, and where its result goes."""

    source: Path
    destination: Path


@dataclass(frozen=True)
class Plan:
    """What is to be done, checked, with nothing written yet."""

    source: Path
    folder: Path
    settings: Settings
    jobs: list[Job]

    @property
    def record(self) -> dict[str, Any]:
        """What later calls for the same folder have to agree with."""
        given = {name: value for name, value in asdict(self.settings).items() if value is not None}
        return {"source": str(self.source.resolve()), "min_side": self.settings.smallest} | given


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    source: Path
    status: Status
    destination: Path | None = None
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    reason: str = ""
    """Why there is no result."""

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        content = asdict(self) | {"source": str(self.source)}
        return content | {"destination": str(self.destination) if self.destination else None}


class Tally:
    """Counts outcomes."""

    def __init__(self) -> None:
        self.counts: Counter[Status] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.counts[outcome.status] += 1

    @property
    def sentence(self) -> str:
        """For people."""
        count = self.counts
        left_out = [f"{count[why]} {why}" for why in ("small", "gray", "transparent") if count[why]]
        parts = [
            f"{count['done']} made",
            f"{count['existing']} there already" if count["existing"] else "",
            f"{', '.join(left_out)} left out" if left_out else "",
            f"{count['failed']} failed" if count["failed"] else "",
        ]
        return f"{count.total()} images: {'; '.join(filter(None, parts))}"


def make_plan(source: Path, folder: Path, settings: Settings) -> Plan:
    """Find the images below `source` and decide where each result goes, in a mirrored tree below `folder`.

    Images in `folder`, which may lie in `source`, are not taken for sources.

    Raises:
        DataError: `source` is missing or contains no image.
        UsageError: two images would be written to one file, `folder` is in use for something else, was
            made in another way, or has `source` in it.
    """
    inside = folder.resolve()
    if source.resolve().is_relative_to(inside):
        raise UsageError(
            "the images in this folder would be among their results",
            path=source,
            hint="choose another folder for the results",
        )
    nested = inside.is_relative_to(source.resolve())
    found = [file for file in find_images([source]) if not (nested and file.resolve().is_relative_to(inside))]
    if not found:
        raise DataError(
            f"there is no image in this folder besides those in '{escaped(str(folder))}'", path=source
        )
    suffix = f".{settings.format}"
    jobs = [Job(file, folder / file.relative_to(source).with_suffix(suffix)) for file in found]
    _refuse_collisions(jobs)
    plan = Plan(source, folder, settings, jobs)
    _check_folder(plan)
    return plan


def run(plan: Plan, threads: int = 1) -> Generator[Outcome]:
    """Do it, and remember in the folder how it was done; what is there already and whole is kept.

    A kill at any moment leaves results that are whole, and the next call makes the missing ones. When the
    generator is closed, what is being worked on is finished first.

    Args:
        plan: what to do.
        threads: images worked on at a time. Decoding, reduction and encoding run outside Python's lock, so
            that threads are enough.

    Yields:
        What became of each image, in the order in which they are done.

    Raises:
        ImageError: a result cannot be written, so that the next ones could not either.
        OSError: the folder cannot be made.
    """
    with atomic_file(plan.folder / RECORD) as temporary:
        temporary.write_text(tomli_w.dumps(plan.record), encoding="utf-8")
    remove_leftovers(plan.folder)
    return _in_threads(partial(_prepare, settings=plan.settings), plan.jobs, threads)


def _in_threads(work: Callable[[Job], Outcome], jobs: Iterable[Job], threads: int) -> Generator[Outcome]:
    """What `work` gives for each of `jobs`, in the order in which they are done."""
    waiting: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for job in jobs:
                waiting.add(pool.submit(work, job))
                if len(waiting) >= 2 * threads:  # not all at once: a data set has 200,000 images
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()


def _check_folder(plan: Plan) -> None:
    """Refuse to mix results with anything else."""
    folder, record = plan.folder, plan.folder / RECORD
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not record.is_file():
        raise UsageError(
            "the folder is in use and was not made by 'restore prepare'",
            path=folder,
            hint="choose one that is new or empty",
        )
    try:
        before = tomllib.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read how the folder was made: {first_line(error)}",
            path=record,
            hint="choose another folder for the results",
        ) from error
    for name in sorted(before.keys() | plan.record.keys()):
        if before.get(name) != plan.record.get(name):
            raise UsageError(
                f"the folder was made with {name} = {before.get(name)!r}, not {plan.record.get(name)!r}",
                path=folder,
                hint=f"choose another folder, or the settings in its '{RECORD}'",
            )


def _refuse_collisions(jobs: list[Job]) -> None:
    claimed: dict[Path, Path] = {}
    for job in jobs:
        other = claimed.setdefault(job.destination, job.source)
        if other != job.source:
            raise UsageError(
                f"'{escaped(str(other))}' and '{escaped(str(job.source))}' would both be written here",
                path=job.destination,
                hint="rename one of them, or move it to another folder",
            )


def _prepare(job: Job, settings: Settings) -> Outcome:
    """One image; whatever is wrong with it becomes an outcome."""
    source, destination = job.source, job.destination
    if (size := _whole(destination)) is not None:
        return Outcome(source, "existing", destination, size)
    try:
        short = min(size_of(source))
        if short < settings.smallest:
            return Outcome(source, "small", reason=f"{short} pixels are fewer than {settings.smallest}")
        photo = read(source)
    except ImageError as error:
        return Outcome(source, "failed", reason=str(error))
    if photo.alpha is not None and photo.alpha.min() < 1:
        return Outcome(source, "transparent", reason="what lies under its transparency is no picture")
    if not settings.keep_gray and _is_gray(photo):
        return Outcome(source, "gray", reason="it has no color")
    made = _reduced(photo, settings)
    write_atomic(made, destination)
    height, width = made.color.shape[-2:]
    return Outcome(source, "done", destination, (width, height))


def _whole(file: Path) -> tuple[int, int] | None:
    """The size of a result that is there and whole."""
    try:
        return check(file) if file.exists() else None
    except ImageError:
        return None


def _is_gray(photo: Photo) -> bool:
    """Whether it has no color, however many channels its file has."""
    return photo.gray or bool((photo.color == photo.color[:, :1]).all())


def _reduced(photo: Photo, settings: Settings) -> Photo:
    """The picture alone, cut and reduced; of what the file said, the color space."""
    color = photo.color
    height, width = color.shape[-2:]
    short = min(height, width)
    if settings.square:
        top, left = (height - short) // 2, (width - short) // 2
        color = color[..., top : top + short, left : left + short]
        height = width = short
    if settings.size and settings.size < short:
        # Halves up, in integers.
        target = [(2 * side * settings.size + short) // (2 * short) for side in (height, width)]
        color = imresize(color, (target[0], target[1]))
    return replace(photo, color=color, alpha=None, bits=8, exif=None, dpi=None)
