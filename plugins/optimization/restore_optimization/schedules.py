"""Learning-rate schedules, as shares of the peak rate."""

from __future__ import annotations

import math

from restore.interfaces import Options, Schedule
from restore_optimization.options import CosineOptions, MultistepOptions, WsdOptions

__all__ = ["build_constant", "build_cosine", "build_multistep", "build_wsd"]


def build_constant(options: Options) -> Schedule:  # noqa: ARG001 - it has none
    """The peak rate throughout.

    Example:
        >>> build_constant(Options())(999, 1000)
        1.0
    """
    return lambda _step, _steps: 1.0


def build_cosine(options: CosineOptions) -> Schedule:
    """Half a cosine (Loshchilov and Hutter 2017, without restarts).

    Example:
        >>> cosine = build_cosine(CosineOptions(final=0.1))
        >>> cosine(0, 100), round(cosine(50, 100), 3), cosine(100, 100)
        (1.0, 0.55, 0.1)
    """

    def share(step: int, steps: int) -> float:
        progress = min(step / steps, 1.0)
        return options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * progress))

    return share


def build_multistep(options: MultistepOptions) -> Schedule:
    """A factor at each milestone.

    Example:
        >>> multistep = build_multistep(MultistepOptions(milestones=(0.5, 0.75), gamma=0.5))
        >>> [multistep(step, 100) for step in (0, 49, 50, 74, 75)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return lambda step, steps: options.gamma ** sum(step >= mark * steps for mark in options.milestones)


def build_wsd(options: WsdOptions) -> Schedule:
    """Stable, then falling to the end as one minus the square root (Haegele et al. 2024, section 3).

    Example:
        >>> wsd = build_wsd(WsdOptions(decay=0.2))
        >>> wsd(79, 100), round(wsd(85, 100), 3), wsd(100, 100)
        (1.0, 0.5, 0.0)
    """

    def share(step: int, steps: int) -> float:
        progress = max(1 - max(steps - step, 0) / (options.decay * steps), 0.0)
        return 1 - (1 - options.final) * math.sqrt(progress)

    return share
