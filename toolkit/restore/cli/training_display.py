"""What `restore train` shows while it runs: JSON, a table on a terminal, or a line now and then."""

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
from restore.report import Progress, training_line

if TYPE_CHECKING:
    from restore.training import Monitor

__all__ = ["Lines", "cockpit"]

_CALM = 10.0  # seconds between two lines where there is no terminal
_REDRAW = 0.2  # seconds between two tables, which more often nobody could read


@contextmanager
def cockpit(*, json: bool) -> Iterator[Monitor]:
    """Whom a run tells, for as long as the block runs.

    Args:
        json: every line of the log goes to stdout; people get messages only.
    """
    from restore.training import Monitor, is_helper

    terminal = Console(stderr=True)
    if is_helper():
        yield Monitor()
    elif json:
        yield Monitor(console.message, console.emit)
    elif sys.stderr.isatty() and not terminal.is_dumb_terminal:
        with _table(terminal) as monitor:
            yield monitor
    else:
        yield Monitor(console.message, Lines(console.message))


class Lines:
    """Tells of a run in lines: each validation, the first and the last step, and what is due in between.

    Args:
        say: told each line.
        clock: seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self.clock = clock
        self.due = clock()

    def __call__(self, line: dict[str, Any]) -> None:
        """Take a line of the log; warnings have been told as messages."""
        text, now = training_line(line), self.clock()
        is_last = line["step"] == line.get("steps")
        if text and ("steps" not in line or is_last or now >= self.due):
            self.say(text)
            self.due = now + _CALM


@contextmanager
def _table(terminal: Console) -> Iterator[Monitor]:
    """One table that is drawn in place, with messages above it."""
    from restore.training import Monitor

    progress, drawn = Progress(), 0.0
    # rich would send results that go to a pipe to the terminal instead.
    live = Live(console=terminal, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def message(sentence: str) -> None:
        terminal.print(Text(sentence), soft_wrap=True)  # not broken: it may hold a path to be copied

    def log(line: dict[str, Any]) -> None:
        nonlocal drawn
        live.start()  # not before: until the first line a loss may show the progress of a download
        progress.take(line)
        now = time.monotonic()
        is_due = now - drawn > _REDRAW
        live.update(progress.table(), refresh=is_due)
        drawn = now if is_due else drawn

    try:
        yield Monitor(message, log)
    finally:
        live.stop()
