"""Restore an image and measure the time, and describe why one could not be restored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from restore.errors import RestoreError, escaped, first_line
from restore.images import Photo
from restore.images.failures import is_out_of_memory
from restore.inference import Restorer
from restore.inference.restorer import Progress

__all__ = ["failure_reason", "settings", "timed", "used_options", "warm_up"]

ImageKind = TypeVar("ImageKind", Tensor, Photo)

_WARM_UP = 32  # input pixels


def warm_up(restorer: Restorer, image: Tensor) -> None:
    """Restore a corner of `image`, ``(1, 3, H, W)``: choosing algorithms is not part of an image's time."""
    restorer.restore(image[..., :_WARM_UP, :_WARM_UP])


def timed(
    restorer: Restorer,
    image: ImageKind,
    progress: Progress | None = None,
    conditions: Mapping[str, float] | None = None,
) -> tuple[ImageKind, float]:
    """Restore `image` and measure the seconds that it takes.

    Args:
        restorer: the model.
        image: ``(1, 3, H, W)``, or a photo.
        progress: called with the share that is done.
        conditions: the numbers of `Restorer.conditions_of`; ``None`` estimates them.
    """
    begin = time.perf_counter()
    restored = restorer.upscale(image, progress, conditions)
    return restored, time.perf_counter() - begin


def settings(restorer: Restorer) -> dict[str, str]:
    """Engine, precision and device, on which the times depend, and options of the model that were given."""
    return {
        "engine": restorer.engine,
        "precision": restorer.precision,
        "device": restorer.device.type,
        **restorer.settings,
    }


def used_options(restorer: Restorer, conditions: Mapping[str, float]) -> tuple[str, ...]:
    """The options of the model that were given, and the numbers that it was given for an image.

    Such as ``("form plain", "sigma 24.2 (estimated)")``.
    """
    return tuple(
        f"{name} {conditions[name]:g} (estimated)"
        if text == "auto" and name in conditions
        else f"{name} {text}"
        for name, text in restorer.settings.items()
    )


def failure_reason(error: Exception) -> str:
    """Why an image could not be restored or measured, in one sentence, whatever was raised."""
    if isinstance(error, RestoreError):
        return str(error)
    if is_out_of_memory(error):
        return "there is not enough memory for it; close other programs, or omit it"
    return escaped(f"{type(error).__name__}: {first_line(error)}")
