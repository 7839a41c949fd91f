"""Where words go: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from restore.registry import Registry

__all__ = ["emit", "error", "message", "progress", "state", "tell_problems"]


@dataclass
class _State:
    debug: bool = False


state = _State()


def message(sentence: str) -> None:
    """A sentence for people, on stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def error(sentence: str) -> None:
    """A failure, on stderr."""
    message(f"error: {sentence}")


def emit(row: dict[str, Any]) -> None:
    """A result for machines: one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def tell_problems(registry: Registry) -> None:
    """Name each broken plugin; the others go on."""
    for problem in registry.problems:
        message(f"warning: {problem}")


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on a terminal; silent when stderr is a file or a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
