"""Confidence intervals of the difference between two models, from paired values of single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "paired"]

_AT_ONCE = 2**22  # draws that are held in memory


@dataclass(frozen=True)
class Difference:
    """A mean difference with its confidence interval.

    Example:
        >>> Difference(mean=0.3, low=0.1, high=0.5).is_clear
        True
    """

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether zero is outside the interval."""
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

    For each of `resamples` samples, as many images as there are are drawn with replacement and their
    differences averaged. The interval contains the middle `level` of these averages. Both models are sampled
    on the same images, so that differences between images do not widen it.

    Args:
        first: a value for each image.
        second: of another model, for the same images in the same order.
        level: between 0 and 1.
        resamples: number of bootstrap samples.
        seed: equal seeds give equal intervals.

    Returns:
        All NaN if a difference is not finite, as between two perfect results.

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
