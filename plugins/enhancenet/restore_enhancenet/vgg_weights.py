"""Load the weights of VGG-19 from a file, or from those that torchvision publishes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from restore.errors import WeightsError, first_line
from restore_enhancenet.options import LAYERS

__all__ = ["CONVOLUTIONS", "FILE_VARIABLE", "Convolutions", "channels", "load_convolutions"]

FILE_VARIABLE = "RESTORE_VGG19"
"""Environment variable: a local file with the weights, for machines without a network."""

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""torchvision's ``VGG19_Weights.IMAGENET1K_V1``; `torch.hub` checks the hash in the name."""

Convolutions = dict[str, tuple[Tensor, Tensor]]
"""Layer -> weight ``(out, in, 3, 3)`` and bias ``(out,)``."""


def _indices() -> dict[str, int]:
    """Convolution -> its number in torchvision's ``features``, where ReLU and pooling count too."""
    indices, index = {}, 0
    for layer in LAYERS:
        if layer.startswith("conv"):
            indices[layer] = index
        index += 2 if layer.startswith("conv") else 1
    return indices


_INDEX = _indices()

CONVOLUTIONS = tuple(_INDEX)
"""The layers that have weights."""


def channels(layer: str) -> int:
    """Filters of a convolution."""
    return (64, 128, 256, 512, 512)[int(layer[4]) - 1]


def load_convolutions(file: Path | None, layers: Sequence[str]) -> Convolutions:
    """The filters of `layers`, float32.

    Args:
        file: ``.safetensors`` or ``.pth`` in torchvision's names, for RGB in [0, 1] normalised by ImageNet's
            mean and standard deviation. None: the file that ``RESTORE_VGG19`` names, or else torchvision's
            own, downloaded on first use with its hash checked.
        layers: convolutions.

    Raises:
        WeightsError: the file is missing, damaged or ends too early, or cannot be downloaded.
    """
    named = os.environ.get(FILE_VARIABLE)
    file = file or (Path(named) if named else None)
    tensors = _download() if file is None else _read(file)
    missing = [layer for layer in layers if f"features.{_INDEX[layer]}.weight" not in tensors]
    if missing:
        raise WeightsError(
            f"the VGG-19 weights '{file}' lack {', '.join(missing)}, which the chosen layers need: give a "
            f"whole file, or choose layers before {missing[0]}, such as "
            f"--set perceptual.layers=pool2:0.2,pool3:0.02"
        )
    try:
        return {layer: _convolution(tensors, layer) for layer in layers}
    except (KeyError, ValueError) as error:
        raise WeightsError(f"'{file}' does not hold VGG-19 in torchvision's names: {error}") from error


def _convolution(tensors: Mapping[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    weight, bias = (tensors[f"features.{_INDEX[layer]}.{part}"].float() for part in ("weight", "bias"))
    if weight.ndim != 4 or weight.shape[0] != channels(layer) or bias.shape != (channels(layer),):
        raise ValueError(f"{layer} has the shape {tuple(weight.shape)}")
    return weight, bias


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(tensors, dict):
            raise TypeError("it holds no names")
        return tensors
    except Exception as error:  # torch's own unpickler raises whatever a damaged file makes it meet
        raise WeightsError(f"cannot read the VGG-19 weights '{file}': {first_line(error)}") from error


def _download() -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            URL, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot download VGG-19's weights from {URL}: {error}; fetch that file elsewhere and name it by "
            f"{FILE_VARIABLE}=FILE"
        ) from error
    return tensors
