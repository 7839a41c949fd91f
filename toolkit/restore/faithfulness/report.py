"""Compare a result with its input alone, and warn of suspicious values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restore.estimation import Estimate
from restore.faithfulness.amplification import amplification
from restore.faithfulness.consistency import consistency
from restore.levels import to_values

__all__ = ["AMPLIFIED", "CONSISTENT", "SHIFTED", "Faithfulness", "color_shift", "compare"]

CONSISTENT = 30.0
"""dB: below it, the result shows something else than its input."""

SHIFTED = 2.0
"""Levels of 255: a mean color that differs by more can be seen when the two are exchanged."""

AMPLIFIED = 1.4
"""Times the strength in a bicubic enlargement: block edges and noise above it look etched in.

On 40 crops of training photos, compressed with quality 30, 60 and 75, weights for clean images amplify the
edges of blocks 1.55 times or more; in the enlarged originals they are 1.21 times as strong or less."""

_COLORS = ("red", "green", "blue")


@dataclass(frozen=True)
class Faithfulness:
    """The comparison of a result with its input.

    >>> found = Faithfulness(consistency=52.2, shift=(0.1, 5.0, 0.0))
    >>> found.warnings
    ('the colors are shifted by +0.1 red, +5.0 green, +0.0 blue of 255 levels',)
    """

    consistency: float
    """PSNR in dB between the input and the result, downscaled to its size, of what the input leaves certain:
    half a quantization step of JPEG compression is no difference, nor are two deviations of noise, nor that
    a result is sharper than a blurred input. Infinite, or above 100, where nothing contradicts the input."""
    shift: tuple[float, float, float]
    """How much redder, greener and bluer the result is in the mean, in levels of 255."""
    blocks: float | None = None
    """How strong the edges of JPEG blocks are, as a multiple of a bicubic enlargement's; ``None`` where the
    input has none that are visible."""
    noise: float | None = None
    """How strong the noise in flat areas is, likewise."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each value beyond its limit."""
        found = []
        if self.consistency < CONSISTENT:
            found.append(
                f"downscaled to its input's size, the result differs from it: {self.consistency:.1f} dB; "
                f"below {CONSISTENT:.0f} dB it shows something else"
            )
        if max(map(abs, self.shift)) > SHIFTED:
            found.append(f"the colors are shifted by {self.shift_text} of 255 levels")
        if self.blocks is not None and self.blocks > AMPLIFIED:
            found.append(f"the block edges of its JPEG compression are amplified {self.blocks:.1f} times")
        if self.noise is not None and self.noise > AMPLIFIED:
            found.append(f"its noise is amplified {self.noise:.1f} times")
        return tuple(found)

    @property
    def shift_text(self) -> str:
        """Such as ``+0.1 red, -0.2 green, +3.0 blue``."""
        return ", ".join(f"{value:+.1f} {name}" for value, name in zip(self.shift, _COLORS, strict=True))

    @property
    def sentence(self) -> str:
        """All values in one line, such as ``consistency 52.2 dB, color +0.1 red, ..., block edges x0.4``."""
        parts = [f"consistency {self.consistency:.1f} dB, color {self.shift_text}"]
        if self.blocks is not None:
            parts.append(f"block edges x{self.blocks:.2f}")
        if self.noise is not None:
            parts.append(f"noise x{self.noise:.2f}")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dictionary."""
        return {
            "consistency": self.consistency,
            "shift": dict(zip(_COLORS, self.shift, strict=True)),
            "blocks": self.blocks,
            "noise": self.noise,
            "warnings": self.warnings,
        }


def compare(restored: Tensor, degraded: Tensor, estimate: Estimate | None = None) -> Faithfulness:
    """Compare a result with what its input leaves certain, and with the degradation of its input.

    Args:
        restored: ``(1, 3, h, w)`` in [0, 1], or uint8 levels.
        degraded: ``(1, 3, H, W)``, the input, in the same range or the other.
        estimate: of the degradation of the input, from `restore.estimation.estimate`; ``None`` takes all of
            the input for certain.

    >>> photo = torch.full((1, 3, 8, 8), 0.5)
    >>> compare(photo, photo).warnings
    ()
    """
    red, green, blue = color_shift(restored, degraded).tolist()
    amplified = amplification(restored, degraded, estimate) if estimate is not None else None
    return Faithfulness(
        consistency(restored, degraded, estimate),
        (red, green, blue),
        blocks=amplified.blocks if amplified is not None else None,
        noise=amplified.noise if amplified is not None else None,
    )


def color_shift(restored: Tensor, reference: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Difference of the channels' means in levels of 255: ``(3,)``, positive where `restored` is brighter.

    Args:
        restored: ``(B, 3, H, W)`` of any size, in [0, 1] or uint8 levels.
        reference: what it was made from, or its target; likewise.
        dtype: of the sums.

    Example:
        >>> color_shift(torch.full((1, 3, 2, 2), 0.2), torch.zeros(1, 3, 1, 1), torch.float32)
        tensor([51., 51., 51.])
    """
    first, second = (to_values(image, dtype).mean((0, 2, 3)) for image in (restored, reference))
    return (first - second) * 255
