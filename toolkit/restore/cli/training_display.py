"""Progress display of `restore train`: JSON lines, a table on a terminal, or a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from restore.cli import console
from restore.cli.errors import in_options
from restore.report import Progress, training_line

if TYPE_CHECKING:
    from restore.training import Monitor

__all__ = ["Lines", "progress_display"]

_CALM = 10.0  # seconds between two lines without a terminal
_REDRAW = 0.2  # seconds between two drawings of the table


@contextmanager
def progress_display(*, json: bool) -> Iterator[Monitor]:
    """The monitor of a run, as long as the block runs.

    Args:
        json: print every line of the log to stdout, and only messages to stderr.
    """
    from restore.training import Monitor, is_other_rank

    terminal = Console(stderr=True)
    if is_other_rank():
        yield Monitor()
    elif json:
        yield Monitor(console.message, console.emit)
    elif sys.stderr.isatty() and not terminal.is_dumb_terminal:
        with _table(terminal) as monitor:
            yield monitor
    else:
        yield Monitor(console.message, Lines(console.message))


class Lines:
    """Prints each validation, the first and the last step, and a step every ten seconds in between.

    Args:
        say: takes each line of text.
        clock: returns seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self.clock = clock
        self.due = clock()

    def __call__(self, line: dict[str, Any]) -> None:
        """Take a line of the log; warnings have been printed as messages."""
        text, now = training_line(line), self.clock()
        is_last = line["step"] == line.get("steps")
        if text and ("steps" not in line or is_last or now >= self.due):
            self.say(text)
            self.due = now + _CALM


@contextmanager
def _table(terminal: Console) -> Iterator[Monitor]:
    """A table that is updated in place, with messages above it."""
    from restore.training import Monitor

    progress, drawn = Progress(), 0.0
    # rich would send results that go to a pipe to the terminal instead.
    live = Live(console=terminal, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def message(sentence: str) -> None:
        terminal.print(Text(in_options(sentence)), soft_wrap=True)  # unwrapped: it may contain a path to copy

    def log(line: dict[str, Any]) -> None:
        nonlocal drawn
        live.start()  # not earlier: before the first line a loss may show the progress of a download
        progress.take(line)
        now = time.monotonic()
        is_due = now - drawn > _REDRAW
        live.update(progress.table(), refresh=is_due)
        drawn = now if is_due else drawn

    try:
        yield Monitor(message, log)
    finally:
        live.stop()
