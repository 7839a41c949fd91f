"""The objective that a name means: a recipe, or a single loss, with the requested changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from restore.errors import OptionsError, nearest
from restore.interfaces import Adversary, Gate, LossSpec, ObjectiveSpec, Options, Term, parse
from restore.registry import Catalog, Registry

__all__ = ["recipe"]


def recipe(
    name: str, registry: Registry, terms: Mapping[str, Mapping[str, Any]], adversary: Mapping[str, Any]
) -> ObjectiveSpec:
    """Look up an objective or a single loss, and apply the requested changes.

    Args:
        name: an objective, or a loss, which becomes an objective with that one term.
        registry: all entries.
        terms: loss -> its weight and options, which replace those of the recipe.
        adversary: weight, options of the gate and of the discriminator, which replace those of the recipe.

    Raises:
        UnknownNameError: neither an objective nor a loss has this name.
        OptionsError: a change is for a term or an adversary that the objective does not have.
    """
    spec = _find(name, registry)
    own = [term.loss for term in spec.terms]
    for loss in terms:
        if loss not in own:
            raise OptionsError(
                f"objective '{name}' has no term '{loss}'.{nearest(loss, own)} Its terms: {', '.join(own)}"
            )
    if adversary and spec.adversary is None:
        raise OptionsError(f"objective '{name}' has no adversary to set options of")
    return replace(
        spec,
        terms=tuple(_changed_term(term, terms.get(term.loss, {})) for term in spec.terms),
        adversary=_changed_adversary(spec.adversary, adversary) if spec.adversary else None,
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
    options = {**adversary.options, **changes}
    weight = _weight(options.pop("weight", adversary.weight), "the adversary")
    gate = _changed_gate(adversary.gate, options.pop("gate", {}))
    return replace(adversary, weight=weight, gate=gate, options=options)


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
