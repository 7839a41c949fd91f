"""Load models: ``NAME[:WEIGHTS]`` becomes a network with its weights and what is needed to run it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from restore.checkpoint.tensors import check_size, load_tensors, sha256
from restore.checkpoint.weights import read_card
from restore.errors import OptionsError, UsageError, WeightsError, first_line, nearest
from restore.files import cache_folder
from restore.interfaces import ModelSpec, OpenedModel, Options, Weights, parse
from restore.registry import ModelReference, Registry

__all__ = ["LoadedModel", "check_reference", "load_model", "working_scale"]


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, and what is needed to run it."""

    reference: str
    """``NAME[:WEIGHTS]`` as it was given."""
    spec: ModelSpec
    scale: int
    """Output pixels per input pixel along one side."""
    options: Options
    module: nn.Module
    """In evaluation mode, float32, on the CPU."""
    halo: int | None
    """Radius of the receptive field in input pixels; `None` when every input pixel matters."""
    overlap: int | None = None
    """Where `halo` is `None`: the margin in input pixels with which tiles nearly equal the whole image.
    `None` for a model that is never tiled."""
    precisions: frozenset[str] = frozenset({"fp32", "bf16", "fp16"})
    """Number formats in which the network can multiply."""
    weights: str = ""
    """Name or path of the weights; empty for a model without."""
    digest: str = ""
    """SHA-256 of the weights file; empty for a model without."""

    @classmethod
    def built(
        cls, reference: str, spec: ModelSpec, scale: int, options: Options, module: nn.Module
    ) -> LoadedModel:
        """A network that `spec` built, with whatever parameters it has now."""
        return cls(reference, spec, scale, options, module.eval(), spec.halo(scale, options))


def load_model(reference: str, registry: Registry, scale: int | None = None) -> LoadedModel:
    """Build the network of a reference and load its weights.

    Args:
        reference: ``bicubic``, ``enhancenet`` (its default weights), ``enhancenet:e`` or
            ``enhancenet:path/to/file.safetensors``.
        registry: the known models.
        scale: exactly this one; `None` takes that of the weights, or 4 where the model can.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: the model cannot work at this scale, or has no such weights.
        WeightsError: the file is missing or damaged, or belongs to another model.

    Example:
        >>> from restore.registry import discover
        >>> load_model("bicubic", discover(), scale=3).scale
        3
    """
    check_reference(reference, registry, scale)
    parsed = ModelReference.parse(reference)
    spec = registry.models[parsed.name]
    file = parsed.file(spec)
    if file is not None:
        return _from_file(reference, spec, file, scale)
    scale = _default_scale(spec, parsed.weights) if scale is None else scale
    choice = _choose(spec, parsed.weights, scale)
    if choice is None:
        return _without_weights(reference, spec, scale)
    file = _local(choice)
    loaded = _from_file(reference, spec, file, scale)
    if loaded.digest != choice.sha256:
        raise WeightsError(
            "the weights are damaged: their SHA-256 is another one", path=file, hint="install again"
        )
    return loaded


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
    spec = registry.models[parsed.name]
    file = parsed.file(spec)
    if file is not None:
        if not file.is_file():
            raise WeightsError("there is no such weights file", path=file, hint="check the path")
        return scale
    scale = _default_scale(spec, parsed.weights) if scale is None else scale
    spec.check_scale(scale)
    _choose(spec, parsed.weights, scale)
    return scale


def working_scale(reference: str, registry: Registry, wanted: float | None) -> int | None:
    """The scale to load a model with for results at `wanted`: the smallest one that is not below it.

    Args:
        reference: ``NAME[:WEIGHTS]``.
        registry: the known models.
        wanted: output pixels per input pixel along one side, also a fraction.

    Returns:
        `None` where the model or its weights file decides.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: the model has weights for smaller scales only.

    Example:
        >>> from restore.registry import discover
        >>> working_scale("enhancenet", discover(), 2.5)
        4
    """
    parsed = ModelReference.parse(reference)
    spec = registry.models[parsed.name]
    if wanted is None or parsed.file(spec) is not None or spec.open is not None:
        return None
    if not math.isfinite(wanted) or wanted < 1:
        raise UsageError(f"cannot work at scale {wanted:g}", hint="set `scale` to 1 or more")
    with_weights = {entry.scale for entry in spec.weights if parsed.weights in ("", entry.name)}
    known = with_weights or set(spec.scales or [math.ceil(wanted)])
    fitting = [scale for scale in known if scale >= wanted]
    if not fitting:
        kind = "has weights for" if with_weights else "works at"
        raise UsageError(
            f"model '{reference}' cannot work at scale {wanted:g}: it {kind} {_listed(known)}",
            hint=f"set `scale` to {max(known)} or less",
        )
    return min(fitting)


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
    guess = nearest(weights, [entry.name for entry in at_scale])
    raise UsageError(
        f"model '{spec.name}' has no weights '{weights}' for {scale}x.{guess} Known: {_known(spec)}",
        hint=f"write the path of a file as in {spec.name}:runs/mine/generator.safetensors",
    )


def _without_weights(reference: str, spec: ModelSpec, scale: int) -> LoadedModel:
    options = parse(spec.options, {}, f"model '{spec.name}'")
    module = spec.build(scale, options)
    if module.state_dict():
        raise UsageError(
            f"model '{spec.name}' has no weights for {scale}x (it comes with: {_known(spec)})",
            hint=f"train some with 'restore train' and name them as {spec.name}:FILE",
        )
    return LoadedModel.built(reference, spec, scale, options, module)


def _from_file(reference: str, spec: ModelSpec, file: Path, scale: int | None) -> LoadedModel:
    """Load a file: by the model's own reader if it has one, else as `save_weights` wrote it."""
    opened, options = (spec.open(file), spec.options()) if spec.open else _opened(spec, file)
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
    )


def _opened(spec: ModelSpec, file: Path) -> tuple[OpenedModel, Options]:
    """What `ModelSpec.open` gives for the files of others, for a file of `save_weights`."""
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
        options = parse(spec.options, card.options, f"model '{spec.name}'")
    except OptionsError as error:
        raise WeightsError(f"the weights do not fit: {error.problem}", path=file, hint=error.hint) from error
    check_size(file, lambda: spec.build(card.scale, options))
    module = spec.build(card.scale, options)
    load_tensors(module, file)
    return OpenedModel(module, card.scale, spec.halo(card.scale, options)), options


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


def _known(spec: ModelSpec) -> str:
    return ", ".join(f"{entry.name} ({entry.scale}x)" for entry in spec.weights) or "none"


def _listed(scales: set[int]) -> str:
    return ", ".join(f"{scale}x" for scale in sorted(scales))
