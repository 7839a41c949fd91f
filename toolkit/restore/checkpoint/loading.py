"""Load models: a reference becomes a network with its weights and what is needed to run it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from restore.checkpoint.loaded import LoadedModel
from restore.checkpoint.options import Number, changed, check_shapes, of_parts, split
from restore.checkpoint.scales import choosing_part, default_scale
from restore.checkpoint.tensors import check_size, load_tensors
from restore.checkpoint.weights import read_card
from restore.errors import OptionsError, UsageError, WeightsError, first_line, nearest
from restore.files import cache_folder, sha256
from restore.interfaces import ModelSpec, OpenedModel, Options, Weights, parse
from restore.registry import ModelReference, Registry

__all__ = ["check_reference", "load_model"]


def load_model(
    reference: str,
    registry: Registry,
    scale: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Build the network of a reference and load its weights.

    Args:
        reference: ``bicubic``, ``enhancenet`` (its default weights), ``enhancenet:e``,
            ``enhancenet:path/to/file.safetensors``, or a chain of these joined by ``+``.
        registry: the known models.
        scale: exactly this one; `None` takes that of the weights, or 4 where the model can. In a chain, the
            last part that has a choice makes up for the scale of the others.
        options: options other than those of the weights, and numbers that the network takes beside the image,
            by name; for a chain as ``NAME.OPTION``, where the second part of a name is ``NAME#2``.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: the model cannot work at this scale, or has no such weights, or the weights cannot be used
            with these options.
        OptionsError: an option is unknown or not valid.
        WeightsError: the file is missing or damaged, or belongs to another model.

    Example:
        >>> from restore.registry import discover
        >>> load_model("bicubic", discover(), scale=3).scale
        3
    """
    check_reference(reference, registry, scale)
    parsed = ModelReference.parse(reference)
    given = of_parts(options or {}, parsed.labels)
    if not parsed.chain:
        return replace(_load(parsed, registry, scale, given[0]), given=dict(options or {}))
    choosing = choosing_part(parsed, registry)
    parts = {
        index: _load(part, registry, None, given[index])
        for index, part in enumerate(parsed.parts)
        if index != choosing
    }
    rest = math.prod(part.scale for part in parts.values())
    if choosing is not None:
        wanted = None if scale is None or scale % rest else scale // rest
        parts[choosing] = _load(parsed.parts[choosing], registry, wanted, given[choosing])
    loaded = [parts[index] for index in sorted(parts)]
    chain = LoadedModel.chained(reference, parsed.labels, loaded)
    _check_chain(reference, chain.scale, scale)
    return replace(chain, given=dict(options or {}))


def check_reference(reference: str, registry: Registry, scale: int | None = None) -> int | None:
    """Check what can be checked of a reference before its weights are read.

    Args:
        reference: as for `load_model`.
        registry: the known models.
        scale: as for `load_model`.

    Returns:
        The scale of the model; `None` where its weights file decides.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: the model cannot work at this scale, or has no such weights.
        WeightsError: there is no such file.

    Example:
        >>> from restore.registry import discover
        >>> check_reference("bicubic", discover())
        4
    """
    parsed = ModelReference.parse(reference)
    if not parsed.chain:
        return _check(parsed, registry, scale)
    choosing = choosing_part(parsed, registry)
    rest = 1
    for index, part in enumerate(parsed.parts):
        own = _check(part, registry, None)
        if own is None:
            return scale
        rest *= 1 if index == choosing else own
    if choosing is not None:
        wanted = None if scale is None or scale % rest else scale // rest
        rest *= _check(parsed.parts[choosing], registry, wanted) or 1
    _check_chain(reference, rest, scale)
    return rest


def _check_chain(reference: str, scale: int, wanted: int | None) -> None:
    if wanted not in (None, scale):
        raise UsageError(
            f"the chain '{reference}' works at {scale}x, not at {wanted}x", hint=f"set `scale` to {scale}"
        )


def _check(parsed: ModelReference, registry: Registry, scale: int | None) -> int | None:
    """`check_reference` of a model that is no chain."""
    spec = registry.models[parsed.name]
    file = parsed.file(spec)
    if file is not None:
        if not file.is_file():
            raise WeightsError("there is no such weights file", path=file, hint="check the path")
        return scale
    scale = default_scale(spec, parsed.weights) if scale is None else scale
    spec.check_scale(scale)
    _choose(spec, parsed.weights, scale)
    return scale


