"""The learning-rate schedule, the moving average of the generator, and the random state of each step."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from restore.errors import UsageError
from restore.interfaces import AveragesWeights, Schedule
from restore.logits import scales_of

__all__ = [
    "averaged",
    "freeze_unused",
    "learning_rate",
    "parameter_groups",
    "seed_all",
    "set_learning_rate",
    "update_average",
]


def learning_rate(step: int, *, peak: float, warmup: int, steps: int, schedule: Schedule) -> float:
    """Linear warm-up, then a schedule.

    Args:
        step: updates done so far.
        peak: highest rate.
        warmup: steps over which the rate rises from zero.
        steps: all steps.
        schedule: of the steps after the warm-up.

        >>> falling = lambda step, steps: 1 - step / steps
        >>> [learning_rate(step, peak=1, warmup=2, steps=6, schedule=falling) for step in range(7)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * schedule(step - warmup, max(steps - warmup, 1))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups, times the factor that a group may have."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


def parameter_groups(
    network: nn.Module, rate: float, factors: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """The parameters of `network` that require a gradient, in groups of equal factors of the rate.

    Args:
        network: what is trained. Parameters with a factor of 0 are frozen.
        rate: peak learning rate.
        factors: pattern of parameter names -> factor of their rate. The last pattern that matches counts.

    Raises:
        UsageError: a pattern matches no parameter.

        >>> network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        >>> [group["factor"] for group in parameter_groups(network, 1e-3, {"1.*": 0.1})]
        [1.0, 0.1]
    """
    factor_of = {name: 1.0 for name, each in network.named_parameters() if each.requires_grad}
    for pattern, factor in (factors or {}).items():
        matching = fnmatch.filter(factor_of, pattern)
        if not matching:
            some = ", ".join(list(factor_of)[:5])
            raise UsageError(
                f"the pattern '{pattern}' of `rates` matches no parameter", hint=f"they are called {some} ..."
            )
        factor_of |= dict.fromkeys(matching, factor)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if factor_of.get(name) == 0:
            parameter.requires_grad = False
        elif name in factor_of:
            groups.setdefault(factor_of[name], []).append(parameter)
    return [
        {"params": parameters, "lr": rate * factor, "factor": factor} for factor, parameters in groups.items()
    ]


def freeze_unused(network: nn.Module, *inputs: Tensor) -> None:
    """Freeze the parameters that the result of `network`, a tensor or several, does not depend on.

    They never get a gradient, for which processes that exchange gradients would wait forever. An optimizer
    leaves them as they are, frozen or not.

    Args:
        network: in training mode; only ``requires_grad`` of its parameters changes.
        inputs: as it takes them.

        >>> network = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
        >>> network.forward = lambda image: network["used"](image)
        >>> freeze_unused(network, torch.zeros(1, 2))
        >>> [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        ['used.weight', 'used.bias']
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}  # statistics of batches
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        result = torch.func.functional_call(network, buffers, inputs)
        torch.autograd.backward([tensor.sum() for tensor in scales_of(result)])
    for parameter in network.parameters():
        if parameter.grad is None:
            parameter.requires_grad = False
        parameter.grad = None


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
    """Return an exponential moving average of the parameters of `network`, and a copy of its buffers.

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


def update_average(
    average: AveragedModel, network: nn.Module, step: int, weights: AveragesWeights | None = None
) -> None:
    """Move the average toward `network` after update number `step`, counted from 1.

    Args:
        average: from `averaged`.
        network: what is trained.
        step: number of the update.
        weights: the optimizer, if it averages the weights itself: then the average is its own.
    """
    # The step is passed in, so that a checkpoint stores only one count.
    average.n_averaged.fill_(step)
    if weights is None:
        average.update_parameters(network)
        return
    with torch.no_grad():
        for kept, trained in zip(average.module.parameters(), network.parameters(), strict=True):
            kept.copy_(weights.averaged(trained))
        for buffer, own in zip(average.module.buffers(), network.buffers(), strict=True):
            buffer.copy_(own)
