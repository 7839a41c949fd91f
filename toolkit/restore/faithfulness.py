"""How true a restored image is to its input, where there is no target to compare it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restore.levels import to_values
from restore.metrics import psnr
from restore.resizing import imresize

__all__ = ["CONSISTENT", "SHIFTED", "Faithfulness", "color_shift", "compare", "consistency_map"]

CONSISTENT = 30.0
"""dB: below it, the result shows something else than its input."""

SHIFTED = 2.0
"""Levels of 255: a mean colour that differs by more can be seen when the two are exchanged."""

_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Faithfulness:
    """What can be said of a result and its input alone."""

    consistency: float
    """PSNR in dB between the input and the result, reduced to its size; above 100 where they are equal."""
    shift: tuple[float, float, float]
    """How much redder, greener and bluer the result is in the mean, in levels of 255."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each figure beyond its threshold."""
        found = []
        if self.consistency < CONSISTENT:
            found.append(
                f"reduced to its input's size, the result differs from it: {self.consistency:.1f} dB, where "
                f"less than {CONSISTENT:.0f} dB means that it shows something else"
            )
        if max(map(abs, self.shift)) > SHIFTED:
            found.append(f"the colours are shifted by {self.shift_text} of 255 levels")
        return tuple(found)

    @property
    def shift_text(self) -> str:
        """Such as ``+0.1 red, -0.2 green, +3.0 blue``."""
        return ", ".join(f"{value:+.1f} {name}" for value, name in zip(self.shift, _COLOURS, strict=True))

    @property
    def sentence(self) -> str:
        """For people."""
        return f"consistency {self.consistency:.1f} dB, colour {self.shift_text}"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "consistency": self.consistency,
            "shift": dict(zip(_COLOURS, self.shift, strict=True)),
            "warnings": self.warnings,
        }


def compare(restored: Tensor, degraded: Tensor) -> Faithfulness:
    """Reduce `restored` as MATLAB's bicubic does, and compare it with `degraded`.

    Args:
        restored: ``(1, 3, h, w)`` in [0, 1], or uint8 levels.
        degraded: ``(1, 3, H, W)``, the input, in the same range or the other.
    """
    restored, degraded = to_values(restored, torch.float64), to_values(degraded, torch.float64)
    again = _reduced(restored, degraded)
    red, green, blue = color_shift(restored, degraded).tolist()
    return Faithfulness(psnr(again, degraded, data_range=1), (red, green, blue))


def consistency_map(restored: Tensor, degraded: Tensor) -> Tensor:
    """Where a result does not fit its input: the largest difference of the three channels.

    Args:
        restored: see `compare`.
        degraded: see `compare`.

    Returns:
        ``(1, 1, H, W)`` in [0, 1], 0 where the reduced result equals the input.
    """
    restored, degraded = to_values(restored, torch.float64), to_values(degraded, torch.float64)
    return (_reduced(restored, degraded) - degraded).abs().amax(1, keepdim=True)


def color_shift(restored: Tensor, degraded: Tensor) -> Tensor:
    """Difference of the channels' means in levels of 255: ``(3,)``, positive where `restored` has more.

    Args:
        restored: ``(B, 3, H, W)`` of any size, in [0, 1] or uint8 levels.
        degraded: likewise.
    """
    first, second = (to_values(image, torch.float64).mean((0, 2, 3)) for image in (restored, degraded))
    return (first - second) * 255


def _reduced(restored: Tensor, degraded: Tensor) -> Tensor:
    height, width = degraded.shape[-2:]
    return imresize(restored, (height, width)).clamp(0, 1)
