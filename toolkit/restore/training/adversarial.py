"""Adversarial training: the discriminator's steps, and the term that it adds to the generator's loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import Gate, Scores
from restore.training.learner import Learner

__all__ = ["AdversarialTrainer", "NoAdversary"]


class AdversarialTrainer:
    """Trains a discriminator in the steps in which its gate is open.

    The losses are Eq. 8 and 9 of EnhanceNet (Sajjadi et al., ICCV 2017), on logits: ``-log D(restored)`` for
    the generator, ``-log D(target) - log(1 - D(restored))`` for the discriminator.

    Args:
        weight: weight of the generator's adversarial term.
        gate: decides in each step whether the discriminator is trained.
        learner: the discriminator, images ``(B, 3, H, W)`` -> logits.
    """

    def __init__(self, weight: float, gate: Gate, learner: Learner) -> None:
        self.weight = weight
        self.gate = gate
        self.learner = learner
        self.discriminator = learner.module
        self.scores: Scores | None = None

    def term(self, restored: Tensor) -> dict[str, Tensor]:
        """The generator's loss: ``weight * -log D(restored)``, by name.

        Args:
            restored: ``(B, 3, H, W)``; its graph leads to the generator.
        """
        with _frozen(self.discriminator):
            logits = self.discriminator(restored)
        return {"adversarial": self.weight * F.softplus(-logits.float()).mean()}

    def train_step(self, restored: Tensor, target: Tensor) -> dict[str, float]:
        """Train the discriminator on one batch if the gate is open, and score it.

        Args:
            restored: ``(B, 3, H, W)``.
            target: of the same shape.

        Returns:
            ``d_real`` and ``d_generated``, the mean probabilities of the right answer in [0, 1] over all
            processes, and ``gate``, 1 if it was open.
        """
        is_open = self.gate.is_open(self.scores)
        scores = []
        for fake, true in self.learner.parts(restored.detach(), target):
            with torch.set_grad_enabled(is_open):
                # One pass over both, because DDP allows one forward pass per backward pass.
                real, generated = self.discriminator(torch.cat([true, fake])).float().chunk(2)
            if is_open:
                loss = F.softplus(-real).mean() + F.softplus(generated).mean()
                self.learner.backward({"discriminator": loss})
            scores.append(
                torch.stack([real.detach().sigmoid().mean(), (-generated.detach()).sigmoid().mean()])
            )
        if is_open:
            self.learner.update()
        # Averaged over all ranks, so that every gate takes the same decision.
        score_real, score_generated = self.learner.group.mean(torch.stack(scores).mean(0)).tolist()
        self.scores = Scores(score_real, score_generated)
        return {"d_real": score_real, "d_generated": score_generated, "gate": float(is_open)}

    def learners(self) -> dict[str, Learner]:
        """The discriminator, by name."""
        return {"discriminator": self.learner}

    def state(self) -> dict[str, Any]:
        """The last scores, for a checkpoint."""
        return {"scores": [self.scores.real, self.scores.generated] if self.scores else None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.scores = Scores(*state["scores"]) if state["scores"] else None


class NoAdversary:
    """The trainer of an objective without an adversary: every method does nothing."""

    def term(self, restored: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """No term."""
        return {}

    def train_step(self, restored: Tensor, target: Tensor) -> dict[str, float]:  # noqa: ARG002
        """No scores."""
        return {}

    def learners(self) -> dict[str, Learner]:
        """No discriminator."""
        return {}

    def state(self) -> dict[str, Any]:
        """No state."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through `module` without accumulating in its parameters."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad = True
