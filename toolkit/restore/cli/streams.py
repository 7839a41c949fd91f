"""Standard input and output in place of image files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.batch import Outcome
    from restore.batch.urls import Url

__all__ = ["STREAM", "Streams", "streams"]

STREAM = "-"
"""Standard input as an input, standard output as an output."""


@dataclass(frozen=True)
class Streams:
    """Inputs and output when streams have become files."""

    inputs: list[str]
    out: Path | None
    read: Path | None = None
    """The file with the content of standard input."""
    write: Path | None = None
    """The file for standard output."""

    def name(self, file: Path | Url) -> str:
        """The name of a file as the user wrote it."""
        return STREAM if file in (self.read, self.write) else str(file)

    def named(self, outcome: Outcome) -> Outcome:
        """An outcome with the names that the user gave."""
        if self.read is None and self.write is None:
            return outcome
        error = outcome.error
        if error is not None:
            for file, name in ((self.read, "standard input"), (self.write, "standard output")):
                if file is None:
                    continue
                error.problem = error.problem.replace(f"'{file}'", name).replace(str(file), name)
                if error.path is not None and Path(error.path) == file:
                    error.path = name
        return replace(
            outcome,
            source=Path(self.name(outcome.source)),
            destination=outcome.destination and Path(self.name(outcome.destination)),
        )

    def deliver(self) -> None:
        """Write the result to standard output, if it belongs there and exists."""
        if self.write is not None and self.write.exists():
            with self.write.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


@contextmanager
def streams(inputs: list[str], out: Path | None, ending: str | None, *, json: bool) -> Iterator[Streams]:
    """Replace standard input and output by files while the block runs.

    Args:
        inputs: the user's; standard input goes to standard output unless `out` is given.
        out: the user's.
        ending: format for standard output; `None` is that of the input, or PNG where it cannot be written.
        json: JSON goes to standard output.

    Raises:
        UsageError: standard input is one of several inputs, or standard output cannot take the result.
    """
    reads = STREAM in inputs
    writes = str(out) == STREAM or (reads and out is None)
    if not reads and not writes:
        yield Streams(inputs, out)
        return
    if len(inputs) > 1:
        raise UsageError("standard input and output take one image", hint="give one input")
    if writes:
        _check_output(inputs[0], json=json)
    with TemporaryDirectory(prefix="restore-") as folder:
        source = _received(Path(folder)) if reads else None
        result = Path(folder) / f"stdout{_suffix(source or Path(inputs[0]), ending)}" if writes else None
        yield Streams([str(source)] if source else inputs, result or out, source, result)


def _check_output(source: str, *, json: bool) -> None:
    if json:
        raise UsageError("JSON and the image would both go to standard output", hint="set `out` to a file")
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal", hint="redirect it, or set `out` to a file")
    if Path(source).is_dir():
        raise UsageError(
            "standard output takes one image, and this is a folder",
            path=source,
            hint="set `out` to a folder",
        )


def _received(folder: Path) -> Path:
    """Standard input as a file that is named by its format."""
    from restore.images import suffix_of

    content = folder / "stdin"
    with content.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return content.rename(content.with_suffix(suffix_of(content)))


def _suffix(source: Path, ending: str | None) -> str:
    if ending is not None:
        return f".{ending.lower().removeprefix('.')}"
    from restore.images import suffix_of

    return suffix_of(source)
