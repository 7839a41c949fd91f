"""A network with its optimizer: gradients from the parts of a batch, then one update on all ranks or none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore.interfaces import AveragesWeights
from restore.training.optimization import set_learning_rate
from restore.training.processes import ProcessGroup

__all__ = ["Learner"]

# Of float16 gradients: if they overflow even at this scale, the gradient itself is too large.
_LEAST_SCALE = 1.0


class Learner:
    """A network with its optimizer.

    An update whose loss or gradient is not finite on any rank is skipped on all of them, and counted.

    In float16 every network has its own gradient scale: those of a generator and its discriminator differ by
    orders of magnitude, and an overflow in one must not cost the other its small gradients.

    Args:
        module: as Fabric wrapped it.
        optimizer: of its parameters, as Fabric wrapped it.
        group: the processes that train together.
        peak: highest learning rate.
        parts: number of parts into which a batch is split to save memory (gradient accumulation).
        clip: largest norm of the gradient; 0: no limit.
        scaled: whether gradients are scaled, as float16 needs.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        group: ProcessGroup,
        *,
        peak: float = 1.0,
        parts: int = 1,
        clip: float = 0.0,
        scaled: bool = False,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.group = group
        self.peak = peak
        self.clip = clip
        self.scaler = torch.amp.GradScaler(group.fabric.device.type, enabled=scaled)
        self.skipped = 0
        """Updates skipped so far."""
        self.averages: AveragesWeights | None = None
        """The optimizer itself if it averages the weights, else none."""
        raw = getattr(optimizer, "optimizer", optimizer)  # the names of Fabric's wrapper
        if isinstance(raw, AveragesWeights):
            self.averages = raw
        self.in_a_row = 0
        """How many of the latest steps were skipped; those that only lowered float16's scale do not count."""
        self.problem = ""
        """What was not finite in this step; empty if nothing."""
        self.parts = parts
        self._terms: dict[str, Tensor] = {}

    def begin(self, rate: float) -> None:
        """Begin a step with this learning rate."""
        set_learning_rate(self.optimizer, rate)
        self.problem = ""

    def divide(self, *batch: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Split `batch` into parts, whose gradients add up to that of the whole batch.

        Args:
            batch: tensors with the same first dimension, a multiple of the number of parts.
        """
        self.optimizer.zero_grad(set_to_none=True)
        self._terms = {}
        for number, part in enumerate(zip(*(tensor.chunk(self.parts) for tensor in batch), strict=True), 1):
            # The ranks exchange the sum once, after the last part.
            accumulating = number < self.parts
            # Its annotation wants Fabric's own wrapper, which `setup` returned as a plain module.
            with self.group.fabric.no_backward_sync(self.module, enabled=accumulating):  # type: ignore[arg-type]
                yield part

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Accumulate the gradient of one part.

        Args:
            terms: name -> scalar, a mean over the images of the part; the loss is their sum.
        """
        loss = torch.stack(list(terms.values())).sum() / self.parts
        with warnings.catch_warnings():
            # For weights of 1x1 in channels_last, whose two layouts are the same: nothing to be gained.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            self.group.fabric.backward(self.scaler.scale(loss))
        self.record(terms)

    def record(self, terms: Mapping[str, Tensor]) -> None:
        """Record the terms of one part for the result of `update`, without a gradient.

        Args:
            terms: name -> scalar, a mean over the images of the part.
        """
        for name, term in terms.items():
            self._terms[name] = self._terms.get(name, torch.zeros(())) + term.detach() / self.parts

    def update(self) -> dict[str, Tensor]:
        """Update the weights by the accumulated gradient if everything is finite.

        Returns:
            Each term as a mean over the batch, their sum ``loss`` and the norm ``grad_norm`` before clipping;
            empty when the update was skipped.
        """
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.clip or math.inf)
        terms = torch.stack(list(self._terms.values()))
        # A value that is not finite on one rank makes the mean not finite: all ranks take the same decision.
        means = self.group.mean(torch.cat([terms, norm.detach()[None]]))
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
        """The state besides weights and optimizer, for a checkpoint."""
        return {"scaler": self.scaler.state_dict(), "skipped": self.skipped, "in_a_row": self.in_a_row}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
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
