"""What an evaluation found: for the terminal, as Markdown, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import UsageError
from restore.files import atomic_file, finite
from restore.report.tables import plain_table

if TYPE_CHECKING:
    from restore.evaluation import Cell, Difference, Meter, Result, Row
    from restore.interfaces import PublishedTable

_COLUMNS = (
    *("model", "data", "scale", "image", "width", "height", "seconds"),
    *("metric", "figure", "unit", "inputs", "protocol"),
)

__all__ = [
    "Block",
    "check_result_file",
    "evaluation_table",
    "markdown",
    "plain",
    "reproduction",
    "write_result",
]


@dataclass(frozen=True)
class Block:
    """A table of texts, with a title above and notes below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def evaluation_table(result: Result) -> str:
    """For the terminal: one table for each set of protocols, with the protocols below it."""
    return "\n\n".join(plain(block) for block in _blocks(result))


def plain(block: Block) -> str:
    """Columns aligned by spaces."""
    parts = [block.title, plain_table(block.columns, block.rows), *(f"  {note}" for note in block.notes)]
    return "\n".join(filter(None, parts))


def markdown(block: Block) -> str:
    """A table of GitHub's Markdown."""
    lines = [block.columns, ["---"] * len(block.columns), *block.rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    notes = "\n".join(f"- {note}" for note in block.notes)
    return "\n\n".join(filter(None, (f"**{block.title}**" if block.title else "", table, notes)))


def check_result_file(file: Path) -> None:
    """Refuse a file whose suffix tells no format, before anything is measured.

    Raises:
        UsageError: names the suffixes that are known.
    """
    if file.suffix.lower() not in _WRITERS:
        raise UsageError(f"cannot write results to '{file}': its name must end with {', '.join(_WRITERS)}")


def write_result(result: Result, file: Path) -> None:
    """Write everything that was found, in the format of the suffix: ``.json``, ``.csv`` or ``.md``.

    The CSV has one line for each image, model and metric, with the protocol of its figure.

    Raises:
        UsageError: see `check_result_file`.
        OSError: the file cannot be written.
    """
    check_result_file(file)
    text = _WRITERS[file.suffix.lower()](result)
    with atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def reproduction(table: PublishedTable, cells: Sequence[Cell], digits: int = 2) -> Block:
    """A paper's table turned by a quarter: a row for each method, and ours beside each figure."""

    def text(figure: float | None, absent: str) -> str:
        return absent if figure is None else f"{figure:.{digits}f}"

    columns = ["method", "inputs", *(title for data in table.rows for title in (data, "ours"))]
    rows = []
    for method in table.columns:
        mine = [cell for cell in cells if cell.method == method.title]
        figures = [part for cell in mine for part in (text(cell.published, "-"), text(cell.ours, "missing"))]
        rows.append([method.title, method.degradation, *figures])
    measured = [cell.protocol for cell in cells if cell.protocol]
    notes = [f"the paper: {table.protocol}; {table.reference}"]
    notes += [f"ours: {text}" for text in dict.fromkeys("; ".join(one.values()) for one in measured)]
    notes += [f"missing: {reason}" for reason in dict.fromkeys(cell.missing for cell in cells) if reason]
    return Block(f"{table.name}: {table.summary}", columns, rows, notes)


def _blocks(result: Result) -> Iterator[Block]:
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in result.rows:
        groups.setdefault(tuple(sorted(row.protocol.items())), []).append(row)
    for rows in groups.values():
        yield _figures(result, rows)
        if any(result.differences(row) for row in rows):
            yield _differences(result, rows)


def _figures(result: Result, rows: Sequence[Row]) -> Block:
    columns = ["model", "data", "images", *(meter.title for meter in result.meters), "MP/s"]
    costs = any(row.cost for row in rows)
    if costs:
        columns += ["memory MiB", "parameters k", "mult-adds k"]
    body = []
    for row in rows:
        means = result.figures(row)
        figures = [meter.text(means[meter.name]) for meter in result.meters]
        line = [row.model, row.data, str(len(result.common(row))), *figures]
        body.append([*line, f"{row.megapixels_per_second:.2f}", *(_cost(row) if costs else ())])
    return Block("", columns, body, [*_protocol(rows), *_run(result, rows), *_left_out(result, rows)])


def _cost(row: Row) -> list[str]:
    found = row.cost
    if found is None:
        return ["-"] * 3
    memory, operations = found.peak_memory, found.multiply_adds
    return [
        "-" if memory is None else f"{memory / 2**20:.1f}",
        f"{found.parameters / 1e3:.1f}",
        "-" if operations is None else f"{operations / 1e3:.2f}",
    ]


def _protocol(rows: Sequence[Row]) -> Iterator[str]:
    for name, text in rows[0].protocol.items():
        yield f"{name}: {text}"


def _run(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    settings = dict.fromkeys(" ".join(row.settings.values()) for row in rows)
    yield f"run: {'; '.join(settings)}"
    yield f"versions: {', '.join(f'{name} {version}' for name, version in result.versions.items())}"
    if any(row.cost for row in rows):
        yield "MP/s: pixels of results; mult-adds: for each of them; memory: tensors, for the largest image"


def _left_out(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    for data in dict.fromkeys(row.data for row in rows):
        alike = [row for row in rows if row.data == data]
        tried = {name for row in alike for name in (*row.failures, *(image.name for image in row.images))}
        if missing := sorted(tried.difference(result.common(alike[0]))):
            yield f"left out of {data}, because not every model did it: {', '.join(missing)}"


def _differences(result: Result, rows: Sequence[Row]) -> Block:
    body = [
        [row.model, row.data, *(_difference(meter, found[meter.name]) for meter in result.meters)]
        for row in rows
        if (found := result.differences(row))
    ]
    title = f"difference from {result.against}, with the 95 % interval over the images"
    return Block(title, ["model", "data", *(meter.title for meter in result.meters)], body)


def _difference(meter: Meter, found: Difference) -> str:
    mean, low, high = (meter.text(figure, "+") for figure in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})"


def _markdown(result: Result) -> str:
    return "\n\n".join(markdown(block) for block in _blocks(result)) + "\n"


def _json(result: Result) -> str:
    return json.dumps(finite(result.to_json()), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _csv(result: Result) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in result.rows:
        for image in row.images:
            start = [row.model, row.data, row.scale, image.name, *image.size, f"{image.seconds:.6f}"]
            for meter in result.meters:
                figure = [meter.name, image.figures[meter.name], meter.unit]
                writer.writerow([*start, *figure, row.protocol["inputs"], row.protocol[meter.name]])
    return text.getvalue()


_WRITERS: Mapping[str, Callable[[Result], str]] = {".json": _json, ".csv": _csv, ".md": _markdown}
