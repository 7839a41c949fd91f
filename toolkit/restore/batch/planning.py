"""Turn files, folders and globs into jobs before anything is processed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path

from restore.batch.jobs import Job, Outcome
from restore.batch.locking import folded
from restore.batch.naming import Naming
from restore.batch.records import Records
from restore.batch.refusals import beyond_links, collisions, refused, too_long
from restore.batch.urls import Url
from restore.errors import ImageError, UsageError, escaped
from restore.files import sha256
from restore.images import is_image_name

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """The jobs of a batch, and the outcomes that are known without running them.

    >>> Plan([Job(Path("photo.jpg"), Path("photo_x4.jpg"))]).count
    1
    """

    jobs: list[Job] = field(default_factory=list)
    """In the order of the inputs."""
    settled: list[Outcome] = field(default_factory=list)
    """Failed: what does not exist, cannot be entered, has no image, would get too long a name, or the name of
    another result. Skipped: results of other inputs, which are not enlarged again."""
    several: bool = False
    """There was more than one input, or a folder or a glob."""
    notes: tuple[str, ...] = ()
    """What a user may not expect."""

    @property
    def count(self) -> int:
        """The number of jobs."""
        return len(self.jobs)


def plan(inputs: Iterable[str], naming: Naming, *, recursive: bool = False) -> Plan:
    """Find the images and decide where each result goes.

    Args:
        inputs: image files, folders, or globs.
        naming: names and folders of results.
        recursive: search subfolders too, and mirror them. Links to folders are not followed, hidden files and
            folders are left out.

    Raises:
        UsageError: a result would replace one of the inputs, or one file is named for several inputs.

    Example:
        >>> plan(["missing.jpg"], Naming("_x4")).settled[0].status
        'failed'
    """
    given = list(inputs)
    if naming.out is not None and len(given) > 1 and naming.names_a_file():
        raise UsageError(
            f"it names one image, but there are {len(given)} inputs", path=naming.out, hint="name a folder"
        )
    searches = [_Search(text, naming, recursive=recursive, only=len(given) == 1) for text in given]
    found = dict.fromkeys(job for search in searches for job in search.jobs)
    jobs, left_out = _without_results(list(found))
    _refuse_replacing(jobs)
    failures = [outcome for search in searches for outcome in search.failed]
    failures += too_long(jobs)
    failures += collisions([job for job in jobs if job.source not in _sources(failures)])
    failing = _sources(failures)
    return Plan(
        [job for job in jobs if job.source not in failing],
        left_out + failures,
        several=len(given) > 1 or any(search.several for search in searches),
        notes=tuple(note for search in searches for note in search.notes),
    )


class _Search:
    """The jobs of one argument."""

    def __init__(self, text: str, naming: Naming, *, recursive: bool, only: bool) -> None:
        self.jobs: list[Job] = []
        self.failed: list[Outcome] = []
        self.notes: list[str] = []
        self.several = False
        path = Path(text)
        if path.is_dir():
            self.several = True
            folder = naming.folder(path)
            files = self._images_in(path, recursive=recursive, results=folder)
            self.jobs = [Job(file, folder / naming.inside(file.relative_to(path))) for file in files]
            self.failed += beyond_links(self.jobs, folder if naming.out is not None else folder.parent)
        elif os.path.lexists(path):
            self.jobs = [Job(path, naming.beside(path, only=only))]
        elif matches := _matches(text):
            self.several = True
            images = [match for match in matches if match.is_file() and is_image_name(match)]
            self.jobs = [Job(image, naming.beside(image, only=False)) for image in images]
        else:
            self._fail(path, "there is no such file or folder, and nothing matches it as a glob")

    def _images_in(self, folder: Path, *, recursive: bool, results: Path) -> list[Path]:
        found, skipped = [], 0
        apart = results if results != folder else None
        for place, folders, files in os.walk(folder, onerror=self._cannot_enter):
            here = Path(place)
            folders[:] = [name for name in folders if not name.startswith(".") and here / name != apart]
            if not recursive:
                skipped = len(folders)
                folders.clear()
            if here != apart:
                found += [here / name for name in files if is_image_name(Path(name))]
        include = "set `recursive=True` to include subfolders"
        if not found and not self.failed:
            self._fail(folder, "there is no image in this folder", hint=include if skipped else "")
        elif skipped:
            word = "subfolder is" if skipped == 1 else "subfolders are"
            self.notes.append(f"{escaped(str(folder))}: {skipped} {word} not searched; {include}")
        return sorted(found)

    def _cannot_enter(self, error: OSError) -> None:
        problem = f"cannot enter this folder: {error.strerror}"
        self._fail(Path(error.filename), problem, hint="make it readable or leave it out")

    def _fail(self, path: Path, problem: str, hint: str = "") -> None:
        self.failed.append(refused(path, ImageError(problem, path=path, hint=hint)))


def _matches(text: str) -> list[Path]:
    """The paths that a glob matches; leading folders that exist are taken literally.

    A folder called ``photos [2024]`` would otherwise have to be written with escapes.
    """
    parts, existing = Path(text).parts, Path()
    count = 0
    while count < len(parts) and (existing / parts[count]).is_dir():
        existing /= parts[count]
        count += 1
    literal = os.path.join(glob.escape(str(existing)), *parts[count:])  # noqa: PTH118 - a pattern, not a path
    matches = glob.glob(literal, recursive=True) or glob.glob(text, recursive=True)
    return [Path(match) for match in sorted(matches)]


def _without_results(jobs: list[Job]) -> tuple[list[Job], list[Outcome]]:
    """Skip results that `restore` made from other inputs, so that the same glob can be used again."""
    records = Records()
    kept, left_out = [], []
    places = {folded(job.destination): job for job in jobs}
    namesakes = _Namesakes(jobs)
    for job in jobs:
        replaces = places.get(folded(job.source))
        if replaces is job:
            replaces = None
        made = records.made(job.source) if replaces or namesakes.exist(job) else None
        origin = made and (replaces or namesakes.origin(job, made.source))
        if origin:
            reason = (
                f"'{escaped(str(job.source))}' was made by restore of '{escaped(str(origin.source))}', which "
                "is an input too: left out"
            )
            left_out.append(Outcome(job.source, "skipped", skipped=reason))
        else:
            kept.append(job)
    return kept, left_out


class _Namesakes:
    """The inputs that others may be results of: their name elsewhere, or a part of it in the same folder.

    Args:
        jobs: all jobs. Thousands may have one name: each file is hashed at most once.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self._stems: dict[str, list[Job]] = {}
        self._beside: dict[tuple[Path, str], list[Job]] = {}
        for job in jobs:
            self._stems.setdefault(job.source.stem, []).append(job)
            self._beside.setdefault((job.source.parent, job.source.stem), []).append(job)
        self._contents: dict[str, dict[str | None, list[Job]]] = {}
        self._digest = cache(_digest)

    def exist(self, job: Job) -> bool:
        """Whether there is any input that `job` may be a result of."""
        return self._exist_elsewhere(job) or bool(self._shorter(job))

    def origin(self, job: Job, digest: str) -> Job | None:
        """The first of them with this SHA-256."""
        equal = self._by_content(job.source.stem).get(digest, []) if self._exist_elsewhere(job) else []
        elsewhere = (other for other in equal if other.source.parent != job.source.parent)
        beside = (other for other in self._shorter(job) if self._digest(other.source) == digest)
        return next(chain(elsewhere, beside), None)

    def _by_content(self, stem: str) -> dict[str | None, list[Job]]:
        if stem not in self._contents:
            found = self._contents[stem] = {}
            for job in self._stems[stem]:
                found.setdefault(self._digest(job.source), []).append(job)
        return self._contents[stem]

    def _exist_elsewhere(self, job: Job) -> bool:
        folder, stem = job.source.parent, job.source.stem
        return len(self._stems[stem]) > len(self._beside[folder, stem])

    def _shorter(self, job: Job) -> list[Job]:
        folder, stem = job.source.parent, job.source.stem
        lengths = range(1, len(stem))
        return [other for length in lengths for other in self._beside.get((folder, stem[:length]), ())]


def _digest(file: Path) -> str | None:
    """SHA-256 of a file; `None` if it cannot be read."""
    try:
        return sha256(file) if file.is_file() else None
    except OSError:
        return None


def _refuse_replacing(jobs: list[Job]) -> None:
    """Refuse results in the place of an input, also if only case differs: that is one file on many systems.

    Raises:
        UsageError: names the first one.
    """
    sources = {folded(job.source): job.source for job in jobs}
    for job in jobs:
        replaced = sources.get(folded(job.destination))
        if replaced is not None:
            raise UsageError(
                f"the result of '{escaped(str(job.source))}' would overwrite the input",
                path=replaced,
                hint="set `out` to a folder, or `suffix` to another one",
            )


def _sources(outcomes: list[Outcome]) -> set[Path | Url]:
    return {outcome.source for outcome in outcomes}
