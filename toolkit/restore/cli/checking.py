"""``restore upscale --check``: compare results with their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli import console

if TYPE_CHECKING:
    from restore.batch import Outcome

__all__ = ["check", "map_of"]

_BRIGHTER = 8  # so that a difference of a few levels can be seen; 32 levels and more are white


def map_of(result: Path) -> Path:
    """The image of the differences between a result and its input, next to the result."""
    return result.with_name(f"{result.name}.check.png")


def check(outcome: Outcome, name: Path | None, *, drawn: bool) -> dict[str, Any]:
    """Compare a result with its input and print what was found to stderr.

    Args:
        outcome: of an image that is done.
        name: what to call the result.
        drawn: write `map_of` the result, too.

    Returns:
        JSON-serializable: ``{"check": {"consistency": dB, "shift": {"red": levels, ...}, ..., "input":
        {"quality": of the JPEG compression, "noise": deviation in levels, "blur": sigma in pixels}}}``.
    """
    from restore.estimation import estimate
    from restore.faithfulness import compare, consistency_map
    from restore.images import Photo, read, write_atomic
    from restore.inference.choosing import Choice, found_in_words

    if not isinstance(outcome.source, Path) or not isinstance(outcome.destination, Path):
        return {}
    # The file itself is compared: what its format lost counts too. Its size was accepted before.
    restored = read(outcome.destination, max_pixels=None).color
    photo = read(outcome.source, max_pixels=None)
    degraded, suffers = photo.color, estimate(photo, outcome.source, only=("jpeg", "noise", "blur"))
    found = compare(restored, degraded, suffers)
    seen = Choice.of("", suffers)
    # A result that equals a degraded input is no good one.
    console.message(f"check: {name}: {found.sentence}; input: {found_in_words([seen])}")
    for warning in found.warnings:
        console.message(f"warning: {name}: {warning}")
    content = found.to_json() | {"input": {"quality": seen.quality, "noise": seen.noise, "blur": seen.blur}}
    if drawn:
        place = map_of(outcome.destination)
        differences = _BRIGHTER * consistency_map(restored, degraded, suffers).float()
        write_atomic(Photo(differences.expand(-1, 3, -1, -1), gray=True), place)
        content["map"] = str(place)
    return {"check": content}
