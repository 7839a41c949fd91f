"""Whom the generator plays against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import Gate, Scores
from restore.training.learner import Learner

__all__ = ["NoOpponent", "Opponent", "Rival"]


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
