"""Training can fail without an error: what is worth a warning, from nothing but the figures of the log.

A warning is said once, and again only after the trouble was over. All processes see the same figures, so
that they warn together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

__all__ = ["BLIND", "LINES", "SEEING", "STEPS", "VISIBLE", "Watch"]

STEPS = 300
"""Steps that a discriminator has to be stuck: one that learns leaves chance, and a generator that learns
from it lowers its scores, within some tens of steps."""

SEEING = 0.99
"""A discriminator with both scores above it makes next to no mistakes."""

BLIND = 0.52
"""A discriminator whose mean score stays below it tells nothing: whoever guesses has 0.5."""

VISIBLE = 3.0
"""A tint in 1/255 that is seen in flat areas."""

LINES = 5
"""Lines of the log that a tint has to last, because one batch can have any colour."""

_QUIET = 100  # steps after which something that is not finite is told again
_FALLING = 0.9  # a tint that shrinks by this factor is on its way out, as at the start of any run


class Watch:
    """All warnings of a run."""

    def __init__(self) -> None:
        self._seeing = _Alarm(STEPS)
        self._blind = _Alarm(STEPS)
        self._lost = _Alarm(1)
        self._learnt = 0
        self._tint = _Alarm(LINES)
        self._least = math.inf

    def step(self, figures: Mapping[str, float | Tensor], problem: str = "") -> list[str]:
        """Look at one step.

        Args:
            figures: what the step gave: with an adversary ``d_real`` and ``d_generated``, the mean
                probabilities of the right answer, and ``gate``, 1 if open.
            problem: what was not finite, so that it taught nothing.

        Returns:
            Warnings.
        """
        said = [self._finite(problem)]
        if "d_real" in figures:
            real, generated, gate = (float(figures[name]) for name in ("d_real", "d_generated", "gate"))
            said.append(self._collapse(real, generated, gate > 0))
        return [sentence for sentence in said if sentence]

    def line(self, figures: Mapping[str, float]) -> list[str]:
        """Look at one line of the log.

        Args:
            figures: ``tint`` is the largest difference of a channel's mean in 1/255.

        Returns:
            Warnings.
        """
        tint = figures.get("tint", math.nan)
        well, falls = tint < VISIBLE - 1, tint < _FALLING * self._least
        if well or falls:
            self._least = math.inf if well else tint
        if not self._tint.rings(wrong=tint > VISIBLE and not falls, well=well, anew=falls):
            return []
        return [
            f"restored images have had a tint for {LINES} lines of the log, now of {tint:.1f}/255: raise the "
            f"weight of a term that compares pixels, or begin from trained weights with --init"
        ]

    def _finite(self, problem: str) -> str:
        self._learnt = 0 if problem else self._learnt + 1
        if not self._lost.rings(wrong=bool(problem), well=self._learnt >= _QUIET):
            return ""
        return (
            f"{problem} was not finite, so nothing was learnt; if that goes on, start again with a lower "
            f"--lr or with --precision fp32"
        )

    def _collapse(self, real: float, generated: float, is_open: bool) -> str:
        scores = f"(scores {real:.3f} on real, {generated:.3f} on restored images)"
        low, mean = min(real, generated), (real + generated) / 2
        if self._seeing.rings(wrong=low > SEEING, well=low < SEEING - 0.04):
            return (
                f"the discriminator has told restored from real images nearly without a mistake for {STEPS} "
                f"steps {scores}, so the generator gains little from it: raise the weight with --set "
                f"adversary.weight, or begin from trained weights with --init"
            )
        if self._blind.rings(wrong=is_open and mean < BLIND, well=mean > BLIND + 0.08):
            return (
                f"the discriminator has only guessed for {STEPS} steps though its gate was open {scores}, so "
                f"the generator learns nothing from it: try a higher --set lr_discriminator"
            )
        return ""


class _Alarm:
    """Rings once when something has been wrong for a number of looks, and not again before it went well.

    A look that is neither wrong nor well counts as none, so that a single odd batch changes nothing.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.lasted = 0

    def rings(self, *, wrong: bool, well: bool, anew: bool = False) -> bool:
        """Take one look; `anew` begins to count again, unless it has rung already."""
        if well or (anew and self.lasted < self.patience):
            self.lasted = 0
        self.lasted += wrong
        return wrong and self.lasted == self.patience
