"""An objective's recipe becomes modules: what the generator minimises, and whom it plays against."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.errors import OptionsError, nearest
from restore.interfaces import (
    Adversary,
    FeatureLoss,
    FeatureNetwork,
    Gate,
    LossSpec,
    ObjectiveSpec,
    Options,
    Scores,
    Term,
    parse,
)
from restore.registry import Catalogue, Registry
from restore.training.learner import Learner

__all__ = ["NoOpponent", "Objective", "Opponent", "Rival", "recipe"]


def recipe(
    name: str, registry: Registry, terms: Mapping[str, Mapping[str, Any]], adversary: Mapping[str, Any]
) -> ObjectiveSpec:
    """The objective, or single loss, that `name` means, with the user's changes.

    Args:
        name: an objective, or a loss, which becomes an objective of that one term.
        registry: where to look.
        terms: loss -> weight and options that replace those of the recipe.
        adversary: weight, options of the gate and of the discriminator that replace those of the recipe.

    Raises:
        UnknownNameError: neither an objective nor a loss has this name.
        OptionsError: a change is for a term that the objective does not have.
    """
    spec = _find(name, registry)
    own = [term.loss for term in spec.terms]
    for loss in terms:
        if loss not in own:
            raise OptionsError(
                f"objective '{name}' has no term '{loss}'.{nearest(loss, own)} Its terms: {', '.join(own)}"
            )
    if adversary and spec.adversary is None:
        raise OptionsError(f"objective '{name}' has no adversary, so nothing about one can be set")
    return replace(
        spec,
        terms=tuple(_changed_term(term, terms.get(term.loss, {})) for term in spec.terms),
        adversary=_changed_adversary(spec.adversary, adversary) if spec.adversary else None,
    )


class Objective(nn.Module):
    """The weighted terms that compare a restored image with its target.

    Terms that look at features of one network share a single pass through it.

    Raises:
        UnknownNameError: no such loss.
        OptionsError: an option of a loss is wrong.
    """

    def __init__(self, spec: ObjectiveSpec, registry: Registry) -> None:
        super().__init__()
        self.terms = spec.terms
        self.losses = nn.ModuleList(_built(term, registry) for term in spec.terms)
        self._networks: dict[Hashable, FeatureNetwork] = {}
        self._layers: dict[Hashable, set[str]] = {}
        for loss in self.losses:
            if isinstance(loss, FeatureLoss):
                loss.network = self._networks.setdefault(loss.network.key, loss.network)
                self._layers.setdefault(loss.network.key, set()).update(loss.layers)

    def forward(self, restored: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss -> its weighted scalar."""
        with torch.no_grad():
            of_target = self._features(target)
        of_restored = self._features(restored)
        values = {}
        for term, loss in zip(self.terms, self.losses, strict=True):
            if isinstance(loss, FeatureLoss):
                value = loss.compare(of_restored[loss.network.key], of_target[loss.network.key])
            else:
                value = loss(restored, target)
            values[term.loss] = term.weight * value
        return values

    def _features(self, images: Tensor) -> dict[Hashable, dict[str, Tensor]]:
        return {key: network(images, self._layers[key]) for key, network in self._networks.items()}


class Opponent(Protocol):
    """Whom the generator plays against. The loop calls it in every step and does not ask who it is."""

    def term(self, restored: Tensor) -> dict[str, Tensor]:
        """What the generator has to minimise because of the opponent: name -> weighted scalar."""
        ...

    def learn(self, restored: Tensor, target: Tensor) -> dict[str, float]:
        """Learn from one batch; figures for the log."""
        ...

    def learners(self) -> dict[str, Learner]:
        """The networks that learn."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold besides them, as JSON can carry it."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what JSON carried."""
        ...


class NoOpponent:
    """Of an objective without an adversary."""

    def term(self, restored: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing."""
        return {}

    def learn(self, restored: Tensor, target: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Nothing."""
        return {}

    def learners(self) -> dict[str, Learner]:
        """Nothing."""
        return {}

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class Rival:
    """A discriminator that learns when its gate lets it.

    The losses are those of EnhanceNet, Eq. 8 and 9, on logits: ``-log D(restored)`` for the generator,
    ``-log D(target) - log(1 - D(restored))`` for the discriminator.

    Args:
        weight: of the generator's adversarial term.
        gate: may the discriminator learn in this step?
        learner: the discriminator, images -> logits.
    """

    def __init__(self, weight: float, gate: Gate, learner: Learner) -> None:
        self.weight = weight
        self.gate = gate
        self.learner = learner
        self.discriminator = learner.module
        self.scores: Scores | None = None

    def term(self, restored: Tensor) -> dict[str, Tensor]:
        """``weight * -log D(restored)``."""
        with _frozen(self.discriminator):
            logits = self.discriminator(restored)
        return {"adversarial": self.weight * F.softplus(-logits.float()).mean()}

    def learn(self, restored: Tensor, target: Tensor) -> dict[str, float]:
        """One step of the discriminator, if the gate is open, and its scores on this batch."""
        is_open = self.gate.is_open(self.scores)
        scores = []
        for fake, true in self.learner.parts(restored.detach(), target):
            with torch.set_grad_enabled(is_open):
                # One pass over both, because two passes before one backward confuse distributed training.
                real, generated = self.discriminator(torch.cat([true, fake])).float().chunk(2)
            if is_open:
                loss = F.softplus(-real).mean() + F.softplus(generated).mean()
                self.learner.backward({"discriminator": loss})
            scores.append(
                torch.stack([real.detach().sigmoid().mean(), (-generated.detach()).sigmoid().mean()])
            )
        if is_open:
            self.learner.update()
        # Of all processes, so that every one takes the same decision.
        score_real, score_generated = self.learner.team.mean(torch.stack(scores).mean(0)).tolist()
        self.scores = Scores(score_real, score_generated)
        return {"d_real": score_real, "d_generated": score_generated, "gate": float(is_open)}

    def learners(self) -> dict[str, Learner]:
        """The discriminator."""
        return {"discriminator": self.learner}

    def state(self) -> dict[str, Any]:
        """The last scores."""
        return {"scores": [self.scores.real, self.scores.generated] if self.scores else None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The last scores."""
        self.scores = Scores(*state["scores"]) if state["scores"] else None


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through `module` without leaving any in it."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True


def _find(name: str, registry: Registry) -> ObjectiveSpec:
    entries: dict[str, Any] = {}
    for catalogue in (registry.losses, registry.objectives):
        entries |= {known: (catalogue[known], catalogue.owner(known)) for known in catalogue}
    found = Catalogue[LossSpec | ObjectiveSpec]("objective or loss", entries, registry.records)[name]
    if isinstance(found, ObjectiveSpec):
        return found
    return ObjectiveSpec(name, found.summary, (Term(name),), reference=found.reference)


def _built(term: Term, registry: Registry) -> nn.Module:
    spec = registry.losses[term.loss]
    return spec.build(parse(spec.options, term.options, f"loss '{term.loss}'"))


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
        raise OptionsError(
            f"the gate takes options, such as adversary.gate.threshold=0.8, but got {changes!r}"
        )
    if not changes:
        return gate
    if not isinstance(gate, Options):
        raise OptionsError(f"the gate of this objective has no options, but got '{next(iter(changes))}'")
    return parse(type(gate), {**gate.model_dump(), **changes}, "the gate")


def _weight(value: Any, owner: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise OptionsError(f"the weight of {owner} is a number from 0, but got {value!r}")
    return float(value)
