"""Where words go: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from restore.files import to_line
from restore.registry import Registry

if TYPE_CHECKING:
    from restore.inference import Restorer

__all__ = ["emit", "error", "message", "progress", "state", "task", "tell_notes", "tell_problems"]


@dataclass
class _State:
    debug: bool = False


state = _State()


def message(sentence: str) -> None:
    """A sentence for people, on stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def error(sentence: str, cause: Exception | None = None) -> None:
    """A failure, on stderr; with --debug, the traceback of `cause` comes first."""
    if cause is not None and state.debug:
        message("".join(traceback.format_exception(cause)).rstrip())
    message(f"error: {sentence}")


def emit(row: dict[str, Any]) -> None:
    """A result for machines: one JSON object on one line of stdout; what is not finite becomes null."""
    sys.stdout.write(to_line(row))
    sys.stdout.flush()


def tell_problems(registry: Registry) -> None:
    """Name each broken plugin; the others go on."""
    for problem in registry.problems:
        message(f"warning: {problem}")


def tell_notes(restorer: Restorer) -> None:
    """Say what is not exact about the results of a model."""
    for note in restorer.notes:
        message(f"note: {note}")


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on a terminal; silent when stderr is a file or a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # rich would send results that go to a pipe to the terminal instead.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        yield bar


@contextmanager
def task(bar: Progress, title: str, total: float | None = 1.0) -> Iterator[Callable[[float], None]]:
    """A line of the progress bar for as long as the block runs; call what it gives with what is done."""
    line = bar.add_task(title, total=total)

    def update(done: float) -> None:
        bar.update(line, completed=done)

    try:
        yield update
    finally:
        bar.remove_task(line)
