"""Which models were chosen for the images of a batch, in a few lines."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from restore.errors import escaped
from restore.inference.choosing import BEYOND, Choice, in_words

__all__ = ["Choices"]


class Choices:
    """Collects what was chosen for each image, in memory that does not grow with their number.

    Example:
        >>> choices = Choices()
        >>> choices.add("holiday/a.jpg", Choice("enhancenet:photo", 60))
        >>> choices.add("holiday/b.jpg", Choice("enhancenet:photo", 75))
        >>> choices.add("c.jpg", Choice("enhancenet:e", 30, beyond=True))
        >>> for name in ("d.png", "e.png"):
        ...     choices.add(name, Choice(""))
        >>> choices.lines[2]
        'note: ./: 2 without visible noise or compression: unchanged'
        >>> choices.lines[0]
        'note: holiday/: 2 JPEG of quality 60 to 75: enhancenet:photo'
        >>> choices.lines[1]
        "warning: c.jpg: JPEG of quality 30: enhancenet:e was trained on better images; use the model 'auto'"
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], _Group] = {}

    def add(self, image: str, choice: Choice) -> None:
        """Add what was chosen for an image.

        Args:
            image: its path or address.
            choice: the model, and what was found in the image.
        """
        folder = os.path.dirname(image) or "."  # noqa: PTH120 - also of addresses
        group = self._groups.setdefault((folder, *choice.kind), _Group(image, folder))
        group.count += 1
        found = [*group.extremes, choice]
        ends = [pick(found, key=key) for pick in (min, max) for key in (_quality, _noise, _blur)]
        group.extremes = list(dict.fromkeys(ends))

    @property
    def lines(self) -> list[str]:
        """One line for each folder, model and kind of degradation."""
        return [_line(group) for group in self._groups.values()]


@dataclass
class _Group:
    """Images of one folder with one kind of choice."""

    first: str
    folder: str
    count: int = 0
    extremes: list[Choice] = field(default_factory=list)
    """Those with the lowest and highest quality, noise and blur."""


def _quality(choice: Choice) -> float:
    return choice.quality or 0


def _noise(choice: Choice) -> float:
    return choice.noise or 0.0


def _blur(choice: Choice) -> float:
    return choice.blur or 0.0


def _line(group: _Group) -> str:
    name = f"{escaped(group.folder)}/: {group.count} " if group.count > 1 else f"{escaped(group.first)}: "
    found = in_words(group.extremes, several=group.count > 1)
    if group.extremes[0].beyond:
        return f"warning: {name}{found} {BEYOND}"
    return f"note: {name}{found}"
