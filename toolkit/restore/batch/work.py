"""An image of a batch between two stages."""

from __future__ import annotations

from dataclasses import dataclass

from restore.batch.jobs import Job
from restore.batch.locking import Claim
from restore.images import Animation, Photo, Provenance
from restore.inference.restorer import Selected

__all__ = ["Work", "first_frame"]


@dataclass(frozen=True)
class Work:
    """An image between two stages, and the claim on its result."""

    job: Job
    claim: Claim
    provenance: Provenance
    picture: Photo | Animation
    selected: Selected
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Spent on it so far."""


def first_frame(picture: Photo | Animation) -> Photo:
    """The image, or the first one of an animation."""
    return picture if isinstance(picture, Photo) else picture.frames[0]
