"""Results of an evaluation as text: for the terminal, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.errors import UsageError, escaped
from restore.files import atomic_file, finite
from restore.report.tables import plain_table

if TYPE_CHECKING:
    from restore.evaluation import AnyMeter, Cell, Difference, Result, Row
    from restore.inference.choosing import Choice
    from restore.interfaces import PublishedTable

_COLUMNS = (
    *("model", "data", "scale", "image", "width", "height", "seconds"),
    *("metric", "value", "unit", "inputs", "protocol", "parameters"),
)

__all__ = [
    "Block",
    "check_result_file",
    "check_writable",
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
    """For the terminal: one table for each protocol, with the protocol below it."""
    return "\n\n".join(plain(block) for block in _blocks(result))


def plain(block: Block) -> str:
    """Columns aligned by spaces."""
    parts = [block.title, plain_table(block.columns, block.rows), *(f"  {note}" for note in block.notes)]
    return "\n".join(filter(None, parts))


def markdown(block: Block) -> str:
    """A table in GitHub's Markdown."""
    lines = [block.columns, ["---"] * len(block.columns), *block.rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    notes = "\n".join(f"- {note}" for note in block.notes)
    return "\n\n".join(filter(None, (f"**{block.title}**" if block.title else "", table, notes)))


def check_result_file(file: Path) -> None:
    """Refuse a file of a format that cannot be written, before anything is measured.

    Raises:
        UsageError: the suffix is none of those that can be written, or the folder does not exist.
    """
    if file.suffix.lower() not in _WRITERS:
        raise UsageError(
            "results cannot be written to this file",
            path=file,
            hint=f"end its name with {', '.join(_WRITERS)}",
        )
    check_writable(file)


def write_result(result: Result, file: Path) -> None:
    """Write all results in the format of the suffix: ``.json``, ``.csv`` or ``.md``.

    The CSV has one line for each image, model and metric, with the protocol of its value. A metric of whole
    sets has one line without an image.

    Raises:
        UsageError: see `check_result_file`.
        OSError: the file cannot be written.
    """
    check_result_file(file)
    text = _WRITERS[file.suffix.lower()](result)
    with atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(file: Path) -> None:
    """Refuse a file that cannot be created, before any work is done for it.

    Raises:
        UsageError: its folder is a file or cannot be written, or it is a folder itself.
    """
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if file.is_dir():
        raise UsageError("this is a folder", path=file, hint="give the name of a file")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError("nothing can be written into this folder", path=folder, hint="choose another one")


def reproduction(table: PublishedTable, cells: Sequence[Cell], digits: int = 2) -> Block:
    """A paper's table transposed: a row for each method, and the measured value next to each published one.

    The column of inputs names what a method restored, both for the paper and for the measurement. The notes
    give both protocols in full.
    """

    def text(value: float | None, absent: str) -> str:
        return absent if value is None else f"{value:.{digits}f}"

    values = [f"{data}: {kind}" for data in table.rows for kind in ("published", "measured")]
    columns = ["method", "inputs of both", *values]
    rows = []
    for method in table.columns:
        own = [cell for cell in cells if cell.method == method.title]
        found = [part for cell in own for part in (text(cell.published, "-"), text(cell.measured, "missing"))]
        rows.append([method.title, method.inputs, *found])
    protocols = [cell.protocol for cell in cells if cell.protocol]
    notes = [f"published: {table.protocol}; {table.reference}"]
    notes += [f"measured: {text}" for text in dict.fromkeys("; ".join(one.values()) for one in protocols)]
    notes += [f"missing: {reason}" for reason in dict.fromkeys(cell.missing for cell in cells) if reason]
    return Block(f"{table.name}: {table.summary}", columns, rows, notes)


def _blocks(result: Result) -> Iterator[Block]:
    for rows in result.by_protocol():
        yield _values(result, rows)
        if any(result.differences(row) for row in rows):
            yield _differences(result, rows)


def _values(result: Result, rows: Sequence[Row]) -> Block:
    columns = ["model", "data", "images", *(meter.title for meter in result.meters), "MP/s"]
    costs = any(row.cost for row in rows)
    if costs:
        columns += ["memory MiB", "parameters k", "mult-adds k"]
    body = []
    for row in rows:
        means = result.means(row)
        values = [meter.text(means[meter.name]) for meter in result.meters]
        line = [escaped(row.model), escaped(row.data), str(len(result.common(row))), *values]
        body.append([*line, f"{row.megapixels_per_second:.2f}", *(_cost(row) if costs else ())])
    title = escaped(result.inputs_title(rows[0]))
    return Block(title, columns, body, [*_protocol(rows), *_run(result, rows), *_left_out(result, rows)])


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
        yield f"{name}: {escaped(text)}"


def _run(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    settings = dict.fromkeys(
        " ".join(
            value if name in ("engine", "precision", "device") else f"{name} {value}"
            for name, value in row.settings.items()
        )
        for row in rows
    )
    yield f"run: {'; '.join(settings)}"
    yield f"versions: {', '.join(f'{name} {version}' for name, version in result.versions.items())}"
    for row in rows:
        for words in _chosen(row):
            yield f"{escaped(row.model)} on {escaped(row.data)}: {words}"
    if any(row.cost for row in rows):
        yield "MP/s and mult-adds: by output pixels; memory: peak, for the largest image"


def _chosen(row: Row) -> Iterator[str]:
    """How many images each model was chosen for, and what was found in them."""
    from restore.inference.choosing import in_words  # which imports torch

    groups: dict[Hashable, list[Choice]] = {}
    for choice in (image.choice for image in row.images):
        if choice is not None:
            groups.setdefault(choice.kind, []).append(choice)
    for choices in groups.values():
        yield f"{len(choices)} {in_words(choices, several=True)}"


def _left_out(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    for data, row in {row.data: row for row in rows}.items():
        if missing := result.left_out(row):
            names = ", ".join(map(escaped, missing))
            yield f"left out of {escaped(data)}, because not every model restored them: {names}"


def _differences(result: Result, rows: Sequence[Row]) -> Block:
    body = [
        [
            escaped(row.model),
            escaped(row.data),
            *(_difference(meter, found[meter.name]) for meter in result.image_meters),
        ]
        for row in rows
        if (found := result.differences(row))
    ]
    title = f"difference from {escaped(result.against)}, with the 95 % interval over the images"
    return Block(title, ["model", "data", *(meter.title for meter in result.image_meters)], body)


def _difference(meter: AnyMeter, found: Difference) -> str:
    mean, low, high = (meter.text(value, "+") for value in (found.mean, found.low, found.high))
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
        names = [escaped(row.model), escaped(row.data), row.scale]
        for image in row.images:
            start = [*names, escaped(image.name), *image.size, f"{image.seconds:.6f}"]
            parameters = " ".join(f"{name}={value}" for name, value in image.parameters.items())
            writer.writerows(_csv_values(result, row, start, image.values, parameters))
        writer.writerows(_csv_values(result, row, [*names, "", "", "", f"{row.seconds:.6f}"], row.of_set))
    return text.getvalue()


def _csv_values(
    result: Result, row: Row, start: Sequence[Any], values: Mapping[str, float], parameters: str = ""
) -> Iterator[list[Any]]:
    """A line for each metric that has a value."""
    for meter in result.meters:
        if meter.name in values:
            protocols = [escaped(row.protocol[name]) for name in ("inputs", meter.name)]
            yield [*start, meter.name, values[meter.name], meter.unit, *protocols, parameters]


_WRITERS: Mapping[str, Callable[[Result], str]] = {".json": _json, ".csv": _csv, ".md": _markdown}
