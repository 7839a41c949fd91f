"""Plots as SVG; colors come from the page's style, light or dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter
from statistics import fmean, quantiles

from markupsafe import Markup

__all__ = ["curves", "distribution", "scatter", "ticks"]

_WIDTH = 440  # about that of a phone, so that text of 12 px can be read on it
_RIGHT = 16
_LABEL = 145
_ROW = 36
_AXIS = 44
_LEGEND = 20  # height of a line
_GROUPS = 8  # points of a line, unless the numbers are given
_COLORS = 6
"""Series have the classes ``s0`` to ``s5``, and then again."""


def distribution(values: Mapping[str, Sequence[float]], title: str) -> Markup:
    """A row for each series: a dot for each value, a box from quartile to quartile, a line at the median.

    Args:
        values: series -> its values; what is not finite is left out.
        title: of the axis, which is the metric with its unit.
    """
    kept = {name: [value for value in series if math.isfinite(value)] for name, series in values.items()}
    marks = ticks([value for series in kept.values() for value in series])
    place = _scale(marks, _LABEL, _WIDTH - _RIGHT)
    height = _ROW * len(kept) + _AXIS
    parts = _horizontal_axis(marks, place, height, title)
    for row, (name, series) in enumerate(kept.items()):
        y = _ROW * (row + 0.5)
        parts.append(_text(_LABEL - 12, y + 4, _shortened(name), "end", "name"))
        parts.append(f'<g class="s{row % _COLORS}">')
        if len(series) > 1:
            low, middle, high = (place(value) for value in quantiles(series, n=4, method="inclusive"))
            parts.append(
                f'<rect class="box" x="{low:.1f}" y="{y - 10:.1f}" width="{high - low:.1f}" height="20"/>'
            )
            parts.append(f'<path class="median" d="M{middle:.1f} {y - 10:.1f}v20"/>')
        parts += [f'<circle cx="{place(value):.1f}" cy="{y:.1f}" r="3.5"/>' for value in series]
        parts.append("</g>")
    return _svg(height, f"{title} of each image, by model", parts)


def scatter(points: Mapping[str, tuple[float, float]], x_title: str, y_title: str) -> Markup:
    """A named point for each model.

    Args:
        points: name -> (x, y); what is not finite is left out.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
    """
    kept = {name: point for name, point in points.items() if all(map(math.isfinite, point))}
    across, up = ticks([x for x, _ in kept.values()]), ticks([y for _, y in kept.values()])
    height = 300
    place_x = _scale(across, 70, _WIDTH - _RIGHT)
    place_y = _scale(up, height - _AXIS, 34)
    parts = [*_horizontal_axis(across, place_x, height, x_title, 34), *_vertical_axis(up, place_y, y_title)]
    for index, (name, (x, y)) in enumerate(kept.items()):
        left, top = place_x(x), place_y(y)
        end = left > _WIDTH * 0.6
        parts.append(f'<g class="s{index % _COLORS}"><circle cx="{left:.1f}" cy="{top:.1f}" r="6"/></g>')
        parts.append(
            _text(
                left - 11 if end else left + 11, top + 4, _shortened(name), "end" if end else "start", "name"
            )
        )
    return _svg(height, f"{y_title} against {x_title}, by model", parts)


def curves(points: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str) -> Markup:
    """A dot for each value over a number, and a line through the means of each series.

    Args:
        points: series -> its (x, y); what is not finite is left out. Means are over equal x, or over groups
            of neighboring x where there are many.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
    """
    kept = {
        name: sorted(point for point in series if all(map(math.isfinite, point)))
        for name, series in points.items()
    }
    top = 34 + _LEGEND * len(kept)
    height = 300 + _LEGEND * len(kept)
    across = ticks([x for series in kept.values() for x, _ in series])
    up = ticks([y for series in kept.values() for _, y in series])
    place_x = _scale(across, 70, _WIDTH - _RIGHT)
    place_y = _scale(up, height - _AXIS, top)
    parts = [*_horizontal_axis(across, place_x, height, x_title, top), *_vertical_axis(up, place_y, y_title)]
    for index, (name, series) in enumerate(kept.items()):
        line = "L".join(f"{place_x(x):.1f} {place_y(y):.1f}" for x, y in _means(series))
        y = 30 + _LEGEND * index
        parts.append(f'<g class="s{index % _COLORS}"><path class="line" d="M70 {y - 4}h20"/>')
        parts += [
            f'<circle class="dot" cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="2.5"/>' for x, y in series
        ]
        parts.append(f'<path class="line" d="M{line}"/></g>' if line else "</g>")
        parts.append(_text(98, y, _shortened(name), "start", "name"))
    return _svg(height, f"{y_title} over {x_title}, by model", parts)


def ticks(values: Sequence[float], count: int = 5) -> list[float]:
    """Round numbers, evenly spaced, of which the first and the last enclose `values`.

    >>> ticks([28.0, 31.25])
    [28.0, 29.0, 30.0, 31.0, 32.0]
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if low == high:
        low, high = low - abs(low or 1) * 0.05, high + abs(high or 1) * 0.05
    raw = (high - low) / count
    unit = 10 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _labels(marks: Sequence[float]) -> list[str]:
    """The marks as text, with equally many decimals unless they are very large or small.

    >>> _labels([0.025, 0.03])
    ['0.025', '0.030']
    """
    short = [f"{mark:g}" for mark in marks]
    if any("e" in text for text in short):
        return short
    decimals = max(len(text.partition(".")[2]) for text in short)
    return [f"{mark:.{decimals}f}" for mark in marks]


class _scale:  # noqa: N801  # a function with two numbers
    """From a value between the first and the last mark to a place in the picture."""

    def __init__(self, marks: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high, self.begin, self.end = marks[0], marks[-1], begin, end

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def _horizontal_axis(
    marks: Sequence[float], place: _scale, height: float, title: str, top: float = 0
) -> list[str]:
    parts = []
    for mark, text in zip(marks, _labels(marks), strict=True):
        x = place(mark)
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{height - _AXIS}"/>')
        parts.append(_text(x, height - _AXIS + 17, text))
    parts.append(_text(_WIDTH - _RIGHT, height - 6, title, "end"))
    return parts


def _vertical_axis(marks: Sequence[float], place: _scale, title: str) -> list[str]:
    parts = [_text(0, 14, title, "start")]
    for mark, text in zip(marks, _labels(marks), strict=True):
        y = place(mark)
        parts.append(f'<path class="grid" d="M70 {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(60, y + 4, text, "end"))
    return parts


def _means(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean point of each group of sorted points: of those with equal x, or of neighbors.

    >>> _means([(10, 1.0), (10, 2.0), (20, 4.0)])
    [(10.0, 1.5), (20.0, 4.0)]
    """
    groups = [list(group) for _, group in groupby(points, key=itemgetter(0))]
    if len(groups) > _GROUPS:
        size = math.ceil(len(points) / _GROUPS)
        groups = [list(points[start : start + size]) for start in range(0, len(points), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "mark") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _shortened(name: str) -> str:
    return name if len(name) <= 20 else f"…{name[-19:]}"


def _svg(height: float, label: str, parts: Sequence[str]) -> Markup:
    return Markup(  # noqa: S704 - all texts in it are escaped
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
