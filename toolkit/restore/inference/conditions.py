"""Conditioning inputs of a network, such as the noise level: given, or estimated from the whole image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restore.checkpoint import LoadedModel
from restore.errors import UsageError
from restore.estimation import Estimate, estimate
from restore.images import Photo

__all__ = [
    "SAMPLES",
    "TrainedLimits",
    "as_tensors",
    "check_conditions",
    "check_strength",
    "estimated",
    "examined",
    "given_numbers",
    "limits_of",
    "samples",
]

SAMPLES = (15.0, 50.0, 25.0, 75.0)
"""Numbers to try a network with."""


def check_conditions(model: LoadedModel) -> None:
    """Check that each number of `model` is given or can be estimated, and that a quality is one.

    Raises:
        UsageError: one is neither, or a JPEG quality is not from 1 to 100.
    """
    for name, value in model.conditions.items():
        if value == "auto" and _kind(name) not in _ESTIMATES:
            raise UsageError(
                f"model '{model.spec.name}' needs a number for '{name}', which cannot be estimated",
                hint=f"set the option '{name}'",
            )
        if value != "auto" and _kind(name) == "quality" and not 1 <= value <= 100:
            raise UsageError(f"a JPEG quality of {value:g} is impossible", hint="use one from 1 to 100")


def check_strength(strength: float, model: LoadedModel | None = None) -> None:
    """Check that `strength` is a number from 0, and 1 for a model without an estimated number.

    Raises:
        UsageError: it is not.
    """
    if not (strength >= 0 and math.isfinite(strength)):
        raise UsageError(f"a strength of {strength:g} is impossible", hint="set `strength` to 0 or more")
    if strength != 1 and model is not None and "auto" not in model.conditions.values():
        raise UsageError(
            f"for model '{model.reference}' nothing is estimated that `strength` applies to",
            hint="omit `strength`",
        )


@dataclass(frozen=True)
class TrainedLimits:
    """The strongest compression and noise that weights were trained on."""

    quality: int
    noise: float

    def exceeded_by(self, found: Estimate) -> bool:
        """Whether an image is visibly more degraded than that."""
        seen = found.degradations
        worse = "jpeg" in seen and found.jpeg is not None and found.jpeg.quality < self.quality
        noisier = "noise" in seen and found.noise is not None and found.noise.mean_sigma > self.noise
        return worse or noisier


def limits_of(model: LoadedModel) -> TrainedLimits | None:
    """The limits of a model; of a chain, what any of its parts was trained on. `None` if one is unknown."""
    qualities, noises = [], []
    for part in model.parts or (model,):
        entry = part.entry
        if entry is None or entry.lowest_quality is None or entry.highest_noise is None:
            return None
        qualities.append(entry.lowest_quality)
        noises.append(entry.highest_noise)
    return TrainedLimits(min(qualities), max(noises))


def given_numbers(model: LoadedModel) -> dict[str, float]:
    """The numbers of `model` that were given, by name."""
    return {name: value for name, value in model.conditions.items() if value != "auto"}


def examined(image: Photo | Tensor, file: Path | bytes | None = None, *, blur: bool = False) -> Estimate:
    """Estimate the compression and the noise of a whole image, and its blur on request.

    Args:
        image: a photo, or ``(1, 3, H, W)``, uint8 levels or floats in [0, 1].
        file: where the image was read from, or the file's content: the tables of a JPEG state its quality.
        blur: estimate the blur as well.

    Raises:
        ImageError: `file` cannot be read.
    """
    picture = image.color if isinstance(image, Photo) else image
    if picture.is_floating_point():
        picture = picture.float().nan_to_num(0).clamp(0, 1)
    return estimate(picture, file, only=("jpeg", "noise", "blur") if blur else ("jpeg", "noise"))


def estimated(model: LoadedModel, found: Estimate, strength: float = 1.0) -> dict[str, float]:
    """The numbers of `model` that were not given, from what was found in an image.

    In a chain, all are those of the image that the first part is given.

    Args:
        model: the model.
        found: from `examined`.
        strength: how much of what was found to remove; 1 is all of it.
    """
    wanted = [name for name, value in model.conditions.items() if value == "auto"]
    return {name: _ESTIMATES[_kind(name)](found, strength) for name in wanted}


def as_tensors(values: Mapping[str, float | Tensor], model: LoadedModel, batch: int) -> tuple[Tensor, ...]:
    """The numbers in the order of the network, each as ``(batch,)`` float32."""
    return tuple(
        torch.as_tensor(values[name], dtype=torch.float32).expand(batch).contiguous()
        for name in model.conditions
    )


def samples(model: LoadedModel, batch: int) -> tuple[Tensor, ...]:
    """Numbers to try a network with, ``(batch,)`` each, different for each image and each number.

    >>> from restore.checkpoint import load_model
    >>> from restore.registry import discover
    >>> samples(load_model("bicubic", discover()), batch=2)
    ()
    """
    return tuple(
        torch.tensor([SAMPLES[(index + image) % len(SAMPLES)] for image in range(batch)])
        for index in range(len(model.conditions))
    )


def _kind(name: str) -> str:
    """What a number is, without the part of the chain that it belongs to."""
    return name.rpartition(".")[2]


def _sigma(found: Estimate, strength: float) -> float:
    return 0.0 if found.noise is None else round(strength * found.noise.mean_sigma, 3)


def _quality(found: Estimate, strength: float) -> float:
    loss = 0 if found.jpeg is None else 100 - found.jpeg.quality
    return max(1.0, round(100 - strength * loss, 3))


_ESTIMATES: Mapping[str, Callable[[Estimate, float], float]] = {"sigma": _sigma, "quality": _quality}
"""Name of a number -> its estimate, times a strength: noise in levels of 255, and the quality of a JPEG from
1 to 100."""
