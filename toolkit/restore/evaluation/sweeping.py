"""Variants of the inputs of an evaluation: degradations, and sweeps over their options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from restore.config import assignments
from restore.data import labels, options_of
from restore.errors import UsageError, escaped, nearest
from restore.registry import owner_of

__all__ = ["Sweep", "Variant", "inputs_title", "variants"]


@dataclass(frozen=True)
class Sweep:
    """An option of degradations, and the values to evaluate it with."""

    key: str
    """``LABEL.OPTION``, such as ``jpeg.quality``."""
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """From ``LABEL.OPTION=VALUE,VALUE``.

        >>> Sweep.parse("jpeg.quality=10,20,40")
        Sweep(key='jpeg.quality', values=(10, 20, 40))

        Raises:
            UsageError: the text has another form, or a value is given twice.
        """
        key, equals, listed = text.partition("=")
        parts = [part.strip() for part in listed.split(",")]
        if not equals or "." not in key or not all(parts):
            raise UsageError(
                f"`sweep` takes LABEL.OPTION=VALUE,VALUE, but got '{escaped(text)}'",
                hint="write, for example, jpeg.quality=10,20,40",
            )
        if len(set(parts)) < len(parts):
            raise UsageError(f"`sweep` has a value twice: '{escaped(text)}'", hint="omit one")
        return cls(key.strip(), tuple(value for _, value in assignments(f"{key}={part}" for part in parts)))


@dataclass(frozen=True)
class Variant:
    """One way of making inputs.

    >>> Variant("jpeg", {"jpeg": {"quality": 40}}, swept={"jpeg.quality": 40}).swept
    {'jpeg.quality': 40}
    """

    degradation: str
    options: Mapping[str, Any]
    """As `restore.data.find_degradation` takes them."""
    swept: Mapping[str, Any] = field(default_factory=dict)
    """``LABEL.OPTION`` -> value, of the options that a sweep has set."""


def variants(
    degradations: Sequence[str], options: Mapping[str, Mapping[str, Any]], sweeps: Sequence[Sweep] = ()
) -> list[Variant]:
    """Each degradation, once for each combination of the values of the sweeps that concern it.

    Args:
        degradations: names or chains, such as ``bicubic+jpeg``.
        options: label -> option -> value; others than those of the degradations are ignored.
        sweeps: each concerns the degradations that have its label.

    Raises:
        UsageError: a degradation or a sweep is given twice, a sweep concerns no degradation, or its option is
            also set.

    >>> found = variants(["bicubic+jpeg", "bicubic"], {}, [Sweep("jpeg.quality", (10, 20))])
    >>> [variant.swept for variant in found]
    [{'jpeg.quality': 10}, {'jpeg.quality': 20}, {}]
    """
    _check_once("degradation", degradations)
    _check_once("sweep", [sweep.key for sweep in sweeps])
    known = {label for name in degradations for label in labels(name)}
    for sweep in sweeps:
        _check_sweep(sweep, known, options)
    return [variant for name in degradations for variant in _variants_of(name, options, sweeps)]


def inputs_title(degradation: str, swept: Mapping[str, Any]) -> str:
    """How inputs are made, as a short title.

    >>> inputs_title("bicubic+jpeg", {"jpeg.quality": 10})
    'bicubic+jpeg, jpeg.quality 10'
    """
    return ", ".join([degradation, *(f"{key} {value}" for key, value in swept.items())])


def _variants_of(
    name: str, options: Mapping[str, Mapping[str, Any]], sweeps: Sequence[Sweep]
) -> Iterator[Variant]:
    own = [sweep for sweep in sweeps if owner_of(sweep.key, labels(name))]
    for values in product(*(sweep.values for sweep in own)):
        swept = dict(zip((sweep.key for sweep in own), values, strict=True))
        chosen = {label: dict(given) for label, given in options.items()}
        for key, value in swept.items():
            label = owner_of(key, labels(name))
            chosen.setdefault(label, {})[key.removeprefix(f"{label}.")] = value
        yield Variant(name, options_of(name, chosen), swept)


def _check_sweep(sweep: Sweep, known: set[str], options: Mapping[str, Mapping[str, Any]]) -> None:
    label = owner_of(sweep.key, known)
    if not label:
        raise UsageError(
            f"`sweep` names '{escaped(sweep.key)}', which no `degradation` has."
            f"{nearest(sweep.key.partition('.')[0], known)}",
            hint=f"use one of the names {', '.join(sorted(known))}",
        )
    if sweep.key.removeprefix(f"{label}.") in options.get(label, {}):
        raise UsageError(f"'{sweep.key}' is both in `set` and in `sweep`", hint="omit one of them")


def _check_once(parameter: str, given: Sequence[str]) -> None:
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice:
        raise UsageError(f"the `{parameter}` {escaped(twice)} is given twice", hint="omit one")
