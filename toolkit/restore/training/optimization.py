"""The learning-rate schedule, the moving average of the generator, and the random state of each step."""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["averaged", "learning_rate", "seed_all", "set_learning_rate", "update_average"]


def learning_rate(step: int, *, peak: float, final: float, warmup: int, steps: int) -> float:
    """Linear warm-up, then a half cosine.

    Args:
        step: updates done so far.
        peak: highest rate.
        final: rate after the last step, as a fraction of `peak`.
        warmup: steps over which the rate rises from zero.
        steps: all steps.

        >>> [round(learning_rate(step, peak=1, final=0, warmup=2, steps=6), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1))))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def seed_all(*count: int) -> None:
    """Seed the generators of torch, NumPy and Python from `count`, such as (seed, step, rank).

    Called before each step, it makes a resumed run draw what an uninterrupted one draws, on any device and
    without the state of a generator in the checkpoint.
    """
    seed = int(np.random.SeedSequence(count).generate_state(1, np.uint64)[0])
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for plugins that draw from the global generator
    random.seed(seed)


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the parameters of `network`, and a copy of its buffers.

    In the first steps the decay is lower, at most ``step / (step + 10)``, so that the start is forgotten.

    Args:
        network: the network that is trained.
        decay: fraction of the average that is kept in each step, in [0, 1); 0 follows the network itself.
    """

    def move(averages: list[Tensor], parameters: list[Tensor], step: Tensor) -> None:
        keep = min(decay, int(step) / (int(step) + 10))
        for average, parameter in zip(averages, parameters, strict=True):
            average.lerp_(parameter, 1 - keep)

    average = AveragedModel(network, multi_avg_fn=move)  # type: ignore[arg-type] # a tuple or a list of tensors
    return average.eval().requires_grad_(requires_grad=False)


def update_average(average: AveragedModel, network: nn.Module, step: int) -> None:
    """Move the average towards `network` after update number `step`, counted from 1."""
    # Taken from the run's own count, so that a checkpoint needs no second one.
    average.n_averaged.fill_(step)
    average.update_parameters(network)
