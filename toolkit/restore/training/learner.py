"""A network that learns: gradients from the parts of a batch, then one update, in all processes or none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore.training.optimization import set_learning_rate
from restore.training.processes import Team

__all__ = ["Learner"]

_LEAST_SCALE = 1.0  # of float16's gradients: where not even this one helps, the gradient itself is too large


class Learner:
    """A network with its optimiser.

    An update whose loss or gradient is not finite, in any process, is done in none of them, and counted.

    With float16 every network has a scale of its own: those of a generator and of its opponent differ by
    orders of magnitude, and one that overflows is no reason for the other to lose its small gradients.

    Args:
        module: as Fabric wrapped it.
        optimizer: of its parameters, as Fabric wrapped it.
        team: who learns together.
        parts: into how many parts a batch is cut, so that it needs less memory.
        peak: the highest learning rate.
        clip: largest norm of the gradient; 0: no limit.
        scaled: whether gradients are scaled, as float16 needs it.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        team: Team,
        *,
        peak: float = 1.0,
        parts: int = 1,
        clip: float = 0.0,
        scaled: bool = False,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.team = team
        self.peak = peak
        self.clip = clip
        self.scaler = torch.amp.GradScaler(team.fabric.device.type, enabled=scaled)
        self.skipped = 0
        """Updates that were not done."""
        self.in_a_row = 0
        """Of these the last ones, without those that only taught float16 a smaller scale."""
        self.problem = ""
        """What was not finite in this step."""
        self._parts = parts
        self._terms: dict[str, Tensor] = {}

    def begin(self, rate: float) -> None:
        """A new step, with this learning rate."""
        set_learning_rate(self.optimizer, rate)
        self.problem = ""

    def parts(self, *batch: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Hand out `batch` in parts, whose gradients add up to that of the whole batch.

        Args:
            batch: tensors of equal first dimension, a multiple of the number of parts.
        """
        self.optimizer.zero_grad(set_to_none=True)
        self._terms = {}
        for number, part in enumerate(zip(*(tensor.chunk(self._parts) for tensor in batch), strict=True), 1):
            # Between processes the sum is exchanged once, after the last part.
            with self.team.fabric.no_backward_sync(self.module, enabled=number < self._parts):  # type: ignore[arg-type]
                yield part

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Add the gradient of one part; its loss is the sum of `terms`, which are means over its images."""
        loss = torch.stack(list(terms.values())).sum() / self._parts
        self.team.fabric.backward(self.scaler.scale(loss))
        for name, term in terms.items():
            self._terms[name] = self._terms.get(name, torch.zeros(())) + term.detach() / self._parts

    def update(self) -> dict[str, Tensor]:
        """Change the weights by the gradient that `backward` collected, if everything is finite.

        Returns:
            Each term as a mean over the batch, their sum ``loss`` and the norm ``grad_norm`` before it was
            clipped; nothing when the weights did not change.
        """
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.clip or math.inf)
        terms = torch.stack(list(self._terms.values()))
        # What is not finite in one process is not finite in the mean: all take one decision.
        means = self.team.mean(torch.cat([terms, norm.detach()[None]]))
        bad = [not finite for finite in means.isfinite().tolist()]
        if not any(bad):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self._count(bad)
        if any(bad):
            return {}
        *values, norm = means
        return dict(zip(self._terms, values, strict=True)) | {"loss": means[:-1].sum(), "grad_norm": norm}

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold besides weights and optimiser."""
        return {"scaler": self.scaler.state_dict(), "skipped": self.skipped, "in_a_row": self.in_a_row}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]

    def _count(self, bad: list[bool]) -> None:
        if not any(bad):
            self.in_a_row = 0
            return
        self.skipped += 1
        terms = [name for name, is_bad in zip(self._terms, bad, strict=False) if is_bad]
        if terms or not self.scaler.is_enabled() or self.scaler.get_scale() < _LEAST_SCALE:
            self.in_a_row += 1
            self.problem = f"the term '{terms[0]}'" if terms else "the gradient"
