"""A file of anybody's becomes a model, without running anything that it says."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from spandrel import (
    ImageModelDescriptor,
    ModelDescriptor,
    ModelLoader,
    ModelTiling,
    UnsupportedModelError,
    canonicalize_state_dict,
)

from restore.errors import WeightsError, first_line
from restore.interfaces import OpenedModel
from restore_spandrel.network import Network
from restore_spandrel.reach import measured_reach

__all__ = ["OVERLAP", "open_file"]

OVERLAP = 32
"""Margin of tiles in input pixels where no margin makes them exact; what SwinIR's authors use too."""

_PICKLES = (".pth", ".pt", ".ckpt")


def open_file(file: Path) -> OpenedModel:
    """Read a file and find out what network it holds.

    Args:
        file: ``.safetensors``, or tensors that PyTorch saved.

    Raises:
        WeightsError: the file is damaged, would run code, holds no network that spandrel knows, or one that
            does not make an image in colour of an image in colour.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about old files and the architectures' code
        descriptor = _suitable(_described(_tensors(file), file), file)
        requirements = descriptor.size_requirements
        network = Network(descriptor).eval()
        # A network that works in blocks sees another image when a tile begins inside of a block.
        free = requirements.multiple_of == 1 and not requirements.square
        halo = measured_reach(network, descriptor.scale) if free else None
    return OpenedModel(
        network,
        descriptor.scale,
        halo,
        overlap=None if descriptor.tiling == ModelTiling.INTERNAL else OVERLAP,
        precisions=_precisions(descriptor),
    )


def _tensors(file: Path) -> dict[str, Any]:
    suffix = file.suffix.lower()
    if suffix not in (".safetensors", *_PICKLES):
        raise WeightsError(
            f"cannot read '{file}': files of models end in .safetensors, {', '.join(_PICKLES)}"
        )
    try:
        if suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"'{file}' is damaged or holds more than tensors, and to read that could run code: it is "
            f"refused; get it as .safetensors"
        ) from error
    except Exception as error:  # the unpickler raises whatever a damaged file makes it meet
        raise WeightsError(f"cannot read '{file}': {first_line(error)}") from error
    if not isinstance(tensors, dict):
        raise WeightsError(f"'{file}' holds no tensors with names, so no model")
    return tensors


def _described(tensors: dict[str, Any], file: Path) -> ModelDescriptor:
    try:
        return ModelLoader(device="cpu").load_from_state_dict(canonicalize_state_dict(tensors))
    except UnsupportedModelError as error:
        raise WeightsError(
            f"'{file}' is of no architecture that spandrel knows; weights of 'restore train' are named by "
            f"their own model"
        ) from error
    except Exception as error:  # of an architecture that was taken for another, or lacks tensors
        raise WeightsError(
            f"'{file}' is no whole model: {type(error).__name__}: {first_line(error)}"
        ) from error


def _suitable(descriptor: ModelDescriptor, file: Path) -> ImageModelDescriptor[torch.nn.Module]:
    """Refuse what does not make an image in colour of an image in colour."""
    name, channels = descriptor.architecture.name, (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, ImageModelDescriptor):
        raise WeightsError(
            f"'{file}' ({name}) fills holes in images, for which it needs a mask: not supported"
        )
    if descriptor.purpose == "FaceSR":
        raise WeightsError(f"'{file}' ({name}) restores faces that were cut out and aligned: not supported")
    if channels != (3, 3):
        raise WeightsError(
            f"'{file}' ({name}) takes {channels[0]} and gives {channels[1]} channels, but images have 3: "
            f"not supported"
        )
    return descriptor


def _precisions(descriptor: ImageModelDescriptor[torch.nn.Module]) -> frozenset[str]:
    able = {"fp32": True, "bf16": descriptor.supports_bfloat16, "fp16": descriptor.supports_half}
    return frozenset(name for name, can in able.items() if can)
