"""Restore an image and measure the time, and describe why one could not be restored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from restore.errors import RestoreError, escaped, first_line
from restore.images import Photo
from restore.images.failures import is_out_of_memory
from restore.inference import AnyRestorer, AutoRestorer, Restorer
from restore.inference.restorer import Selected
from restore.inference.tiles import Progress

__all__ = ["failure_reason", "selected", "settings", "timed", "used_options", "warm_up"]

ImageKind = TypeVar("ImageKind", Tensor, Photo)

_WARM_UP = 32  # input pixels


def warm_up(restorer: Restorer, image: Tensor) -> None:
    """Restore a corner of `image`, ``(1, 3, H, W)``: choosing algorithms is not part of an image's time."""
    restorer.restore(image[..., :_WARM_UP, :_WARM_UP])


def selected(restorer: AnyRestorer, image: Photo | Tensor, file: Path | None = None) -> Selected:
    """Select the model and the conditioning inputs for an image.

    Args:
        restorer: the model, or several of which one is chosen.
        image: a photo, or ``(1, 3, H, W)``. It is seen as a whole.
        file: where it was read from: the tables of a JPEG state its quality.
    """
    if isinstance(restorer, AutoRestorer):
        return restorer.select(image, file)
    return Selected(restorer, restorer.conditions_of(image, file))


def timed(how: Selected, image: ImageKind, progress: Progress | None = None) -> tuple[ImageKind, float]:
    """Restore `image` and measure the seconds that it takes.

    Args:
        how: from `selected`; without a model the image stays as it is.
        image: ``(1, 3, H, W)``, or a photo.
        progress: called with the share that is done.
    """
    begin = time.perf_counter()
    restored = how.restorer.upscale(image, progress, how.conditions) if how.restorer else image
    return restored, time.perf_counter() - begin


def settings(restorer: AnyRestorer) -> dict[str, str]:
    """Engine, precision, device and given model options, on which the times depend."""
    one = restorer.any() if isinstance(restorer, AutoRestorer) else restorer
    options = {"rule": restorer.rule} if isinstance(restorer, AutoRestorer) else one.settings
    ensemble = {"self_ensemble": "on"} if one.self_ensemble else {}
    return {
        "engine": one.engine,
        "precision": one.precision,
        "device": one.device.type,
        **options,
        **ensemble,
    }


def used_options(how: Selected) -> tuple[str, ...]:
    """What was chosen, the options of the model that were given, and the numbers for an image.

    Such as ``("form plain", "sigma 24.2 (estimated)")``.
    """
    restorer, conditions = how.restorer, how.conditions
    chosen = (how.choice.sentence,) if how.choice else ()
    if restorer is None:
        return chosen
    return chosen + tuple(
        f"{name} {conditions[name]:g} (estimated)"
        if text == "auto" and name in conditions
        else f"{name} {text}"
        for name, text in restorer.settings.items()
    )


def failure_reason(error: Exception) -> str:
    """Why an image could not be restored or measured, in one sentence, whatever was raised.

    >>> failure_reason(ValueError("the image has no pixels"))
    'ValueError: the image has no pixels'
    """
    if isinstance(error, RestoreError):
        return str(error)
    if is_out_of_memory(error):
        return "there is not enough memory for it; close other programs, or omit it"
    return escaped(f"{type(error).__name__}: {first_line(error)}")
