"""The numbers that a network takes beside the image: given, or estimated from the whole image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from restore.checkpoint import LoadedModel
from restore.errors import UsageError
from restore.estimation import JpegEstimate, jpeg_from_file, jpeg_from_pixels, noise_level

__all__ = ["as_tensors", "check_conditions", "estimated", "samples"]

_SAMPLES = (15.0, 50.0, 25.0, 75.0)


def check_conditions(model: LoadedModel) -> None:
    """Check that each number of `model` is given or can be estimated.

    Raises:
        UsageError: one is neither.
    """
    for name, value in model.conditions.items():
        if value == "auto" and _kind(name) not in _ESTIMATES:
            raise UsageError(
                f"model '{model.spec.name}' needs a number for '{name}', which cannot be estimated",
                hint=f"set the option '{name}'",
            )


def estimated(model: LoadedModel, image: Tensor, file: Path | bytes | None = None) -> dict[str, float]:
    """Estimate the numbers of `model` that were not given, from a whole image.

    In a chain, all are estimated from the image that the first part is given.

    Args:
        model: the model.
        image: ``(1, 3, H, W)``, uint8 levels or floats in [0, 1].
        file: where the image was read from, or the file's content: the tables of a JPEG state its quality.

    Raises:
        ImageError: `file` cannot be read.
    """
    wanted = [name for name, value in model.conditions.items() if value == "auto"]
    if not wanted:
        return {}
    picture = image.detach().cpu()[0]
    if picture.is_floating_point():
        picture = picture.float().clamp(0, 1)
    jpeg = jpeg_from_file(file) if file is not None else None
    jpeg = jpeg or jpeg_from_pixels(picture)
    found = {kind: _ESTIMATES[kind](picture, jpeg) for kind in {_kind(name) for name in wanted}}
    return {name: found[_kind(name)] for name in wanted}


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
        torch.tensor([_SAMPLES[(index + image) % len(_SAMPLES)] for image in range(batch)])
        for index in range(len(model.conditions))
    )


def _kind(name: str) -> str:
    """What a number is, without the part of the chain that it belongs to."""
    return name.rpartition(".")[2]


def _sigma(picture: Tensor, jpeg: JpegEstimate | None) -> float:
    noise = noise_level(picture, jpeg=jpeg)
    return 0.0 if noise is None else round(noise.mean_sigma, 3)


def _quality(picture: Tensor, jpeg: JpegEstimate | None) -> float:  # noqa: ARG001 - the signature of an estimate
    return 100.0 if jpeg is None else float(jpeg.quality)


_ESTIMATES: Mapping[str, Callable[[Tensor, JpegEstimate | None], float]] = {
    "sigma": _sigma,
    "quality": _quality,
}
"""Name of a number -> its estimate: noise in levels of 255, and the quality of a JPEG from 1 to 100."""
