"""Which models were chosen for the images of a batch, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from restore.errors import escaped
from restore.inference.choosing import Choice, in_words

__all__ = ["lines"]


def lines(choices: Iterable[tuple[Path, Choice]]) -> list[str]:
    """One line for each folder, model and kind of degradation.

    Args:
        choices: images with what was chosen for each.

    Example:
        >>> first, second = (Choice("enhancenet:photo", quality) for quality in (60, 75))
        >>> lines([(Path("holiday/a.jpg"), first), (Path("holiday/b.jpg"), second)])
        ['note: holiday/: 2 JPEG of quality 60 to 75: enhancenet:photo']
        >>> lines([(Path("a.jpg"), Choice("enhancenet:e", 30, beyond=True))])[0]
        "warning: a.jpg: JPEG of quality 30: enhancenet:e was trained on better images; set `model` to 'auto'"
    """
    groups: dict[tuple[object, ...], list[tuple[Path, Choice]]] = {}
    for image, choice in choices:
        kind = (choice.quality is None, choice.noise is None, choice.beyond)
        groups.setdefault((image.parent, choice.model, *kind), []).append((image, choice))
    return [_line(group) for group in groups.values()]


def _line(group: list[tuple[Path, Choice]]) -> str:
    image, first = group[0]
    several = len(group) > 1
    name = f"{escaped(str(image.parent))}/: {len(group)} " if several else f"{escaped(str(image))}: "
    found = in_words([choice for _, choice in group])
    if first.beyond:
        return f"warning: {name}{found} was trained on better images; set `model` to 'auto'"
    return f"note: {name}{found}"
