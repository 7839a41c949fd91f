"""Options of the entries of this plugin."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from restore.interfaces import Options

__all__ = [
    "AdamOptions",
    "AdamWOptions",
    "CosineOptions",
    "MultistepOptions",
    "ScheduleFreeOptions",
    "SoapOptions",
    "WsdOptions",
]

Decay = Annotated[float, Field(ge=0, lt=1)]


class AdamOptions(Options):
    """Options of Adam."""

    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the averages of the gradient and of its square"
    )
    eps: float = Field(1e-8, gt=0, allow_inf_nan=False, description="added to the denominator")


class AdamWOptions(AdamOptions):
    """Options of AdamW."""

    weight_decay: float = Field(
        0.01, ge=0, allow_inf_nan=False, description="share of a weight that is taken off, times `lr`"
    )
    decay_vectors: bool = Field(False, description="decay biases and other vectors, too")


class SoapOptions(Options):
    """Options of SOAP."""

    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the averages of the gradient and of its square"
    )


class ScheduleFreeOptions(AdamWOptions):
    """Options of schedule-free AdamW."""

    betas: tuple[Annotated[float, Field(gt=0, lt=1)], Decay] = Field(
        (0.9, 0.999),
        description="share of the average in the weights that are trained; decay of the average of the "
        "squared gradient",
    )
    weight_decay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="share of a weight that is taken off, times `lr`"
    )


class CosineOptions(Options):
    """Where the half cosine ends."""

    final: float = Field(0.01, ge=0, le=1, description="share of the peak rate at the end")


class MultistepOptions(Options):
    """Where the rate falls."""

    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.8, 0.9, 0.95), min_length=1, description="shares of the run after which the rate falls"
    )
    gamma: float = Field(0.5, gt=0, lt=1, description="factor of the rate at each milestone")

    @field_validator("milestones")
    @classmethod
    def _ascending(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ValueError("milestones must ascend")
        return milestones


class WsdOptions(Options):
    """The last phase of warm-up-stable-decay."""

    decay: float = Field(0.2, gt=0, le=1, description="share of the run over which the rate falls")
    final: float = Field(0.0, ge=0, le=1, description="share of the peak rate at the end")
