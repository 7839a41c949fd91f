"""An evaluation as a page: tables, how figures are spread, perception against distortion, every image.

The evaluation is plain data, as `restore evaluate` writes it to a .json file::

    {
        "against": "bicubic",
        "metrics": {"psnr": {"unit": "dB", "better": "higher", "digits": 2}, ...},
        "rows": [
            {
                "model": "srcnn", "data": "Set5", "scale": 4, "seconds": 0.2, "megapixels_per_second": 1.1,
                "figures": {"psnr": 30.66, ...},
                "differences": {"psnr": {"mean": 1.84, "low": 1.2, "high": 2.5}, ...},
                "protocol": {"inputs": "...", "psnr": "...", ...},
                "images": [{"name": "baby.png", "figures": {"psnr": 33.1, ...}}, ...],
            },
            ...
        ],
    }

Figures may be null or NaN where there is none.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from io import BytesIO
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any
from urllib.parse import quote

from restore.errors import RestoreError
from restore.evaluation.comparison import Comparison, compare
from restore.files import atomic_file
from restore.images import Photo, to_pil
from restore.inference import Restorer
from restore.interfaces import MetricSpec
from restore.pages.assets import asset, filled, head
from restore.pages.page import write_page
from restore.pages.plots import distribution, scatter

__all__ = ["Thumbnail", "report", "write_comparison", "write_evaluation", "write_report"]

Row = Mapping[str, Any]
_SMALL = 200  # the longer side of a thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """A small picture that opens the comparison of its image."""

    data: str
    """The data set."""
    name: str
    """The image."""
    address: str
    """Of the comparison, as seen from the report."""
    content: bytes
    """WebP."""


def write_report(result: Mapping[str, Any], path: Path, thumbnails: Sequence[Thumbnail] = ()) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(report(result, thumbnails), encoding="utf-8")


def write_comparison(comparison: Comparison, data: str, name: str, page: Path) -> Thumbnail:
    """Write the comparison of one image of data set `data` into the folder ``PAGE_images`` beside `page`.

    Raises:
        OSError: the file cannot be written.
    """
    folder = re.sub(r"[^\w.-]+", "-", data).strip(".")
    place = Path(f"{page.stem}_images") / (folder or "data") / f"{name}.html"
    write_page(comparison, page.parent / place)
    shown = comparison.target or comparison.results[-1]
    small = to_pil(shown.photo).convert("RGB")
    small.thumbnail((_SMALL, _SMALL))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=80)
    return Thumbnail(data, name, quote(place.as_posix()), buffer.getvalue())


def write_evaluation(
    result: Mapping[str, Any],
    path: Path,
    images: Iterable[tuple[str, str, Photo, Photo]],
    restorers: Sequence[Restorer],
    metrics: Sequence[MetricSpec] = (),
) -> list[str]:
    """Write the report, and before it the comparison of each image, for which it is restored once more.

    Args:
        result: see the module.
        path: of the report.
        images: data set, name, input and target of each.
        restorers: the models.
        metrics: for the figures of each comparison.

    Returns:
        Why some images have no comparison, a sentence each.

    Raises:
        OSError: a file cannot be written.
    """
    thumbnails, left_out = [], []
    for data, name, degraded, target in images:
        try:
            found = compare(degraded, restorers, target=target, metrics=metrics, title=name)
        except RestoreError as error:
            left_out.append(f"{data}: {name} has no comparison: {error}")
        else:
            thumbnails.append(write_comparison(found, data, name, path))
    write_report(result, path, thumbnails)
    return left_out


def report(result: Mapping[str, Any], thumbnails: Sequence[Thumbnail] = ()) -> str:
    """The page as HTML: one section for each data set and protocol, and nothing from elsewhere.

    Args:
        result: see the module.
        thumbnails: of the images, from `write_comparison`.
    """
    groups = _groups(result["rows"])
    models = list(dict.fromkeys(row["model"] for row in result["rows"]))
    sections = [_section(result, rows, thumbnails) for rows in groups]
    sets = list(dict.fromkeys(rows[0]["data"] for rows in groups))
    title = f"Evaluation on {', '.join(sets)}"
    return filled(
        "report.html",
        {
            "title": escape(title),
            "head": head(escape(title), "evaluate", "report.css"),
            "facts": escape(f"{len(models)} models: {', '.join(models)}"),
            "sections": "\n".join(sections),
            "made": f"Made by restore {version('restorekit')}.",
            "scripts": f"<script>{asset('report.js')}</script>",
        },
    )


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows whose figures may be put into one column."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row["data"], row["scale"], *sorted(row["protocol"].items()))
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _section(result: Mapping[str, Any], rows: Sequence[Row], thumbnails: Sequence[Thumbnail]) -> str:
    data, metrics = rows[0]["data"], result["metrics"]
    protocol = "".join(f"<p>{escape(name)}: {escape(text)}</p>" for name, text in rows[0]["protocol"].items())
    return f"""<section>
