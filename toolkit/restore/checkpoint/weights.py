"""Weights: a network's parameters in a file that says itself what it is.

``NAME:FILE`` is therefore all that a user has to give.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from torch import nn

from restore.checkpoint.tensors import check_size, load_tensors, save_tensors, sha256, to_json
from restore.errors import OptionsError, UsageError, WeightsError, first_line, nearest
from restore.files import cache_folder
from restore.interfaces import ModelSpec, OpenedModel, Options, Weights, parse
from restore.registry import Registry

__all__ = ["LoadedModel", "WeightsCard", "as_metadata", "load_model", "read_card", "save_weights"]

_KEY = "restore"  # the one metadata key: safetensors writes several in random order


class WeightsCard(BaseModel):
    """What a weights file says about itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str
    scale: int
    options: dict[str, Any] = {}
    objective: str = ""
    steps: int = 0
    data: str = ""
    """Fingerprint of the training data."""
    figures: dict[str, float] = {}
    versions: dict[str, str] = {}
    blend: dict[str, float] = {}
    """Shares of the files whose weighted mean this is, by their SHA-256; empty for weights from training."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, and what it takes to run it."""

    reference: str
    """As the user gave it: ``NAME[:WEIGHTS]``."""
    spec: ModelSpec
    scale: int
    options: Options
    module: nn.Module
    """In evaluation mode, float32, on the CPU."""
    weights: str = ""
    """Name or path of the weights; empty for a model that has none."""
    digest: str = ""
    """SHA-256 of the weights file."""
    opened: OpenedModel | None = None
    """What `ModelSpec.open` read, where it did."""

    @property
    def halo(self) -> int | None:
        """Receptive-field radius in input pixels; ``None`` when every input matters."""
        return self.spec.halo(self.scale, self.options) if self.opened is None else self.opened.halo

    @property
    def overlap(self) -> int | None:
        """Margin of tiles that are only nearly equal to the whole image, where the halo is ``None``."""
        return None if self.opened is None else self.opened.overlap


def load_model(reference: str, registry: Registry, scale: int | None = None) -> LoadedModel:
    """Build the network that ``NAME[:WEIGHTS]`` names and load its weights.

    Args:
        reference: ``bicubic``, ``enhancenet`` (its default weights), ``enhancenet:e``,
            ``enhancenet:path/to/file.safetensors``.
        registry: where to look.
        scale: ``None`` takes that of the weights file, or 4 where the model can.

    Raises:
        UnknownNameError: no such model.
        UsageError: the model cannot work at this scale, or has no such weights.
        WeightsError: the file is missing, damaged, or belongs to another model.
    """
    name, _, weights = reference.partition(":")
    spec = registry.models[name]
    if weights and _is_path(weights, spec):
        return _load_file(reference, spec, Path(weights), scale)
    scale = _default_scale(spec, weights) if scale is None else scale
    spec.check_scale(scale)
    choice = _choose(spec, weights, scale)
    if choice is None:
        return _without_weights(reference, spec, scale)
    file = _local(choice)
    loaded = _load_file(reference, spec, file, scale)
    if loaded.digest != choice.sha256:
        raise WeightsError(f"the weights '{file}' are damaged (their SHA-256 differs): install again")
    return loaded


def read_card(file: Path) -> WeightsCard:
    """What a weights file says about itself, without loading its tensors.

    Raises:
        WeightsError: the file is missing, damaged, or was not written by `save_weights`.
    """
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
        return WeightsCard.model_validate_json(metadata[_KEY])
    except KeyError:
        raise WeightsError(
            f"'{file}' does not say for which model it is: give weights that 'restore train' wrote"
        ) from None
    except (OSError, SafetensorError, ValidationError) as error:
        raise WeightsError(f"cannot read the weights '{file}': {first_line(error)}") from error


def save_weights(file: Path, module: nn.Module, card: WeightsCard) -> None:
    """Write the parameters and buffers of `module`, with `card`; equal weights give equal bytes."""
    save_tensors(file, module.state_dict(), as_metadata(card))


