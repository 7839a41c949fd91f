"""How fast the networks learn, the average of the generator that is kept, and the dice of each step."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import torch
from torch import nn

__all__ = ["Average", "learning_rate", "seed_everything", "set_learning_rate"]


def learning_rate(step: int, *, peak: float, final: float, warmup: int, steps: int) -> float:
    """Linear warm-up, then a half cosine.

    Args:
        step: updates done so far.
        peak: the highest rate.
        final: rate after the last step, as a share of `peak`.
        warmup: steps over which the rate rises from zero.
        steps: all steps.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1))))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameter groups the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def seed_everything(*count: int) -> None:
    """Seed every library's generator by `count`, such as (seed, step, process).

    Done before each step, it makes a resumed run draw what an uninterrupted one draws, on any device and
    without a generator's state in the checkpoint.
    """
    seed = int(np.random.SeedSequence(count).generate_state(1, np.uint64)[0])
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for plugins that draw from the global generator
    random.seed(seed)


class Average:
    """Exponential moving average of a network's parameters.

    Args:
        module: the network that learns.
        decay: share of the average that is kept in each step; 0 follows the network itself. In the first
            steps it is smaller, so that the start is forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards `module` after update number `step`, counted from 1."""
        keep = min(self.decay, step / (step + 10))
        for average, parameter in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(parameter.detach(), 1 - keep)
        for average_buffer, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            average_buffer.copy_(buffer)
