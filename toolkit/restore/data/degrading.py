"""Degraded versions of a folder of images, with a record of what was done to each.

::

    degradation = find_degradation("photo", discover(), scale=4)
    for outcome in degrade_folder(Path("photos"), Path("inputs"), degradation, seed=1): ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from restore.data.degradations import Degradation
from restore.data.folders import find_images
from restore.data.pairs import pair
from restore.errors import RestoreError, UsageError, escaped
from restore.files import remove_leftovers, sha256, to_line
from restore.images import Photo, check, write_atomic
from restore.interfaces import Parameters

__all__ = ["RECORD", "DegradedFile", "degrade_folder"]

RECORD = "degraded.jsonl"
"""In the folder of the results: a line for each image, with its SHA-256 and what was done to it."""


@dataclass(frozen=True)
class DegradedFile:
    """The outcome for one image."""

    source: Path
    status: Literal["done", "existing", "failed"]
    destination: Path
    parameters: Parameters = field(default_factory=dict)
    """What a random degradation drew."""
    reason: str = ""
    """Why there is no result."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-serializable dict."""
        return {
            "source": escaped(str(self.source)),
            "status": self.status,
            "destination": escaped(str(self.destination)),
            "parameters": dict(self.parameters),
            "reason": self.reason,
        }


def degrade_folder(
    source: Path, folder: Path, degradation: Degradation, *, seed: int = 0
) -> Iterator[DegradedFile]:
    """Degrade each image below `source` into a PNG file of the same name below `folder`.

    Each image is cropped to a multiple of the scale first. What is drawn depends on `seed` and the name of
    the image alone; with seed 0 the results are the images that an evaluation with this degradation makes.
    An image that cannot be read is a failed outcome, and the others are degraded.

    Args:
        source: folder of images, searched recursively.
        folder: of the results; new, empty, or made by the same call before. Its results are kept, except
            those of images that have changed since.
        degradation: what to do.
        seed: of the random numbers.

    Raises:
        DataError: `source` is missing or has no image.
        UsageError: `folder` is in `source` or the other way around, has other files or was made in another
            way, or two images would get one name.
        OSError: `folder` cannot be written.
    """
    inside, outside = folder.resolve(), source.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise UsageError("the results would be mixed with their sources", path=folder, hint="change `out`")
    files = find_images([source])
    places = _places(files, source, folder)
    settings = {"degradation": degradation.name, "protocol": degradation.protocol, "seed": seed}
    recorded = _recorded(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    _end_last_line(folder / RECORD)
    return _degrade(source, places, degradation, recorded, folder / RECORD, settings)


def _degrade(
    source: Path,
    places: dict[Path, Path],
    degradation: Degradation,
    recorded: dict[str, _Recorded],
    record: Path,
    settings: dict[str, Any],
) -> Iterator[DegradedFile]:
    for destination, file in places.items():
        name = file.relative_to(source).as_posix()
        known = recorded.get(name)
        try:
            digest = sha256(file)  # before it is read: what is written to it afterwards counts as a change
            if known and known.digest == digest and _is_whole(destination):
                yield DegradedFile(file, "existing", destination, known.parameters)
                continue
            made = pair(source, file, degradation, seed=settings["seed"])
            write_atomic(Photo(made.degraded, gray=False), destination)
        # Plugins can raise anything; one image never ends the others.
        except Exception as error:
            reason = str(error) if isinstance(error, RestoreError) else f"{type(error).__name__}: {error}"
            yield DegradedFile(file, "failed", destination, reason=reason)
            continue
        # After the image: one whose line is missing is made again.
        with record.open("a", encoding="utf-8") as lines:
            line = {"file": name, "sha256": digest, **settings, "parameters": dict(made.parameters)}
            lines.write(to_line(line))
        yield DegradedFile(file, "done", destination, made.parameters)


def _places(files: list[Path], source: Path, folder: Path) -> dict[Path, Path]:
    """Result -> its source."""
    places: dict[Path, Path] = {}
    for file in files:
        destination = folder / file.relative_to(source).with_suffix(".png")
        if (other := places.setdefault(destination, file)) != file:
            raise UsageError(
                f"'{escaped(other.name)}' and '{escaped(file.name)}' would get the same name",
                path=destination,
                hint="rename one of them",
            )
    return places


@dataclass(frozen=True)
class _Recorded:
    """What the record says of one image."""

    digest: str | None
    """SHA-256 of the source; `None` in records of earlier versions."""
    parameters: Parameters


def _recorded(folder: Path, settings: dict[str, Any]) -> dict[str, _Recorded]:
    """The images of earlier calls; refuses a folder of anything else."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise UsageError("it is not a folder", path=folder, hint="change `out`")
    record = folder / RECORD
    if not record.is_file():
        if any(folder.iterdir()):
            raise UsageError("the folder has other files", path=folder, hint="change `out`")
        return {}
    found: dict[str, _Recorded] = {}
    for line in record.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
            name, parameters = str(content["file"]), dict(content["parameters"])
        except (ValueError, KeyError, TypeError):
            continue  # cut off when a call was killed: that image is made again
        for key, value in settings.items():
            if content.get(key) != value:
                raise UsageError(
                    f"the folder was made with {key} '{content.get(key)}', not '{value}'",
                    path=folder,
                    hint="change `out`",
                )
        found[name] = _Recorded(content.get("sha256"), parameters)
    return found


def _end_last_line(record: Path) -> None:
    """End a line that was cut off, so that the next one is not appended to it."""
    if record.is_file() and (content := record.read_bytes()) and not content.endswith(b"\n"):
        with record.open("ab") as lines:
            lines.write(b"\n")


def _is_whole(file: Path) -> bool:
    try:
        check(file)
    except RestoreError:
        return False
    return True
