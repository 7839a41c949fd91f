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
    """Random draws that depend only on `generator`.

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
        """Draw a number in [0, 1)."""
        return float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def chance(self, probability: float) -> bool:
        """Return true with this probability."""
        return self.share() < probability

    def uniform(self, interval: Interval) -> float:
        """Draw uniformly from the interval."""
        low, high = interval
        return low + (high - low) * self.share()

    def log_uniform(self, interval: Interval) -> float:
        """Draw log-uniformly from the interval, whose values are positive."""
        low, high = interval
        return math.exp(self.uniform((math.log(low), math.log(high))))

    def integer(self, below: int) -> int:
        """Draw an integer from 0 to `below - 1`."""
        return int(torch.randint(below, (), generator=self.generator))

    def whole(self, interval: Interval) -> int:
        """Draw an integer from the interval, including both ends."""
        low, high = round(interval[0]), round(interval[1])
        return low + self.integer(high - low + 1)

    def choice(self, options: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """Draw one of `options`, uniformly or by `weights`, which need not add up to 1."""
        if weights is None:
            return options[self.integer(len(options))]
        position, total = self.share() * sum(weights), 0.0
        for option, weight in zip(options, weights, strict=True):
            total += weight
            if position < total:
                return option
        return options[-1]

    def normal(self, *shape: int) -> torch.Tensor:
        """Draw standard normal numbers, float32."""
        return torch.randn(*shape, generator=self.generator)
