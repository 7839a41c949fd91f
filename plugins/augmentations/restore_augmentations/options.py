"""Options of the entries of this plugin."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import AugmentationOptions

__all__ = ["CutOptions", "MixupOptions", "TurnOptions"]


class TurnOptions(AugmentationOptions):
    """Which of the eight flips and rotations."""

    rotate: bool = Field(
        True,
        description="whether patches are also rotated by 90, 180 or 270 degrees; false: half are mirrored",
    )


class CutOptions(AugmentationOptions):
    """Size of the rectangle that is exchanged."""

    share: float = Field(
        0.7, gt=0, le=1, description="mean share of each side that the rectangle takes (deviation 0.01)"
    )


class MixupOptions(AugmentationOptions):
    """Distribution of the weights."""

    alpha: float = Field(
        1.2, gt=0, allow_inf_nan=False, description="the weight of a pair is drawn from Beta(alpha, alpha)"
    )
