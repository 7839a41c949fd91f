"""Plots of the metrics of an evaluation against how strongly the inputs were degraded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from restore.errors import escaped
from restore.evaluation import Result, Row
from restore.pages.plots import curves

__all__ = ["strength_plots"]

_STRENGTHS = ("quality", "sigma")
"""What degradations call the quality of a compression, and the deviation of noise."""


def strength_plots(result: Result) -> list[tuple[str, list[Markup]]]:
    """A plot of each metric for each strength that differs between the images.

    Strengths are the swept options and those that degradations draw as ``quality`` or ``sigma``. The rows of
    one data set and one degradation are plotted together, whatever a sweep has set.

    Returns:
        A title and plots for each data set and degradation; empty if no strength differs.
    """
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in result.rows:
        groups.setdefault((row.data, row.degradation, row.scale), []).append(row)
    found = []
    for (data, degradation, scale), rows in groups.items():
        if plots := [plot for name in _names(rows) for plot in _plots(result, rows, name)]:
            found.append((f"{data}, {scale}x: quality over the strength of {degradation}", plots))
    return found


def _names(rows: Sequence[Row]) -> Iterator[str]:
    """The strengths that differ between the images of `rows`."""
    swept = {name for row in rows for name in row.swept}
    drawn = dict.fromkeys(name for row in rows for image in row.images for name in image.parameters)
    for name in drawn:
        if name in swept or name.rpartition(".")[2] in _STRENGTHS:
            values = {image.parameters.get(name) for row in rows for image in row.images}
            if len([value for value in values if isinstance(value, int | float)]) > 1:
                yield name


def _plots(result: Result, rows: Sequence[Row], name: str) -> Iterator[Markup]:
    for meter in result.image_meters:
        points: dict[str, list[tuple[float, float]]] = {escaped(row.model): [] for row in rows}
        for row in rows:
            common = set(result.common(row))
            points[escaped(row.model)] += [
                (strength, image.values[meter.name])
                for image in row.images
                if image.name in common and isinstance(strength := image.parameters.get(name), int | float)
            ]
        yield curves(points, name, f"{meter.title}, {meter.better} is better")
