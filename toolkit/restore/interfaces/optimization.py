"""Optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["AveragesWeights", "OptimizerSpec", "Schedule", "ScheduleSpec"]


@runtime_checkable
class AveragesWeights(Protocol):
    """What an optimizer has besides if the weights to use are not those that it trains.

    Training never changes to them: what is validated and saved is a copy of the network with the averaged
    weights, so that how often one looks changes nothing.

    >>> class Averaging:
    ...     def averaged(self, parameter: nn.Parameter) -> Tensor:
    ...         return parameter.detach().clone()  # a real one keeps a running mean
    >>> isinstance(Averaging(), AveragesWeights)
    True
    """

    def averaged(self, parameter: nn.Parameter) -> Tensor:
        """The weights to use in place of `parameter`, of its shape; a new tensor."""
        ...


@dataclass(frozen=True)
class OptimizerSpec(Named):
    """An optimizer.

    ``build(groups, options)`` gives a ``torch.optim.Optimizer`` of `groups`, each a dictionary with
    ``params`` (a list of parameters) and ``lr`` (its learning rate at its peak). It may split groups and add
    keys of its own, and leaves other keys where they are. The learning rate of each group is set before each
    step. All that it remembers is in its ``state_dict``, as tensors and numbers.

    Example:
        >>> from restore.interfaces import lazy
        >>> OptimizerSpec("sgd", "Stochastic gradient descent", build=lazy("restore_mine.sgd:build")).name
        'sgd'
    """

    name: str
    summary: str
    build: Callable[[Sequence[dict[str, Any]], Any], torch.optim.Optimizer]
    """``build(groups, options)``: the optimizer of these parameter groups."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""


class Schedule(Protocol):
    """The learning rate over a run.

    >>> def linear(step: int, steps: int) -> float:
    ...     return 1 - step / steps
    >>> schedule: Schedule = linear
    >>> [schedule(step, 4) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """

    def __call__(self, step: int, steps: int) -> float:
        """The share of the peak rate, in [0, 1], of the next update.

        Args:
            step: updates done since the end of the warm-up.
            steps: updates in all after the warm-up, at least 1.
        """
        ...


@dataclass(frozen=True)
class ScheduleSpec(Named):
    """A learning-rate schedule; ``build(options)`` gives a `Schedule`. The warm-up comes before it.

    Example:
        >>> from restore.interfaces import lazy
        >>> ScheduleSpec("linear", "Linear decay", build=lazy("restore_mine.schedules:build_linear")).name
        'linear'
    """

    name: str
    summary: str
    build: Callable[[Any], Schedule]
    """``build(options)``: the schedule."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""
