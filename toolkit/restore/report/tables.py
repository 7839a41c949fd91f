"""Texts in columns, for people."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

__all__ = ["plain_table", "render"]

_FIGURE = re.compile(r"[-+]?\d*\.?\d+(e[-+]\d+)?x?|inf|nan|-")


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, the first ones to the left and those with figures to the right."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        figures = bool(rows) and all(_is_figure(row[index]) for row in rows)
        table.add_column(column, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return render(table)


def render(table: Table) -> str:
    """A table as text, as wide as the terminal, or as wide as it needs where there is none."""
    # A terminal is asked for its width; FORCE_COLOR must not make a pipe look like one.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    console = Console(file=io.StringIO(), width=width, highlight=False, force_terminal=False)
    with console.capture() as capture:
        console.print(table, markup=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def _is_figure(text: str) -> bool:
    return _FIGURE.fullmatch(text) is not None
