"""The gate of section 4.2.4: the discriminator's training pauses while it is ahead of the generator."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options, Scores

__all__ = ["PerformanceGate"]


class PerformanceGate(Options):
    """Open if the discriminator's performance on the previous batch was below a threshold.

    The paper tracks "the average performance of the discriminator on true and generated images within the
    previous training batch" and trains it "only if its performance on either of those two samples is below
    a threshold". The threshold is not published.
    """

    threshold: float = Field(
        0.9,
        gt=0,
        le=1,
        description="mean probability of the right answer below which the discriminator is trained",
    )

    def is_open(self, scores: Scores | None) -> bool:
        """Return whether either score is below the threshold, or there are no scores (first step)."""
        return scores is None or min(scores.real, scores.generated) < self.threshold
