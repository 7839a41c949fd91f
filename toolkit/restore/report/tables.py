"""What was measured and what is installed, as tables for people."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from restore.evaluation import Meter, Row

__all__ = ["evaluation_table", "plain_table", "render"]


def evaluation_table(rows: Sequence[Row], meters: Sequence[Meter]) -> str:
    """One table for each set of protocols, with the protocols below it."""
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row.protocol.items())), []).append(row)
    return "\n\n".join(_group(group, meters) for group in groups.values())


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


def _group(rows: Sequence[Row], meters: Sequence[Meter]) -> str:
    columns = ["model", "data", "scale", "images"]
    columns += [f"{meter.name} ({meter.unit})" if meter.unit else meter.name for meter in meters]
    columns.append("seconds")
    body = [
        [row.model, row.data, f"{row.scale}x", str(len(row.images))]
        + [meter.text(row.figures[meter.name]) for meter in meters]
        + [f"{row.seconds:.2f}"]
        for row in rows
    ]
    protocol = "\n".join(f"  {name}: {text}" for name, text in rows[0].protocol.items())
    return f"{plain_table(columns, body)}\n{protocol}"


def _is_figure(text: str) -> bool:
    return text.removesuffix("x").replace(".", "", 1).removeprefix("-").isdecimal() or text == "inf"
