"""Files, folders and globs become jobs, before anything is done."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from restore.batch.jobs import Job, Outcome
from restore.batch.locking import folded
from restore.batch.naming import Naming
from restore.batch.records import Records, digest
from restore.errors import ImageError, UsageError
from restore.images import Provenance, is_image_name

__all__ = ["Plan", "plan"]

_LONGEST = 255
"""Bytes of a file's name that file systems take; on Windows these are units of UTF-16."""


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what is settled before it begins."""

    jobs: list[Job] = field(default_factory=list)
    """In the order of the inputs."""
    settled: list[Outcome] = field(default_factory=list)
    """Failed: what does not exist, cannot be looked into, holds no image, or would get too long a name.
    Skipped: results of other inputs, which are not enlarged again."""
    several: bool = False
    """There was more than one input, or a folder or a glob."""


def plan(inputs: Iterable[str], naming: Naming, *, recursive: bool = False) -> Plan:
    """Find the images and decide where each result goes, before anything is done.

    Args:
        inputs: image files, folders, or globs.
        naming: where results go.
        recursive: go into subfolders, and mirror them. Links to folders are not followed, hidden files and
            folders are left out.

    Raises:
        UsageError: two inputs would write one output, or an output is one of the inputs.
    """
    given = list(inputs)
    if naming.out is not None and len(given) > 1 and naming.names_a_file():
        raise UsageError(f"-o {naming.out} names one image, but there are {len(given)} inputs: name a folder")
    found: list[Job] = []
    settled: list[Outcome] = []
    several = len(given) > 1
    for text in given:
        try:
            search = _Search(text, naming, recursive=recursive, only=len(given) == 1)
            found += search.jobs
            settled += search.failed
            several |= search.several
        except ImageError as error:
            settled.append(Outcome(Path(text), "failed", reason=str(error), error=error))
    jobs, left_out = _without_results(list(dict.fromkeys(found)))
    _refuse_collisions(jobs)
    too_long = {job: Outcome(job.source, "failed", reason=_too_long(job)) for job in jobs if _too_long(job)}
    return Plan(
        [job for job in jobs if job not in too_long], settled + left_out + list(too_long.values()), several
    )


class _Search:
    """The jobs of one argument."""

    def __init__(self, text: str, naming: Naming, *, recursive: bool, only: bool) -> None:
        self.failed: list[Outcome] = []
        self.several = True
        path = Path(text)
        if path.is_dir():
            folder = naming.folder(path)
            files = self._images_in(path, recursive=recursive, leave_out=folder)
            self.jobs = [Job(file, folder / naming.inside(file.relative_to(path))) for file in files]
        elif os.path.lexists(path):
            self.several = False
            self.jobs = [Job(path, naming.beside(path, only=only))]
        else:
            self.jobs = [Job(match, naming.beside(match, only=False)) for match in self._matches(text)]

    def _matches(self, text: str) -> list[Path]:
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
        if not matches:
            raise ImageError("there is no such file or folder, and nothing matches it as a glob")
        return [match for match in matches if match.is_file() and is_image_name(match)]

    def _images_in(self, folder: Path, *, recursive: bool, leave_out: Path) -> list[Path]:
        found = []
        apart = leave_out if leave_out != folder else None
        for place, folders, files in os.walk(folder, onerror=self._cannot_enter):
            here = Path(place)
            if not recursive:
                folders.clear()
            folders[:] = [name for name in folders if not name.startswith(".") and here / name != apart]
            if here != apart:
                found += [here / name for name in files if is_image_name(Path(name))]
        if not found and not self.failed:
            hint = "" if recursive else "; subfolders are searched with --recursive"
            raise ImageError(f"there is no image in this folder{hint}")
        return sorted(found)

    def _cannot_enter(self, error: OSError) -> None:
        folder = Path(error.filename)
        reason = f"cannot look into this folder: {error.strerror}; make it readable or leave it out"
        self.failed.append(Outcome(folder, "failed", reason=reason, error=error))


def _without_results(jobs: list[Job]) -> tuple[list[Job], list[Outcome]]:
    """Leave out what `restore` made of another of these inputs, so that the same glob can be given again."""
    records = Records()
    kept, left_out = [], []
    places = {folded(job.destination): job for job in jobs}
    stems: dict[str, list[Job]] = {}
    for job in jobs:
        stems.setdefault(job.source.stem, []).append(job)
    for job in jobs:
        replaces = places.get(folded(job.source))
        origins = [replaces] if replaces and replaces is not job else list(_namesakes(job, stems))
        made = records.made(job.source) if origins else None
        origin = made and next((one for one in origins if one is replaces or _made_of(one, made)), None)
        if origin:
            reason = f"'{job.source}' was made by restore of '{origin.source}', which is given too: left out"
            left_out.append(Outcome(job.source, "skipped", reason=reason))
        else:
            kept.append(job)
    return kept, left_out


def _namesakes(job: Job, stems: dict[str, list[Job]]) -> Iterator[Job]:
    """The inputs that `job` may be a result of: with its name elsewhere, beside it with a part of it."""
    source = job.source
    yield from (other for other in stems[source.stem] if other.source.parent != source.parent)
    for length in range(1, len(source.stem)):
        for other in stems.get(source.stem[:length], ()):
            if other.source.parent == source.parent:
                yield other


def _made_of(origin: Job, made: Provenance) -> bool:
    try:
        return origin.source.is_file() and digest(origin.source) == made.source
    except OSError:
        return False


def _refuse_collisions(jobs: list[Job]) -> None:
    """Also where only case differs: on many systems that is one file."""
    sources = {folded(job.source): job.source for job in jobs}
    claimed: dict[str, Path] = {}
    for job in jobs:
        place = folded(job.destination)
        if place in sources:
            raise UsageError(
                f"the result of '{job.source}' would overwrite the input '{sources[place]}': give "
                f"-o FOLDER, or another --suffix"
            )
        other = claimed.setdefault(place, job.source)
        if other != job.source and not _same(other, job.source):
            raise UsageError(
                f"'{other}' and '{job.source}' would both be written to '{job.destination}': rename one, or "
                f"upscale them into different folders"
            )


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _too_long(job: Job) -> str:
    """Why a name cannot be given, or nothing."""
    name = job.destination.name
    length = (
        len(name.encode("utf-16-le", "surrogatepass")) // 2 if os.name == "nt" else len(os.fsencode(name))
    )
    if length <= _LONGEST:
        return ""
    return (
        f"the name of its result would have {length} bytes, and file systems take {_LONGEST}: rename the "
        "input, use a shorter --suffix, or name the result with -o"
    )
