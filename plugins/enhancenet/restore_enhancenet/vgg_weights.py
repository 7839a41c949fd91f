"""Load the weights of VGG-19 from a file or from torchvision's download."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from restore.errors import WeightsError, first_line
from restore.files import sha256
from restore_enhancenet.options import LAYERS

__all__ = ["CONVOLUTIONS", "FILE_VARIABLE", "Convolutions", "channels", "load_convolutions", "note_on"]

FILE_VARIABLE = "RESTORE_VGG19"
"""Environment variable: a local file with the weights, for machines without internet access."""

_SHA256 = "dcbb9e9d"  # begins the hash of torchvision's file, which has it in its name
URL = f"https://download.pytorch.org/models/vgg19-{_SHA256}.pth"
"""torchvision's ``VGG19_Weights.IMAGENET1K_V1``; `torch.hub` checks the hash in the name."""

Convolutions = dict[str, tuple[Tensor, Tensor]]
"""Layer -> weight ``(out, in, 3, 3)`` and bias ``(out,)``."""


def _indices() -> dict[str, int]:
    """Convolution -> its index in torchvision's ``features``, where ReLU and pooling count too."""
    indices, index = {}, 0
    for layer in LAYERS:
        if layer.startswith("conv"):
            indices[layer] = index
        index += 2 if layer.startswith("conv") else 1
    return indices


_INDEX = _indices()

CONVOLUTIONS = tuple(_INDEX)
"""The layers with weights."""


def channels(layer: str) -> int:
    """Number of filters of a convolution.

    >>> channels("conv3_1")
    256
    """
    return (64, 128, 256, 512, 512)[int(layer[4]) - 1]


def weights_file(file: Path | None) -> Path | None:
    """The local file: `file`, or the one that ``RESTORE_VGG19`` names, or ``None``."""
    named = os.environ.get(FILE_VARIABLE)
    return file or (Path(named) if named else None)


def load_convolutions(file: Path | None, layers: Sequence[str]) -> Convolutions:
    """Return the filters of `layers` in float32.

    Args:
        file: ``.safetensors`` or ``.pth`` in torchvision's names, for RGB in [0, 1] normalized by ImageNet's
            mean and standard deviation. ``None``: the file that ``RESTORE_VGG19`` names, or else the weights
            of torchvision, downloaded on first use with their hash checked.
        layers: convolutions.

    Raises:
        WeightsError: the file is missing or damaged, lacks a layer, or cannot be downloaded.
    """
    file = weights_file(file)
    tensors = _download() if file is None else _read(file)
    missing = [layer for layer in layers if f"features.{_INDEX[layer]}.weight" not in tensors]
    if missing:
        raise WeightsError(
            f"the VGG-19 weights lack {', '.join(missing)}, which the chosen layers need",
            path=file,
            hint=f"use a complete file, or choose layers before {missing[0]}, such as "
            "perceptual.layers=pool2:0.2,pool3:0.02",
        )
    try:
        return {layer: _convolution(tensors, layer) for layer in layers}
    except (KeyError, ValueError) as error:
        raise WeightsError(f"this is not VGG-19 in torchvision's layout: {error}", path=file) from error


def note_on(file: Path | None) -> str:
    """What to know about the weights that `load_convolutions` takes from `file`; empty for torchvision's.

    Raises:
        WeightsError: the file cannot be read.
    """
    # torch.hub checks what it downloads, not what it finds in its cache.
    file = weights_file(file) or Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
    try:
        digest = sha256(file)
    except OSError as error:
        raise WeightsError(f"cannot read the VGG-19 weights: {error.strerror}", path=file) from error
    if digest.startswith(_SHA256):
        return ""
    return f"VGG-19 weights other than torchvision's [SHA-256 {digest[:16]}]"


def _convolution(tensors: Mapping[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    weight, bias = (tensors[f"features.{_INDEX[layer]}.{part}"] for part in ("weight", "bias"))
    if not (weight.is_floating_point() and bias.is_floating_point()):
        raise ValueError(f"{layer} is {weight.dtype}, not a floating type")
    weight, bias = weight.float(), bias.float()
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError(f"{layer} has values that are not finite")
    if weight.ndim != 4 or weight.shape[0] != channels(layer) or bias.shape != (channels(layer),):
        raise ValueError(f"{layer} has the shape {tuple(weight.shape)}")
    return weight, bias


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(tensors, dict):
            raise TypeError("it has no named tensors")
        return tensors
    except Exception as error:  # torch's unpickler raises many kinds of errors for damaged files
        raise WeightsError(f"cannot read the VGG-19 weights: {first_line(error)}", path=file) from error


def _download() -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            URL, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot download the weights of VGG-19 from {URL}: {first_line(error)}",
            hint=f"download that file elsewhere, and set {FILE_VARIABLE} to its path",
        ) from error
    return tensors