<h2>{escape(data)}, {rows[0]["scale"]}x</h2>
<div class="scroll">{_table(result, rows)}</div>
<div class="notes"><p>{_differences_are(result, rows)}</p>{protocol}</div>
{_tradeoffs(metrics, rows)}
{_distributions(metrics, rows)}
{_gallery([thumbnail for thumbnail in thumbnails if thumbnail.data == data])}
</section>"""


def _differences_are(result: Mapping[str, Any], rows: Sequence[Row]) -> str:
    if not any(row.get("differences") for row in rows):
        return "Means over the images that every model did."
    return (
        "Means over the images that every model did; below them the mean difference to "
        f"{escape(result['against'])} with its 95% interval (paired bootstrap)."
    )


def _table(result: Mapping[str, Any], rows: Sequence[Row]) -> str:
    metrics = result["metrics"]
    titles = ["model", *(_title(metrics, name) for name in metrics), "seconds", "megapixels/s"]
    head = "".join(f'<th scope="col"><button type="button">{escape(title)}</button></th>' for title in titles)
    body = []
    for row in rows:
        cells = [_cell(metrics, name, row, rows) for name in metrics]
        cells += [_number(row.get("seconds"), 2), _number(row.get("megapixels_per_second"), 2)]
        body.append(f'<tr><th scope="row">{escape(row["model"])}</th>{"".join(cells)}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(metrics: Mapping[str, Any], name: str, row: Row, rows: Sequence[Row]) -> str:
    digits = metrics[name].get("digits")
    figures = [value for other in rows if not isnan(value := _figure(other["figures"].get(name)))]
    choose = max if metrics[name]["better"] == "higher" else min
    best = bool(figures) and len(rows) > 1 and row["figures"].get(name) == choose(figures)
    difference = (row.get("differences") or {}).get(name)
    below = ""
    if difference and None not in difference.values():
        mean, low, high = (_shown(difference[part], digits, sign="+") for part in ("mean", "low", "high"))
        below = f"<small>{mean} ({low} to {high})</small>"
    return _number(row["figures"].get(name), digits, below, kind="best" if best else "")


def _number(value: float | None, digits: int | None, below: str = "", kind: str = "") -> str:
    if value is None or isnan(value):
        return "<td>-</td>"
    sortable = repr(value) if isfinite(value) else "1e999"  # which JavaScript reads as infinity
    return f'<td class="{kind}" data-value="{sortable}">{_shown(value, digits)}{below}</td>'


def _shown(value: float, digits: int | None, sign: str = "") -> str:
    return f"{value:{sign}.4g}" if digits is None else f"{value:{sign}.{digits}f}"


def _title(metrics: Mapping[str, Any], name: str) -> str:
    unit = metrics[name].get("unit")
    return f"{name} ({unit})" if unit else name


def _tradeoffs(metrics: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Perception against distortion: each metric of which less is better, against PSNR.

    Source: Blau, Michaeli, "The Perception-Distortion Tradeoff", 2018.
    """
    distances = [name for name, metric in metrics.items() if metric["better"] == "lower"]
    if "psnr" not in metrics or not distances:
        return ""
    plots = [
        scatter(
            {
                row["model"]: (_figure(row["figures"].get("psnr")), _figure(row["figures"].get(name)))
                for row in rows
            },
            f"{_title(metrics, 'psnr')}, more is closer to the target",
            f"{_title(metrics, name)}, less is better",
        )
        for name in distances
    ]
    return f'<h3>Perception against distortion</h3><div class="plots">{"".join(plots)}</div>'


def _distributions(metrics: Mapping[str, Any], rows: Sequence[Row]) -> str:
    plots = [
        distribution(
            {row["model"]: [_figure(image["figures"].get(name)) for image in row["images"]] for row in rows},
            _title(metrics, name),
        )
        for name in metrics
    ]
    return f'<h3>Each image</h3><div class="plots">{"".join(plots)}</div>'


def _figure(value: float | None) -> float:
    return nan if value is None else value


def _gallery(thumbnails: Sequence[Thumbnail]) -> str:
    if not thumbnails:
        return ""
    items = [
        f'<a href="{escape(thumbnail.address)}"><img alt="" loading="lazy" src="data:image/webp;base64,'
        f'{base64.b64encode(thumbnail.content).decode("ascii")}"><span>{escape(thumbnail.name)}</span></a>'
        for thumbnail in thumbnails
    ]
    return f'<h3>Compare the results</h3><div class="gallery">{"".join(items)}</div>'
