"""The gate of section 4.2.4: a discriminator that is winning waits for the generator."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options, Scores

__all__ = ["PerformanceGate"]


class PerformanceGate(Options):
    """Open while the discriminator did badly enough on the previous batch.

    The paper tracks "the average performance of the discriminator on true and generated images within the
    previous training batch" and trains it "only if its performance on either of those two samples is below
    a threshold". The threshold is not published.
    """

    threshold: float = Field(
        0.9, gt=0, le=1, description="mean probability of the right answer below which it may learn"
    )

    def is_open(self, scores: Scores | None) -> bool:
        """Whether either score is below the threshold; open in the first step, which has no scores."""
        return scores is None or min(scores.real, scores.generated) < self.threshold
