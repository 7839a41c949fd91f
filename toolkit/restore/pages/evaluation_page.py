"""An evaluation as one page: tables, distributions, perception and distortion, and every image."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path

from markupsafe import Markup

from restore.errors import escaped
from restore.evaluation import AnyMeter, Meter, Result, Row
from restore.files import atomic_file
from restore.pages.plots import distribution, scatter
from restore.pages.strengths import strength_plots
from restore.pages.templating import render

__all__ = ["Thumbnail", "evaluation_page", "write_evaluation_page"]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture that links to the comparison of its image.

    >>> Thumbnail("Set5", "baby", "page_images/Set5/baby.html", b"WebP").base64
    'V2ViUA=='
    """

    data: str
    """Title of the data set, see `Result.title`."""
    name: str
    """Name of the image."""
    address: str
    """URL of the comparison, relative to the page."""
    content: bytes
    """WebP."""

    @property
    def base64(self) -> str:
        """The content as text."""
        return base64.b64encode(self.content).decode("ascii")

    @property
    def shown(self) -> str:
        """The name with control characters and undecodable bytes escaped."""
        return escaped(self.name)


@dataclass(frozen=True)
class TableCell:
    """One value of a table."""

    text: str
    sortable: str
    """The value as JavaScript reads it."""
    best: bool = False
    difference: str = ""
    """From the reference model, with its confidence interval."""


@dataclass(frozen=True)
class Section:
    """What the page shows of one data set, scale and protocol."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[TableCell | None]]]
    notes: Sequence[str]
    protocol: Sequence[tuple[str, str]]
    tradeoffs: Sequence[Markup]
    distributions: Sequence[Markup]
    thumbnails: Sequence[Thumbnail]


def write_evaluation_page(result: Result, path: Path, thumbnails: Sequence[Thumbnail] = ()) -> None:
    """Write the page atomically.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> from restore.evaluation import Row
        >>> row = Row("bicubic", "Set5", 4, images=(), failures={}, protocol={})
        >>> result = Result((row,), meters=(), against="bicubic")
        >>> write_evaluation_page(result, Path("evaluation.html"))
    """
    with atomic_file(path) as temporary:
        temporary.write_text(evaluation_page(result, thumbnails), encoding="utf-8")


def evaluation_page(result: Result, thumbnails: Sequence[Thumbnail] = ()) -> str:
    """The page as HTML: one section for each data set, scale and protocol.

    Before them are the plots of the metrics against the strength of the degradation.

    Args:
        result: of `restore.evaluation`.
        thumbnails: of the images, from `restore.pages.write_comparison`.

    Example:
        >>> from restore.evaluation import Row
        >>> row = Row("bicubic", "Set5", 4, images=(), failures={}, protocol={})
        >>> result = Result((row,), meters=(), against="bicubic")
        >>> "Evaluation on Set5" in evaluation_page(result)
        True
    """
    groups = result.by_data()
    sets = dict.fromkeys(escaped(row.data) for row in result.rows)
    return render(
        "report.html",
        title=f"Evaluation on {', '.join(sets)}",
        models=[escaped(model) for model in dict.fromkeys(row.model for row in result.rows)],
        strengths=[(escaped(title), plots) for title, plots in strength_plots(result)],
        sections=[_section(result, rows, thumbnails) for rows in groups],
    )


def _section(result: Result, rows: Sequence[Row], thumbnails: Sequence[Thumbnail]) -> Section:
    meters, data = result.meters, result.title(rows[0])
    means = {row.model: result.means(row) for row in rows}
    best = {meter.name: meter.best(each[meter.name] for each in means.values()) for meter in meters}
    table = []
    for row in rows:
        cells = [
            _value(result, row, meter, means[row.model][meter.name], best[meter.name] if rows[1:] else None)
            for meter in meters
        ]
        cells += [_number(row.seconds, f"{row.seconds:.2f}")]
        cells += [_number(row.megapixels_per_second, f"{row.megapixels_per_second:.2f}")]
        table.append((escaped(row.model), cells))
    return Section(
        title=f"{escaped(data)}, {rows[0].scale}x",
        columns=["model", *(meter.title for meter in meters), "seconds", "megapixels/s"],
        rows=table,
        notes=list(_notes(result, rows)),
        protocol=[(name, escaped(text)) for name, text in rows[0].protocol.items()],
        tradeoffs=_tradeoffs(meters, means),
        distributions=_distributions(result.image_meters, rows),
        thumbnails=[thumbnail for thumbnail in thumbnails if thumbnail.data == data],
    )


def _notes(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    means = "Means over the images that every model restored"
    if any(result.differences(row) for row in rows):
        means += (
            f"; below them the mean difference from {escaped(result.against)} with its 95% confidence "
            f"interval (paired bootstrap)"
        )
    yield f"{means}."
    if missing := result.left_out(rows[0]):
        names = ", ".join(map(escaped, missing))
        yield f"Left out, because not every model restored them: {names}."


def _value(result: Result, row: Row, meter: AnyMeter, value: float, best: float | None) -> TableCell | None:
    found = result.differences(row).get(meter.name)
    difference = ""
    if found is not None:
        mean, low, high = (meter.text(part, "+") for part in (found.mean, found.low, found.high))
        difference = f"{mean} ({low} to {high})"
    return _number(value, meter.text(value), best=value == best, difference=difference)


def _number(value: float, text: str, *, best: bool = False, difference: str = "") -> TableCell | None:
    """A cell; none for NaN."""
    if isnan(value):
        return None
    sortable = repr(value) if isfinite(value) else "1e999"  # which JavaScript reads as infinity
    return TableCell(text, sortable, best, difference)


def _tradeoffs(meters: Sequence[AnyMeter], means: dict[str, dict[str, float]]) -> list[Markup]:
    """Each metric of which less is better, against PSNR.

    Source: Blau, Michaeli, "The Perception-Distortion Tradeoff", CVPR 2018.
    """
    psnr = next((meter for meter in meters if meter.name == "psnr"), None)
    if psnr is None:
        return []
    return [
        scatter(
            {escaped(model): (each["psnr"], each[meter.name]) for model, each in means.items()},
            f"{psnr.title}, more is closer to the target",
            f"{meter.title}, less is better",
        )
        for meter in meters
        if meter.better == "lower"
    ]


def _distributions(meters: Iterable[Meter], rows: Sequence[Row]) -> list[Markup]:
    return [
        distribution(
            {escaped(row.model): [image.values[meter.name] for image in row.images] for row in rows},
            meter.title,
        )
        for meter in meters
    ]
