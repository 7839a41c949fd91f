"""Output of the commands: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from restore.cli.errors import in_options, sentence
from restore.files import to_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from restore.inference import AnyRestorer
    from restore.registry import Registry

__all__ = ["discovered", "emit", "error", "message", "progress", "report_notes", "report_problems", "task"]


debug = False
"""Whether errors are printed with a traceback; set by ``--debug``."""


def message(text: str) -> None:
    """Print one line to stderr, after `restore.cli.errors.in_options` has named the options in `text`."""
    sys.stderr.write(f"{in_options(text)}\n")
    sys.stderr.flush()


def error(problem: str | Exception, cause: Exception | None = None) -> None:
    """Print a failure to stderr, after the traceback of its cause with ``--debug``.

    Args:
        problem: an error, or a sentence.
        cause: the error that `problem` describes.
    """
    cause = problem if isinstance(problem, Exception) else cause
    if cause is not None and debug:
        sys.stderr.write("".join(traceback.format_exception(cause)))
    message(f"error: {sentence(problem) if isinstance(problem, Exception) else problem}")


def emit(row: dict[str, Any]) -> None:
    """Print a result for programs to stdout: one JSON object on one line; what is not finite becomes null."""
    sys.stdout.write(to_line(row))
    sys.stdout.flush()


def discovered() -> Registry:
    """The plugins' entries; a warning is printed for each broken plugin."""
    from restore.registry import discover

    registry = discover()
    report_problems(registry)
    return registry


def report_problems(registry: Registry) -> None:
    """Print a warning for each broken plugin."""
    for problem in registry.problems:
        message(f"warning: {problem}")


def report_notes(restorer: AnyRestorer) -> None:
    """Print a note for each way in which the results of a model are not exact."""
    for note in restorer.notes:
        message(f"note: {note}")


@contextmanager
def progress() -> Iterator[Progress]:
    """Show a progress bar on a terminal; nothing when stderr is a file or a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

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
    """Add a line to the progress bar while the block runs, which gets the function that sets what is done."""
    line = bar.add_task(title, total=total)

    def update(done: float) -> None:
        bar.update(line, completed=done)

    try:
        yield update
    finally:
        bar.remove_task(line)
