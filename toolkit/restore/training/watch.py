"""Warnings about runs that fail without an error, from nothing but the values of the log.

A warning is given once, and again only after the problem was gone. All ranks see the same values, so that
they warn together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

__all__ = ["BLIND", "LINES", "SEEING", "STEPS", "VISIBLE", "Watch"]

STEPS = 300
"""Steps for which a discriminator has to be stuck. One that learns leaves chance level, and a generator that
learns from it lowers its scores, within some tens of steps."""

SEEING = 0.99
"""A discriminator with both scores above it makes almost no mistakes."""

BLIND = 0.52
"""A discriminator whose mean score stays below it carries no information: chance level is 0.5."""

VISIBLE = 3.0
"""A color shift in 1/255 that is visible in flat areas."""

LINES = 5
"""Lines of the log for which a color shift has to last, because one batch can have any color."""

_QUIET = 100  # finite steps after which the next one that is not finite is reported again
_FALLING = 0.9  # a color shift that shrinks by this factor is disappearing, as at the start of any run


class Watch:
    """All warnings of a run."""

    def __init__(self) -> None:
        self._seeing = _Alarm(STEPS)
        self._blind = _Alarm(STEPS)
        self._not_finite = _Alarm(1)
        self._finite_steps = 0
        self._color_shift = _Alarm(LINES)
        self._least = math.inf

    def step(self, values: Mapping[str, float | Tensor], problem: str = "") -> list[str]:
        """Check one step.

        Args:
            values: of the step; with an adversary ``d_real`` and ``d_generated``, the mean
                probabilities of the right answer, and ``gate``, 1 if open.
            problem: what was not finite, so that the update was skipped.

        Returns:
            Warnings.
        """
        warnings = [self._finite(problem)]
        if "d_real" in values:
            real, generated, gate = (float(values[name]) for name in ("d_real", "d_generated", "gate"))
            warnings.append(self._collapse(real, generated, gate > 0))
        return [warning for warning in warnings if warning]

    def line(self, values: Mapping[str, float]) -> list[str]:
        """Check one line of the log.

        Args:
            values: ``color_shift`` is the largest difference of a channel's mean in 1/255.

        Returns:
            Warnings.
        """
        shift = values.get("color_shift", math.nan)
        good, falls = shift < VISIBLE - 1, shift < _FALLING * self._least
        if good or falls:
            self._least = math.inf if good else shift
        if not self._color_shift.rings(bad=shift > VISIBLE and not falls, good=good, restart=falls):
            return []
        return [
            f"the color of restored images has been shifted for {LINES} lines of the log, now by "
            f"{shift:.1f}/255: increase the weight of a term that compares pixels, or start from trained "
            f"weights with `init`"
        ]

    def _finite(self, problem: str) -> str:
        self._finite_steps = 0 if problem else self._finite_steps + 1
        if not self._not_finite.rings(bad=bool(problem), good=self._finite_steps >= _QUIET):
            return ""
        return (
            f"{problem} was not finite, so the update was skipped; if that continues, start again with a "
            f"lower `lr` or with `precision=fp32`"
        )

    def _collapse(self, real: float, generated: float, is_open: bool) -> str:
        scores = f"(scores {real:.3f} on real, {generated:.3f} on restored images)"
        low, mean = min(real, generated), (real + generated) / 2
        if self._seeing.rings(bad=low > SEEING, good=low < SEEING - 0.04):
            return (
                f"the discriminator has told restored from real images almost without a mistake for {STEPS} "
                f"steps {scores}, so the generator learns little from it: increase `adversary.weight`, or "
                f"start from trained weights with `init`"
            )
        if self._blind.rings(bad=is_open and mean < BLIND, good=mean > BLIND + 0.08):
            return (
                f"the discriminator has stayed at chance level for {STEPS} steps with its gate open "
                f"{scores}, so the generator learns nothing from it: try a higher `lr_discriminator`"
            )
        return ""


class _Alarm:
    """Rings once when a value has been bad a number of times, and not again before it was good.

    A value that is neither bad nor good is ignored, so that a single odd batch changes nothing.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.lasted = 0

    def rings(self, *, bad: bool, good: bool, restart: bool = False) -> bool:
        """Take one value; `restart` resets the count unless the alarm has rung already."""
        if good or (restart and self.lasted < self.patience):
            self.lasted = 0
        self.lasted += bad
        return bad and self.lasted == self.patience
