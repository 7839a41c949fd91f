"""Make clean training images from a folder of photos, like those EnhanceNet was trained on.

Photos contain noise and JPEG artifacts, which a model would learn to reproduce. Downscaling with an
antialiased filter averages them out: take large images, crop the central square, downscale it.

::

    plan = make_plan(Path("coco"), Path("clean"), PreparationSettings(min_side=384, size=256, square=True))
    with closing(run(plan, threads=8)) as outcomes:
        for outcome in outcomes: ...
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tomli_w

from restore.data.folders import find_images
from restore.errors import DataError, ImageError, UsageError, escaped, first_line
from restore.files import atomic_file, remove_leftovers
from restore.images import Photo, check, read, size_of, write_atomic
from restore.resizing import imresize
from restore.threads import one_core_threads

__all__ = [
    "RECORD",
    "Preparation",
    "PreparationPlan",
    "PreparationSettings",
    "PreparedFile",
    "Status",
    "Tally",
    "make_plan",
    "run",
]

RECORD = "prepared.toml"
"""In the folder of the results: how they were made."""

Status = Literal["done", "existing", "small", "gray", "transparent", "failed"]


@dataclass(frozen=True)
class PreparationSettings:
    """Which images are used, and how they are cropped, downscaled and saved.

    Raises:
        UsageError: images of `min_side` would have to be upscaled.
    """

    min_side: int | None = None
    """Skip images whose short side has fewer pixels; `None` is `size`."""
    size: int | None = None
    """Pixels of the result's short side; `None` keeps the size."""
    square: bool = False
    """Crop the central square first."""
    keep_gray: bool = False
    """Keep images without color."""
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
class Preparation:
    """One image, and where its result goes."""

    source: Path
    destination: Path


@dataclass(frozen=True)
class PreparationPlan:
    """The images to prepare, after all checks and before anything is written."""

    source: Path
    folder: Path
    settings: PreparationSettings
    jobs: list[Preparation]

    @property
    def record(self) -> dict[str, Any]:
        """The settings that later calls for the same folder must use."""
        given = {name: value for name, value in asdict(self.settings).items() if value is not None}
        return {"source": str(self.source.resolve()), "min_side": self.settings.smallest} | given


@dataclass(frozen=True)
class PreparedFile:
    """The outcome for one image."""

    source: Path
    status: Status
    destination: Path | None = None
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    reason: str = ""
    """Why there is no result."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        content = asdict(self) | {"source": str(self.source)}
        return content | {"destination": str(self.destination) if self.destination else None}


class Tally:
    """Counts the outcomes by status."""

    def __init__(self) -> None:
        self.counts: Counter[Status] = Counter()

    def add(self, outcome: PreparedFile) -> None:
        """Count one outcome."""
        self.counts[outcome.status] += 1

    @property
    def sentence(self) -> str:
        """The counts as one sentence."""
        count = self.counts
        left_out = [f"{count[why]} {why}" for why in ("small", "gray", "transparent") if count[why]]
        parts = [
            f"{count['done']} made",
            f"{count['existing']} already there" if count["existing"] else "",
            f"{', '.join(left_out)} skipped" if left_out else "",
            f"{count['failed']} failed" if count["failed"] else "",
        ]
        return f"{count.total()} images: {'; '.join(filter(None, parts))}"


def make_plan(source: Path, folder: Path, settings: PreparationSettings) -> PreparationPlan:
    """Find the images below `source` and decide where each result goes, in a mirrored tree below `folder`.

    Images in `folder`, which may be inside `source`, are not used as sources.

    Raises:
        DataError: `source` is missing or contains no image.
        UsageError: two images would be written to one file; or `folder` contains other files, was prepared
            with other settings, or contains `source`.
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
    jobs = [Preparation(file, folder / file.relative_to(source).with_suffix(suffix)) for file in found]
    _refuse_collisions(jobs)
    plan = PreparationPlan(source, folder, settings, jobs)
    _check_folder(plan)
    return plan


def run(plan: PreparationPlan, threads: int = 1) -> Generator[PreparedFile]:
    """Prepare the images and record the settings in the folder; intact results that exist are kept.

    If the process is killed, all results in the folder are intact, and the next call makes the missing ones.
    Closing the generator finishes the images that are in progress.

    Args:
        plan: from `make_plan`.
        threads: images processed at a time. Decoding, downscaling and encoding release the GIL.

    Yields:
        The outcome for each image, in the order of completion.

    Raises:
        ImageError: a result cannot be written.
        OSError: the folder cannot be made.
    """
    with atomic_file(plan.folder / RECORD) as temporary:
        temporary.write_text(tomli_w.dumps(plan.record), encoding="utf-8")
    remove_leftovers(plan.folder)
    return _in_threads(partial(_prepare, settings=plan.settings), plan.jobs, threads)


def _in_threads(
    work: Callable[[Preparation], PreparedFile], jobs: Iterable[Preparation], threads: int
) -> Generator[PreparedFile]:
    """Call `work` for each of `jobs`, and yield the results in the order of completion."""
    waiting: set[Future[PreparedFile]] = set()
    with one_core_threads(threads) as pool:
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


def _check_folder(plan: PreparationPlan) -> None:
    """Refuse a folder with other files, or with results of other settings."""
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


def _refuse_collisions(jobs: list[Preparation]) -> None:
    claimed: dict[Path, Path] = {}
    for job in jobs:
        other = claimed.setdefault(job.destination, job.source)
        if other != job.source:
            raise UsageError(
                f"'{escaped(str(other))}' and '{escaped(str(job.source))}' would both be written here",
                path=job.destination,
                hint="rename one of them, or move it to another folder",
            )


def _prepare(job: Preparation, settings: PreparationSettings) -> PreparedFile:
    """Prepare one image; an image that cannot be used becomes an outcome with the reason."""
    source, destination = job.source, job.destination
    if (size := _whole(destination)) is not None:
        return PreparedFile(source, "existing", destination, size)
    try:
        short = min(size_of(source))
        if short < settings.smallest:
            return PreparedFile(source, "small", reason=f"{short} pixels are fewer than {settings.smallest}")
        photo = read(source)
    except ImageError as error:
        return PreparedFile(source, "failed", reason=str(error))
    if photo.alpha is not None and photo.alpha.min() < 1:
        return PreparedFile(source, "transparent", reason="some of its pixels are transparent")
    if not settings.keep_gray and _is_gray(photo):
        return PreparedFile(source, "gray", reason="it has no color")
    made = _reduced(photo, settings)
    write_atomic(made, destination)
    height, width = made.color.shape[-2:]
    return PreparedFile(source, "done", destination, (width, height))


def _whole(file: Path) -> tuple[int, int] | None:
    """The size of an existing, intact result, else `None`."""
    try:
        return check(file) if file.exists() else None
    except ImageError:
        return None


def _is_gray(photo: Photo) -> bool:
    """Whether it has no color, however many channels its file has."""
    return photo.gray or bool((photo.color == photo.color[:, :1]).all())


def _reduced(photo: Photo, settings: PreparationSettings) -> Photo:
    """The cropped and downscaled image, without metadata except the color profile."""
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
