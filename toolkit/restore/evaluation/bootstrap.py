"""How sure a difference between two models is, from the differences on single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "paired"]

_AT_ONCE = 2**22  # drawn images that are held in memory


@dataclass(frozen=True)
class Difference:
    """A mean of differences with the interval in which it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Zero is outside the interval."""
        return self.low > 0 or self.high < 0


def paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The mean of ``second - first``, with its percentile bootstrap interval over the images.

    >>> paired([20.0, 30.0, 25.0], [21.5, 31.5, 26.5])
    Difference(mean=1.5, low=1.5, high=1.5)

    Images are drawn with replacement, `resamples` times as many as there are, and each time their
    differences are averaged. The interval holds the middle `level` of these averages. Because both models
    are drawn with the same images, it does not grow with how much images differ from each other.

    Args:
        first: a value for each image.
        second: of another model, for the same images in the same order.
        level: between 0 and 1.
        resamples: how often images are drawn.
        seed: equal seeds give equal intervals.

    Returns:
        All NaN where a difference is not finite, as that of two perfect results.

    Raises:
        ValueError: the lengths differ or are zero.

    Source: Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired")
    with np.errstate(invalid="ignore"):
        differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    if not np.isfinite(differences).all():
        return Difference(np.nan, np.nan, np.nan)
    random, count = np.random.default_rng(seed), len(differences)
    step = max(_AT_ONCE // count, 1)
    means = np.concatenate(
        [
            differences[random.integers(count, size=(min(step, resamples - begin), count))].mean(1)
            for begin in range(0, resamples, step)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(differences.mean()), float(low), float(high))
