"""The scale to load a model with."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from restore.checkpoint.weights import read_card
from restore.errors import UsageError
from restore.interfaces import ModelSpec
from restore.registry import ModelReference, Registry

__all__ = ["choosing_part", "default_scale", "working_scale"]


def working_scale(reference: str, registry: Registry, wanted: float | None) -> int | None:
    """The scale to load a model with for results at `wanted`: the smallest one that is not below it.

    Args:
        reference: ``NAME[:WEIGHTS]``, or a chain of these.
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
    specs = [registry.models[part.name] for part in parsed.parts]
    if wanted is None or (not parsed.chain and (parsed.file(specs[0]) is not None or specs[0].open)):
        return None
    if not _is_scale(wanted):
        raise UsageError(f"cannot work at scale {wanted}", hint="set `scale` to a finite number from 1")
    choosing = choosing_part(parsed, registry)
    scales = [
        1 if index == choosing else _scale_of(part, spec)
        for index, (part, spec) in enumerate(zip(parsed.parts, specs, strict=True))
    ]
    if None in scales:
        return None
    rest = math.prod(scale or 1 for scale in scales)
    if choosing is None:
        return rest
    return rest * _smallest_scale(parsed.parts[choosing], specs[choosing], max(wanted / rest, 1))


def _is_scale(wanted: Any) -> bool:
    return isinstance(wanted, Real) and 1 <= float(wanted) < math.inf


def default_scale(spec: ModelSpec, weights: str) -> int:
    """4 where the model can, among the scales of the weights of this name."""
    own = spec.weights_scales(weights)
    if own:
        return 4 if 4 in own else own[0]
    return 4 if spec.supports(4) else min(spec.scales or (1,))


def _scale_of(part: ModelReference, spec: ModelSpec) -> int | None:
    """The scale that a part has by itself; `None` if only opening its file can tell."""
    file = part.file(spec)
    if file is None:
        return default_scale(spec, part.weights)
    return read_card(file).scale if spec.open is None and file.is_file() else None


def choosing_part(parsed: ModelReference, registry: Registry) -> int | None:
    """The last part with more than one scale; for a single model, that model."""
    if not parsed.chain:
        return 0
    for index in reversed(range(len(parsed.parts))):
        part = parsed.parts[index]
        spec = registry.models[part.name]
        if part.file(spec) is not None or spec.open is not None:
            continue
        known = spec.weights_scales(part.weights)
        if len(known or spec.scales or (1, 2)) > 1:
            return index
    return None


def _smallest_scale(parsed: ModelReference, spec: ModelSpec, wanted: float) -> int:
    """The smallest scale of a model that is not below `wanted`.

    Raises:
        UsageError: there is none.
    """
    with_weights = spec.weights_scales(parsed.weights)
    known = with_weights or list(spec.scales or [math.ceil(wanted)])
    fitting = [scale for scale in known if scale >= wanted]
    if not fitting:
        kind = "has weights for" if with_weights else "works at"
        raise UsageError(
            f"model '{parsed}' cannot work at scale {wanted:g}: it {kind} {_listed(known)}",
            hint=f"set `scale` to {max(known)} or less",
        )
    return min(fitting)


def _listed(scales: list[int]) -> str:
    return ", ".join(f"{scale}x" for scale in sorted(set(scales)))