def as_metadata(card: WeightsCard) -> dict[str, str]:
    """`card` as it lies in a file."""
    return {_KEY: to_json(card.model_dump())}


def _is_path(weights: str, spec: ModelSpec) -> bool:
    if spec.open is not None:
        return weights not in {entry.name for entry in spec.weights}
    return weights.endswith(".safetensors") or os.sep in weights or "/" in weights


def _default_scale(spec: ModelSpec, weights: str) -> int:
    own = [entry.scale for entry in spec.weights if weights in ("", entry.name)]
    if own:
        return 4 if 4 in own else own[0]
    return 4 if spec.supports(4) else min(spec.scales or (1,))


def _choose(spec: ModelSpec, weights: str, scale: int) -> Weights | None:
    """The named weights, or the default ones; none for a model that ships none."""
    at_scale = [entry for entry in spec.weights if entry.scale == scale]
    if not weights:
        return at_scale[0] if at_scale else None
    for entry in at_scale:
        if entry.name == weights:
            return entry
    known = [f"{entry.name} ({entry.scale}x)" for entry in spec.weights]
    guess = nearest(weights, [entry.name for entry in at_scale])
    raise UsageError(
        f"model '{spec.name}' has no weights '{weights}' for {scale}x.{guess} Known: "
        f"{', '.join(known) or 'none'}; a file is named by its path, such as "
        f"{spec.name}:runs/mine/generator.safetensors"
    )


def _without_weights(reference: str, spec: ModelSpec, scale: int) -> LoadedModel:
    options = parse(spec.options, {}, f"model '{spec.name}'")
    module = spec.build(scale, options).eval()
    if module.state_dict():
        known = ", ".join(f"{entry.name} ({entry.scale}x)" for entry in spec.weights) or "none"
        raise UsageError(
            f"model '{spec.name}' has no weights for {scale}x (it comes with: {known}): train some with "
            f"'restore train --model {spec.name} --scale {scale}' and name them as {spec.name}:FILE"
        )
    return LoadedModel(reference, spec, scale, options, module)


def _load_file(reference: str, spec: ModelSpec, file: Path, scale: int | None) -> LoadedModel:
    if not file.is_file():
        raise WeightsError(f"there is no weights file '{file}'")
    opened = None if spec.open is None else spec.open(file)
    found, options = (opened.scale, spec.options()) if opened else _described(spec, file)
    if scale is not None and found != scale:
        raise UsageError(f"the weights '{file}' are for {found}x, not for {scale}x: use --scale {found}")
    module = opened.module if opened else _filled(spec, file, found, options)
    return LoadedModel(reference, spec, found, options, module.eval(), str(file), sha256(file), opened)


def _filled(spec: ModelSpec, file: Path, scale: int, options: Options) -> nn.Module:
    """The network with the tensors of `file`."""
    check_size(file, lambda: spec.build(scale, options))
    module = spec.build(scale, options)
    load_tensors(module, file)
    return module


def _described(spec: ModelSpec, file: Path) -> tuple[int, Options]:
    """Scale and options of the network that `file` holds, by what it says."""
    card = read_card(file)
    if card.model != spec.name:
        raise WeightsError(f"the weights '{file}' are for model '{card.model}', not for '{spec.name}'")
    if not spec.supports(card.scale):
        raise WeightsError(f"the weights '{file}' are for {card.scale}x, which '{spec.name}' cannot do")
    try:
        return card.scale, parse(spec.options, card.options, f"model '{spec.name}'")
    except OptionsError as error:
        raise WeightsError(f"the weights '{file}' do not fit: {error}") from error


def _local(weights: Weights) -> Path:
    """The file of `weights`, downloaded once and checked where it is an address."""
    if isinstance(weights.source, Path):
        return weights.source
    cache = cache_folder() / "weights"
    file = cache / f"{weights.sha256}.safetensors"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(weights.source, str(file), hash_prefix=weights.sha256)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"cannot download {weights.source}: {first_line(error)}; download it elsewhere and name "
                f"the file by its path"
            ) from error
    return file
