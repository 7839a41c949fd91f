"""Random choices from a given generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch

from restore_degradations.options import Interval

__all__ = ["Draws"]

Choice = TypeVar("Choice")


class Draws:
    """Draws that depend on nothing but `generator`.

    Args:
        generator: on the CPU.

    Example:
        >>> draws = Draws(torch.Generator().manual_seed(1))
        >>> draws.uniform((5.0, 5.0))
        5.0
        >>> draws.choice(["only"])
        'only'
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def share(self) -> float:
        """A number in [0, 1)."""
        return float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.share() < probability

    def uniform(self, interval: Interval) -> float:
        """Equally likely over the interval."""
        low, high = interval
        return low + (high - low) * self.share()

    def log_uniform(self, interval: Interval) -> float:
        """With a logarithm equally likely over that of the interval, whose values are positive."""
        low, high = interval
        return math.exp(self.uniform((math.log(low), math.log(high))))

    def integer(self, below: int) -> int:
        """From 0 to `below - 1`."""
        return int(torch.randint(below, (), generator=self.generator))

    def whole(self, interval: Interval) -> int:
        """A whole number of the interval, its ends included."""
        low, high = round(interval[0]), round(interval[1])
        return low + self.integer(high - low + 1)

    def choice(self, options: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """One of `options`, each as often or by `weights`, which need not add up to 1."""
        if weights is None:
            return options[self.integer(len(options))]
        position, total = self.share() * sum(weights), 0.0
        for option, weight in zip(options, weights, strict=True):
            total += weight
            if position < total:
                return option
        return options[-1]

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers, float32."""
        return torch.randn(*shape, generator=self.generator)
