"""Load a third-party model file, without running code from it."""

from __future__ import annotations

import pickle
import re
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
from torch import Tensor

from restore.errors import WeightsError, escaped, first_line
from restore.interfaces import OpenedModel
from restore_spandrel.network import Network
from restore_spandrel.reach import measured_reach

__all__ = ["NOT_TRAINED", "OVERLAP", "open_file", "reach_of"]

OVERLAP = 32
"""Margin of tiles in input pixels for networks without a finite receptive field, as in SwinIR's own code."""

NOT_TRAINED = ("AuraSR", "IPT")
"""Architectures that draw random numbers when they restore, or work on patches of one size only."""

_PICKLES = (".pth", ".pt", ".ckpt")
_LAYERS_PER_TENSOR = 8  # layers without parameters are counted in names, too, but not many times as often


def open_file(file: Path) -> OpenedModel:
    """Load the network of a file.

    Args:
        file: a ``.safetensors`` file, or a ``.pth``, ``.pt`` or ``.ckpt`` file with nothing but tensors.

    Raises:
        WeightsError: the file is damaged, contains code, or contains no network that spandrel supports and
            that maps RGB images to RGB images.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's about old files, and those of the architectures' code
        descriptor = _suitable(_described(_state(_read(file), file), file), file)
        network = Network.of(descriptor).eval()
        halo = reach_of(network, descriptor)
    return OpenedModel(
        network,
        descriptor.scale,
        halo,
        overlap=None if descriptor.tiling == ModelTiling.INTERNAL else OVERLAP,
        stride=descriptor.size_requirements.multiple_of,
        precisions=_precisions(descriptor),
        trainable=None if descriptor.architecture.id in NOT_TRAINED else network.model,
        architecture=_name(descriptor),
        tags=tuple(descriptor.tags),
    )


def _name(descriptor: ImageModelDescriptor[torch.nn.Module]) -> str:
    """The architecture; RealPLKSR is in spandrel a variant of PLKSR."""
    name: str = descriptor.architecture.id
    return f"Real{name}" if "Real" in descriptor.tags else name


def reach_of(network: Network, descriptor: ImageModelDescriptor[torch.nn.Module]) -> int | None:
    """The margin with which tiles are exact; `None` if none is, as for networks that work in blocks.

    Such a network sees another image when a tile begins inside of a block.
    """
    requirements = descriptor.size_requirements
    free = requirements.multiple_of == 1 and not requirements.square
    return measured_reach(network, descriptor.scale) if free else None


def _read(file: Path) -> dict[str, Any]:
    suffix = file.suffix.lower()
    if suffix not in (".safetensors", *_PICKLES):
        raise WeightsError(
            "not a model file", path=file, hint=f"use a file that ends in .safetensors, {', '.join(_PICKLES)}"
        )
    try:
        if suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "the file is damaged, or contains more than tensors and could run code",
            path=file,
            hint="get the model as .safetensors",
        ) from error
    except Exception as error:  # the unpickler can raise anything for a damaged file
        raise WeightsError(f"cannot read the file: {first_line(error)}", path=file) from error
    if not isinstance(content, dict):
        raise WeightsError("the file contains no named tensors, and therefore no model", path=file)
    return content


def _state(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """The tensors of one network, after a check that they are as large as they say.

    spandrel builds the network by the names and shapes of the tensors. A view can claim more values than the
    file has, and a single name such as ``body.9999999.weight`` more layers.
    """
    try:
        state: dict[str, Any] = canonicalize_state_dict(content)
    except Exception as error:  # it can raise anything for content that it does not expect
        raise WeightsError(
            f"the file contains no complete model: {type(error).__name__}: {first_line(error)}", path=file
        ) from error
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and tensor.nbytes > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"the tensor '{escaped(name)}' claims {tensor.numel()} values, more than the file contains",
                path=file,
            )
    numbers = [int(part) for name in state for part in re.findall(r"\d{1,9}", name)]
    limit = _LAYERS_PER_TENSOR * len(state) + 1000
    if max(numbers, default=0) > limit:
        raise WeightsError(
            f"the tensors are numbered up to {max(numbers)}, but the file contains only {len(state)}",
            path=file,
        )
    return state


def _described(state: dict[str, Any], file: Path) -> ModelDescriptor:
    try:
        return ModelLoader(device="cpu").load_from_state_dict(state)
    except UnsupportedModelError as error:
        raise WeightsError(
            "spandrel does not know the architecture",
            path=file,
            hint="for weights of 'restore train', name the model that was trained: MODEL:FILE",
        ) from error
    except Exception as error:  # an architecture was taken for another, or lacks tensors
        raise WeightsError(
            f"the file contains no complete model: {type(error).__name__}: {first_line(error)}", path=file
        ) from error


def _suitable(descriptor: ModelDescriptor, file: Path) -> ImageModelDescriptor[torch.nn.Module]:
    """Refuse a network that does not map RGB images to RGB images."""
    name, channels = descriptor.architecture.name, (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, ImageModelDescriptor):
        raise WeightsError(f"models for inpainting ({name}) need a mask: not supported", path=file)
    if descriptor.purpose == "FaceSR":
        raise WeightsError(f"models for cropped and aligned faces ({name}) are not supported", path=file)
    if channels != (3, 3):
        raise WeightsError(
            f"the model ({name}) maps {channels[0]} to {channels[1]} channels, but images have 3: "
            f"not supported",
            path=file,
        )
    return descriptor


def _precisions(descriptor: ImageModelDescriptor[torch.nn.Module]) -> frozenset[str]:
    able = {"fp32": True, "bf16": descriptor.supports_bfloat16, "fp16": descriptor.supports_half}
    return frozenset(name for name, can in able.items() if can)
