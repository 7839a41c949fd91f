"""Look up the objective of a name, a recipe or a single loss, and apply the requested changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from restore.data import CHAIN
from restore.errors import OptionsError, nearest
from restore.interfaces import Adversary, Gate, LossSpec, ObjectiveSpec, Options, Term, parse
from restore.registry import Catalog, Registry

__all__ = ["recipe", "shortcuts"]


class _Numbers(Options):
    """The numbers of an adversary that can be changed."""

    steps: int = Field(1, ge=1)
    fresh: bool = False
    r1: float = Field(0.0, ge=0, allow_inf_nan=False)
    r1_every: int = Field(1, ge=1)


_NUMBERS = tuple(_Numbers.model_fields)


def recipe(
    name: str, registry: Registry, terms: Mapping[str, Mapping[str, Any]], adversary: Mapping[str, Any]
) -> ObjectiveSpec:
    """Look up an objective or a single loss, and apply the requested changes.

    Args:
        name: an objective, or a loss, which becomes an objective with that one term.
        registry: all entries.
        terms: label of a term -> its weight and options, which replace those of the recipe.
        adversary: changes to the adversary: ``weight``, ``steps``, ``fresh``, ``r1``, ``r1_every``, and
            options of the ``gate``, the ``loss`` and the ``discriminator``. The last two are tables in
            which ``name`` chooses another entry, or that name alone. Other keys are options of the
            discriminator, as in version 0.1. For several adversaries: label -> such a table.

    Raises:
        UnknownNameError: neither an objective nor a loss has this name.
        OptionsError: a change is for a term or an adversary that the objective does not have.
    """
    spec = _find(name, registry)
    own = [term.label for term in spec.terms]
    for label in terms:
        if label not in own:
            raise OptionsError(
                f"objective '{name}' has no term '{label}'.{nearest(label, own)} Its terms: {', '.join(own)}"
            )
    if adversary and not spec.adversaries:
        raise OptionsError(f"objective '{name}' has no adversary to set options of")
    changes = _by_label(spec, adversary)
    return replace(
        spec,
        terms=tuple(_changed_term(term, terms.get(term.label, {})) for term in spec.terms),
        adversaries=tuple(_changed_adversary(each, changes.get(each.label, {})) for each in spec.adversaries),
    )


def shortcuts(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Names that may start a key of the configuration -> where their options are in it.

    >>> from restore.registry import discover
    >>> shortcuts(discover())["mse"]
    ('terms', 'mse')
    """
    return {
        **{name: ("metric_options", name) for name in registry.metrics},
        **dict.fromkeys(registry.optimizers, ("optimizer_options",)),
        **dict.fromkeys(registry.schedules, ("schedule_options",)),
        **{name: ("degradation_options", name) for name in (*registry.degradations, CHAIN)},
        **{name: ("augmentation_options", name) for name in registry.augmentations},
        **{name: ("terms", name) for name in registry.losses},
    }


def _by_label(spec: ObjectiveSpec, changes: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    labels = [adversary.label for adversary in spec.adversaries]
    if all(key in labels and isinstance(value, Mapping) for key, value in changes.items()):
        return dict(changes)
    if len(labels) == 1:
        return {labels[0]: changes}
    unknown = next(key for key in changes if key not in labels)
    raise OptionsError(
        f"objective '{spec.name}' has no adversary '{unknown}'.{nearest(unknown, labels)} It has: "
        f"{', '.join(labels)}"
    )


def _find(name: str, registry: Registry) -> ObjectiveSpec:
    entries: dict[str, Any] = {}
    for catalog in (registry.losses, registry.objectives):
        entries |= {known: (catalog[known], catalog.owner(known)) for known in catalog}
    found = Catalog[LossSpec | ObjectiveSpec]("objective or loss", entries, registry.plugins)[name]
    if isinstance(found, ObjectiveSpec):
        return found
    return ObjectiveSpec(name, found.summary, (Term(name),), reference=found.reference)


def _changed_term(term: Term, changes: Mapping[str, Any]) -> Term:
    options = {**term.options, **changes}
    weight = _weight(options.pop("weight", term.weight), f"the term '{term.loss}'")
    return replace(term, weight=weight, options=options)


def _changed_adversary(adversary: Adversary, changes: Mapping[str, Any]) -> Adversary:
    left = dict(changes)
    weight = _weight(left.pop("weight", adversary.weight), f"the adversary '{adversary.label}'")
    gate = _changed_gate(adversary.gate, left.pop("gate", {}))
    loss, loss_options = _changed_entry(adversary.loss, adversary.loss_options, left.pop("loss", {}))
    numbers = {name: left.pop(name) for name in _NUMBERS if name in left}
    name, options = _changed_entry(adversary.discriminator, adversary.options, left.pop("discriminator", {}))
    checked = parse(_Numbers, numbers, f"the adversary '{adversary.label}'")
    return replace(
        adversary,
        discriminator=name,
        weight=weight,
        gate=gate,
        options={**options, **left},
        loss=loss,
        loss_options=loss_options,
        **checked.model_dump(exclude_unset=True),
    )


def _changed_entry(name: str, options: Mapping[str, Any], changes: Any) -> tuple[str, Mapping[str, Any]]:
    """Name and options of an entry; those of the recipe do not fit another entry."""
    if isinstance(changes, str):
        changes = {"name": changes}
    if not isinstance(changes, Mapping):
        raise OptionsError(f"'{name}' takes another name or options, not {changes!r}")
    left = dict(changes)
    chosen = left.pop("name", name)
    return chosen, {**options, **left} if chosen == name else left


def _changed_gate(gate: Gate, changes: Any) -> Gate:
    if not isinstance(changes, Mapping):
        raise OptionsError(f"the gate takes options, such as adversary.gate.threshold=0.8, not {changes!r}")
    if not changes:
        return gate
    if not isinstance(gate, Options):
        raise OptionsError(f"the gate of this objective has no option '{next(iter(changes))}'")
    return parse(type(gate), {**gate.model_dump(), **changes}, "the gate")


def _weight(value: Any, owner: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise OptionsError(f"the weight of {owner} has to be a number from 0, but is {value!r}")
    return float(value)
