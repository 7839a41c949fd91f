"""New networks of spandrel's architectures."""

from __future__ import annotations

import importlib
import warnings
from functools import lru_cache
from typing import Any

import torch
from spandrel import ImageModelDescriptor, ModelLoader, ModelTiling, SizeRequirements
from torch import nn

from restore.errors import OptionsError, first_line
from restore.interfaces import Options
from restore_spandrel.architectures import ARCHITECTURES
from restore_spandrel.network import Network
from restore_spandrel.opening import OVERLAP, reach_of

__all__ = ["build", "halo", "overlap", "stride"]


def build(name: str, scale: int, options: Options) -> nn.Module:
    """Build a network with random weights, as spandrel would load it from its file.

    Args:
        name: one of `ARCHITECTURES`.
        scale: output pixels per input pixel.
        options: of the schema of the architecture.

    Raises:
        OptionsError: the architecture does not work with these options, or they cannot be recognized from the
            weights, so that spandrel would load another network.
    """
    model = _constructed(name, scale, options)
    if next(model.parameters()).is_meta:  # to count parameters
        return Network(model, scale, SizeRequirements(), lambda network, image: network(image))
    return Network.of(_described(name, scale, options, model))


def halo(name: str, scale: int, options: Options) -> int | None:
    """The measured radius of the receptive field; see `reach.measured_reach`."""
    return _geometry(name, scale, type(options), options.model_dump_json())[0]


def overlap(name: str, scale: int, options: Options) -> int | None:
    """The margin of tiles where the halo is ``None``."""
    return _geometry(name, scale, type(options), options.model_dump_json())[1]


def stride(name: str, scale: int, options: Options) -> int:
    """Tiles begin at multiples of it: a network that pads to multiples of 8 merges as many pixels."""
    return _geometry(name, scale, type(options), options.model_dump_json())[2]


@lru_cache
def _geometry(
    name: str, scale: int, schema: type[Options], options: str
) -> tuple[int | None, int | None, int]:
    """Halo, overlap and stride."""
    parsed = schema.model_validate_json(options)
    with torch.random.fork_rng(devices=[]):  # in a training, the random numbers of the step go on
        descriptor = _described(name, scale, parsed, _constructed(name, scale, parsed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        radius = reach_of(Network.of(descriptor).eval(), descriptor)
    tiled = radius is None and descriptor.tiling != ModelTiling.INTERNAL
    return radius, OVERLAP if tiled else None, descriptor.size_requirements.multiple_of


def _constructed(name: str, scale: int, options: Options) -> nn.Module:
    architecture = ARCHITECTURES[name]
    module, _, cls = architecture.place.partition(":")
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in options}
    if architecture.scale:
        given[architecture.scale] = scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the architectures' code
        constructor = getattr(importlib.import_module(f"spandrel.architectures.{module}"), cls)
        try:
            network: nn.Module = constructor(**architecture.fixed, **given)
        except Exception as error:  # the architectures check their arguments in many ways, or not at all
            raise OptionsError(
                f"model 'spandrel.{name}' cannot be built with these options: {first_line(error)}"
            ) from error
    return network


def _described(name: str, scale: int, options: Options, model: nn.Module) -> ImageModelDescriptor[nn.Module]:
    """The network as spandrel recognizes it from its weights."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            descriptor = ModelLoader(device="cpu").load_from_state_dict(dict(model.state_dict()))
    except Exception as error:
        raise OptionsError(
            f"spandrel cannot load weights of 'spandrel.{name}' with these options: {first_line(error)}"
        ) from error
    found = getattr(descriptor.model, "hyperparameters", {})
    for key, value in options:
        recognized = found.get(key, value)
        if _plain(recognized) != _plain(value):
            raise OptionsError(
                f"from weights of 'spandrel.{name}' with {key} = {value}, spandrel recognizes {recognized}",
                hint=f"choose another value of `{key}`",
            )
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.scale != scale:
        raise OptionsError(
            f"from weights of 'spandrel.{name}' at {scale}x, spandrel recognizes another network",
            hint="choose other options",
        )
    return descriptor


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
