"""Texts in aligned columns. Without rich, whose import would take half of the time of ``restore list``."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["plain_table"]

_NUMBER = re.compile(r"[-+]?\d*\.?\d+(e[-+]\d+)?x?|inf|nan|-")
_GAP = "  "
_NARROWEST = 12  # columns of text are not wrapped to fewer characters


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns by spaces: text to the left, numbers to the right.

    On a terminal, columns of text are wrapped until the table fits.

        >>> print(plain_table(["model", "psnr"], [["bicubic", "28.42"], ["enhancenet", "9.1"]]))
        model        psnr
        bicubic     28.42
        enhancenet    9.1
    """
    cells = [list(columns), *map(list, rows)]
    is_number = [all(map(_NUMBER.fullmatch, each)) for each in zip(*rows, strict=True)]
    is_number = is_number or [False] * len(columns)  # there are no rows
    widths = [max(map(_width, each)) for each in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        _fit(widths, shutil.get_terminal_size().columns - len(_GAP) * (len(widths) - 1))
    lines = []
    for row in cells:
        wrapped = [
            textwrap.wrap(text, max(1, width)) or [""] for text, width in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*wrapped, fillvalue=""):
            padded = map(_pad, parts, widths, is_number)
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def _fit(widths: list[int], available: int) -> None:
    """Narrow the widest columns until they fit, or can be narrowed no more."""
    while sum(widths) > available and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns that `text` takes on a terminal: East Asian characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )
