"""Run-time options of models: assign them to the parts of a chain, and check them against the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn

from restore.checkpoint.tensors import check_size, shapes_of
from restore.errors import OptionsError, UsageError, WeightsError, nearest
from restore.interfaces import ModelSpec, Options, parse
from restore.registry import owner_of

__all__ = ["Number", "changed", "check_shapes", "of_parts", "split"]

Number = float | Literal["auto"]
"""A number that a network takes beside the image; ``auto`` is estimated for each image."""


def of_parts(given: Mapping[str, Any], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The options of each part of a chain, without its name; those of a single model may lack it.

    Args:
        given: option, or ``LABEL.OPTION`` -> value.
        labels: of the parts.

    Raises:
        UsageError: an option belongs to no part.

    Example:
        >>> of_parts({"ffdnet.sigma": 15}, ["ffdnet", "bicubic"])
        [{'sigma': 15}, {}]
        >>> of_parts({"sigma": 15}, ["ffdnet"])
        [{'sigma': 15}]
    """
    result: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for key, value in given.items():
        if label := owner_of(key, labels):
            result[label][key.removeprefix(f"{label}.")] = value
        elif len(labels) == 1:
            result[labels[0]][key] = value
        else:
            raise UsageError(
                f"the option '{key}' belongs to none of {', '.join(labels)}",
                hint=f"write the model before it, as in {labels[0]}.{key}",
            )
    return list(result.values())


def split(
    spec: ModelSpec, base: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Options, dict[str, Number]]:
    """The options of a network, and the numbers that it takes beside the image.

    Args:
        spec: the model.
        base: the options that its weights were trained with.
        given: options and numbers, which take precedence.

    Returns:
        The options, and a number or ``auto`` for each of the conditions, in their order.

    Raises:
        OptionsError: an option or a number is not valid.
    """
    owner = f"model '{spec.name}'"
    names = _conditions(spec, base, given)
    known = sorted({*spec.options.model_fields, *names})
    for key in given:
        if key not in known:
            raise OptionsError(
                f"{owner} has no option '{key}'.{nearest(key, known)} "
                f"Known options: {', '.join(known) or 'none'}"
            )
    options = parse(
        spec.options, {**base, **{key: value for key, value in given.items() if key not in names}}, owner
    )
    return options, {name: _number(given.get(name, "auto"), name, owner) for name in names}


def changed(base: Options, options: Options) -> dict[str, str]:
    """The options that differ, as text."""
    before = base.model_dump()
    return {key: str(value) for key, value in options.model_dump().items() if value != before[key]}


def check_shapes(file: Path, spec: ModelSpec, build: Callable[[], nn.Module], given: Sequence[str]) -> None:
    """Check that a network with other options than its weights' own has the same parameters.

    Raises:
        UsageError: the options would change their names or shapes.
    """
    names = ", ".join(f"`{name}`" for name in given)
    refusal = UsageError(
        f"the weights of model '{spec.name}' cannot be used with another value of {names}: it would change "
        "the shapes of the parameters",
        path=file,
        hint="omit the option, or train weights with it",
    )
    try:
        check_size(file, build)
    except WeightsError:
        raise refusal from None
    if {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()} != shapes_of(file):
        raise refusal


def _conditions(spec: ModelSpec, base: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, ...]:
    """The conditions of the network, which options may decide: those that the schema has a field for."""
    known = {key: value for key, value in given.items() if key in spec.options.model_fields}
    return tuple(spec.conditions(parse(spec.options, {**base, **known}, f"model '{spec.name}'")))


def _number(value: Any, name: str, owner: str) -> Number:
    if value == "auto":
        return "auto"
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise OptionsError(f"'{name}' of {owner} is a number from 0 or auto, not {value!r}")
    return number
