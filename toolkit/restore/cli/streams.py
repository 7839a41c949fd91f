"""Standard input and output as an image's file."""

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

__all__ = ["STREAM", "Streams", "streams"]

STREAM = "-"
"""Standard input as an input, standard output as an output."""


@dataclass(frozen=True)
class Streams:
    """What inputs and output are once those that are no files have become some."""

    inputs: list[str]
    out: Path | None
    read: Path | None = None
    """Where standard input was put."""
    write: Path | None = None
    """What is for standard output."""

    def named(self, outcome: Outcome) -> Outcome:
        """An outcome in the words of the person who gave the command."""
        reason = outcome.reason
        for file, name in ((self.read, "standard input"), (self.write, "standard output")):
            reason = reason.replace(f"'{file}'", name).replace(str(file), name)
        return replace(
            outcome,
            source=Path(STREAM) if outcome.source == self.read else outcome.source,
            destination=Path(STREAM) if outcome.destination == self.write else outcome.destination,
            reason=reason,
        )

    def deliver(self) -> None:
        """Write the result to standard output, if it is to go there and was made."""
        if self.write is not None and self.write.exists():
            with self.write.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


@contextmanager
def streams(inputs: list[str], out: Path | None, ending: str | None, *, taken: bool) -> Iterator[Streams]:
    """Give standard input and output files for as long as the block runs.

    Args:
        inputs: as they were given.
        out: as it was given; standard input goes to standard output when nothing is.
        ending: the format of what goes to standard output; PNG if none is given.
        taken: something else goes to standard output.

    Raises:
        UsageError: standard input is one of several inputs, or standard output cannot take the result.
    """
    reads = STREAM in inputs
    writes = str(out) == STREAM or (reads and out is None)
    if not reads and not writes:
        yield Streams(inputs, out)
        return
    if len(inputs) > 1:
        raise UsageError("standard input and output hold one image: give one input")
    if writes and taken:
        raise UsageError("--json and the image would both go to standard output: give -o FILE")
    if writes and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it, or give -o FILE")
    if writes and Path(inputs[0]).is_dir():
        raise UsageError(f"standard output holds one image and '{inputs[0]}' is a folder: give -o FOLDER")
    with TemporaryDirectory(prefix="restore-") as folder:
        source = Path(folder) / "stdin" if reads else None
        result = Path(folder) / f"stdout.{(ending or 'png').lower().removeprefix('.')}" if writes else None
        if source:
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        yield Streams([str(source)] if source else inputs, result or out, source, result)