def _load(
    parsed: ModelReference, registry: Registry, scale: int | None, given: Mapping[str, Any]
) -> LoadedModel:
    """Load a model that is no chain."""
    reference, spec = str(parsed), registry.models[parsed.name]
    file = parsed.file(spec)
    if file is not None:
        return _from_file(reference, spec, file, scale, given)
    scale = default_scale(spec, parsed.weights) if scale is None else scale
    choice = _choose(spec, parsed.weights, scale)
    if choice is None:
        return _without_weights(reference, spec, scale, given)
    file = _local(choice)
    loaded = _from_file(reference, spec, file, scale, given)
    if loaded.digest != choice.sha256:
        raise WeightsError(
            "the weights are damaged: their SHA-256 does not match", path=file, hint="install again"
        )
    return loaded


def _choose(spec: ModelSpec, weights: str, scale: int) -> Weights | None:
    """The named weights, or the default ones; none for a model that ships none."""
    at_scale = [entry for entry in spec.weights if entry.scale == scale]
    if not weights:
        return at_scale[0] if at_scale else None
    for entry in at_scale:
        if entry.name == weights:
            return entry
    guess = nearest(weights, [entry.name for entry in at_scale])
    raise UsageError(
        f"model '{spec.name}' has no weights '{weights}' for {scale}x.{guess} Known: {spec.listed_weights()}",
        hint=f"write the path of a file as in {spec.name}:runs/mine/generator.safetensors",
    )


def _without_weights(reference: str, spec: ModelSpec, scale: int, given: Mapping[str, Any]) -> LoadedModel:
    options, conditions = split(spec, {}, given)
    module = spec.build(scale, options)
    if module.state_dict():
        raise UsageError(
            f"model '{spec.name}' has no weights for {scale}x (it comes with: {spec.listed_weights()})",
            hint=f"train some with 'restore train' and name them as {spec.name}:FILE",
        )
    return replace(
        LoadedModel.built(reference, spec, scale, options, module),
        conditions=conditions,
        changed=changed(spec.options(), options),
    )


def _from_file(
    reference: str, spec: ModelSpec, file: Path, scale: int | None, given: Mapping[str, Any]
) -> LoadedModel:
    """Load a file: by the model's own reader if it has one, else as `save_weights` wrote it."""
    if spec.open:
        opened, base = spec.open(file), spec.options()
        options, conditions = split(replace(spec, conditions=lambda _: opened.conditions), {}, given)
        if options != base:
            raise UsageError(
                f"model '{spec.name}' takes its options from the file", path=file, hint="omit the options"
            )
    else:
        opened, base, options, conditions = _opened(spec, file, given)
    if scale not in (None, opened.scale):
        raise UsageError(
            f"the weights are for {opened.scale}x, not for {scale}x",
            path=file,
            hint=f"set `scale` to {opened.scale}",
        )
    return LoadedModel(
        reference,
        spec,
        opened.scale,
        options,
        opened.module.eval(),
        opened.halo,
        opened.overlap,
        opened.precisions,
        str(file),
        sha256(file),
        opened.stride,
        conditions,
        changed(base, options),
        trainable=spec.open is None or opened.trainable is not None,
        architecture=opened.architecture,
        tags=opened.tags,
    )


def _opened(
    spec: ModelSpec, file: Path, given: Mapping[str, Any]
) -> tuple[OpenedModel, Options, Options, dict[str, Number]]:
    """What `ModelSpec.open` gives for the files of others, for a file of `save_weights`.

    Returns:
        The network, the options in the file, those of the network, and its conditions.
    """
    card = read_card(file)
    if card.model != spec.name:
        raise WeightsError(
            f"the weights are for model '{card.model}', not for '{spec.name}'",
            path=file,
            hint=f"use {card.model}:FILE",
        )
    if not spec.supports(card.scale):
        raise WeightsError(
            f"the weights are for {card.scale}x, at which '{spec.name}' cannot work", path=file
        )
    try:
        base = parse(spec.options, card.options, f"model '{spec.name}'")
    except OptionsError as error:
        raise WeightsError(f"the weights do not fit: {error.problem}", path=file, hint=error.hint) from error
    check_size(file, lambda: spec.build(card.scale, base))
    options, conditions = split(spec, card.options, given)
    if options != base:
        check_shapes(file, spec, lambda: spec.build(card.scale, options), list(changed(base, options)))
    module = spec.build(card.scale, options)
    load_tensors(module, file)
    opened = OpenedModel(
        module,
        card.scale,
        spec.halo(card.scale, options),
        spec.overlap(card.scale, options),
        stride=spec.stride(card.scale, options),
    )
    return opened, base, options, conditions


def _local(weights: Weights) -> Path:
    """The file of `weights`; an address is downloaded once and checked."""
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
                f"cannot download {weights.source}: {first_line(error)}",
                hint="download it elsewhere and name the file by its path",
            ) from error
    return file
