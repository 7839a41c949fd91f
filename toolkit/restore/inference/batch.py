"""Files, folders and globs become jobs, and what became of each job is told."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from restore.errors import ImageError, UsageError
from restore.images import WRITE_SUFFIXES, is_image_name

__all__ = ["Job", "Outcome", "plan"]


@dataclass(frozen=True)
class Job:
    """One image to restore, and where the result goes."""

    source: Path
    destination: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    source: Path
    status: Literal["done", "skipped", "failed"]
    destination: Path | None = None
    reason: str = ""
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    seconds: float = 0.0
    """Spent on it, without what it waited for others."""
    notes: tuple[str, ...] = ()
    """What the result does not carry any more."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.status == "skipped":
            return f"{self.destination} is there already"
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        return f"{self.destination}  {size}  {self.seconds:.1f} s"

    @property
    def explanation(self) -> str:
        """Why it failed, with the name of the file."""
        named = str(self.source) in self.reason
        return self.reason if named else f"{self.source}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        content = asdict(self)
        content["source"] = str(self.source)
        content["destination"] = str(self.destination) if self.destination else None
        return content


def plan(
    inputs: Iterable[str], scale: int, *, out: Path | None = None, recursive: bool = False
) -> tuple[list[Job], list[Outcome]]:
    """Find the images and decide where each result goes, before anything is done.

    Args:
        inputs: image files, folders, or globs.
        scale: for the names of the outputs: ``photo_x4.jpg``, ``FOLDER_x4/``.
        out: a file, when there is one input file and this has the suffix of an image; else a folder.
        recursive: go into subfolders, and mirror them.

    Returns:
        The jobs in order, and an outcome for each input that does not exist or holds no image.

    Raises:
        UsageError: two inputs would write one output, or an output is one of the inputs.
    """
    given = list(inputs)
    if out is not None and len(given) > 1 and out.suffix.lower() in WRITE_SUFFIXES and not out.is_dir():
        raise UsageError(f"-o {out} names one image, but there are {len(given)} inputs: name a folder")
    jobs: list[Job] = []
    failed: list[Outcome] = []
    for text in given:
        try:
            jobs += _expand(text, scale, out, recursive=recursive, only=len(given) == 1)
        except ImageError as error:
            failed.append(Outcome(Path(text), "failed", reason=str(error)))
    _refuse_collisions(jobs)
    return list(dict.fromkeys(jobs)), failed


def _expand(text: str, scale: int, out: Path | None, *, recursive: bool, only: bool) -> list[Job]:
    """The jobs of one argument."""
    path = Path(text)
    if path.is_dir():
        folder = out or path.with_name(f"{path.resolve().name}_x{scale}")
        found = _images_in(path, recursive=recursive, leave_out=folder)
        return [Job(file, folder / _writable(file.relative_to(path))) for file in found]
    if path.exists() or path.is_symlink():
        return [Job(path, _beside(path, scale, out, only=only))]
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if not matches:
        raise ImageError("there is no such file or folder, and nothing matches it as a glob")
    return [
        Job(match, _beside(match, scale, out, only=False))
        for match in matches
        if match.is_file() and is_image_name(match)
    ]


def _images_in(folder: Path, *, recursive: bool, leave_out: Path) -> list[Path]:
    files = folder.rglob("*") if recursive else folder.iterdir()
    found = sorted(
        file
        for file in files
        if is_image_name(file)
        and not file.name.startswith(".")
        and not file.is_dir()
        and (leave_out == folder or not file.is_relative_to(leave_out))
    )
    if not found:
        hint = "" if recursive else "; subfolders are searched with --recursive"
        raise ImageError(f"there is no image in this folder{hint}")
    return found


def _beside(file: Path, scale: int, out: Path | None, *, only: bool) -> Path:
    if out is None:
        return _writable(file.with_name(f"{file.stem}_x{scale}{file.suffix}"))
    if only and not out.is_dir() and out.suffix:
        if out.suffix.lower() not in WRITE_SUFFIXES:
            known = ", ".join(sorted(WRITE_SUFFIXES))
            raise UsageError(f"cannot write '{out.suffix}' files, as '{out}' asks for: use one of {known}")
        return out
    return out / _writable(Path(file.name))


def _writable(path: Path) -> Path:
    """The same name, with .png for formats that are only read."""
    return path if path.suffix.lower() in WRITE_SUFFIXES else path.with_suffix(".png")


def _refuse_collisions(jobs: list[Job]) -> None:
    sources = {_identity(job.source): job.source for job in jobs}
    claimed: dict[Path, Path] = {}
    for job in jobs:
        place = _identity(job.destination)
        if place in sources:
            raise UsageError(
                f"the result of '{job.source}' would overwrite the input '{sources[place]}': give "
                f"-o FOLDER, or leave out what an earlier run made"
            )
        other = claimed.setdefault(place, job.source)
        if _identity(other) != _identity(job.source):
            raise UsageError(
                f"'{other}' and '{job.source}' would both be written to '{job.destination}': rename one, or "
                f"upscale them into different folders"
            )


def _identity(path: Path) -> Path:
    return path.resolve()
