"""Choose the model for an image by the rows of a rule, and describe the choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from restore.estimation import Estimate

__all__ = ["AUTO", "BEST_QUALITY", "BEYOND", "Choice", "RuleRow", "choose", "found_in_words", "in_words"]

AUTO = "auto"
"""What a user writes in place of a model."""

BEYOND = "was trained on better images; use the model 'auto'"
"""What users are told of a model that they named, after its name, where `Choice.beyond` is set."""

BEST_QUALITY = 100
"""Of JPEG compression; also of images without any."""


@dataclass(frozen=True)
class RuleRow:
    """Images within these limits are restored with this model."""

    model: str
    """Empty for images that are left unchanged."""
    quality: int = 1
    """The lowest quality of the JPEG compression."""
    noise: float = math.inf
    """Standard deviation in levels of 255, which that of an image is below."""
    blur: float = math.inf
    """Sigma in pixels, which that of an image is below."""

    def suits(self, quality: float, noise: float, blur: float) -> bool:
        """Whether an image is within the limits."""
        return quality >= self.quality and noise < self.noise and blur < self.blur

    def covers(self, other: RuleRow) -> bool:
        """Whether all images that suit another row suit this one."""
        return self.quality <= other.quality and self.noise >= other.noise and self.blur >= other.blur


@dataclass(frozen=True)
class Choice:
    """The model for an image, and what was found in the image."""

    model: str
    """Empty for an image that is left unchanged."""
    quality: int | None = None
    """Of the JPEG compression; ``None`` if there is no trace of any."""
    noise: float | None = None
    """Standard deviation in levels of 255; ``None`` if it is too little to be seen."""
    blur: float | None = None
    """Sigma in pixels; ``None`` if it is too little to be seen, or does not count for the choice."""
    beyond: bool = False
    """A user named the model, and its weights were trained on images with less compression or noise."""

    @classmethod
    def of(cls, model: str, found: Estimate, *, beyond: bool = False) -> Choice:
        """The choice of `model` for an image with what was found in it."""
        seen = found.degradations
        return cls(
            model,
            quality=None if found.jpeg is None else found.jpeg.quality,
            noise=round(found.noise.mean_sigma, 1) if found.noise and "noise" in seen else None,
            blur=round(found.blur.sigma, 1) if found.blur and "blur" in seen else None,
            beyond=beyond,
        )

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal for images for which one model was chosen and in which the same degradations were found."""
        return self.model, self.quality is None, self.noise is None, self.blur is None, self.beyond

    @property
    def sentence(self) -> str:
        """What was found and what is done, such as ``JPEG of quality 60: enhancenet:photo``."""
        return in_words([self]) + (f" {BEYOND}" if self.beyond else "")


def in_words(choices: Sequence[Choice], *, several: bool = False) -> str:
    """What was found in images for which one model was chosen, with the model.

    Args:
        choices: of the images; of many, those with the extremes.
        several: the words follow the number of the images.

    >>> in_words([Choice("enhancenet:photo", quality) for quality in (75, 60)])
    'JPEG of quality 60 to 75: enhancenet:photo'
    >>> in_words([Choice("")])
    'no visible noise or compression: unchanged'
    >>> in_words([Choice("")], several=True)
    'without visible noise or compression: unchanged'
    """
    return f"{found_in_words(choices, several=several)}: {choices[0].model or 'unchanged'}"


def found_in_words(choices: Sequence[Choice], *, several: bool = False) -> str:
    """The first half of `in_words`: what was found in the images.

    >>> found_in_words([Choice("", 40, 6.5)])
    'JPEG of quality 40 with noise of 6.5'
    """
    qualities = [choice.quality for choice in choices if choice.quality is not None]
    noises = [choice.noise for choice in choices if choice.noise is not None]
    blurs = [choice.blur for choice in choices if choice.blur is not None]
    jpeg = f"JPEG of quality {_span(qualities)}" if qualities else ""
    rest = " and ".join(
        f"{name} of {_span(values)}" for name, values in (("noise", noises), ("blur", blurs)) if values
    )
    if jpeg and rest:
        return f"{jpeg} with {rest}"
    if rest:
        return f"with {rest}" if several else rest
    return jpeg or f"{'without' if several else 'no'} visible noise or compression"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def choose(found: Estimate, rows: Sequence[RuleRow]) -> Choice:
    """Choose the model for an image: that of the first row whose limits it is within.

    Args:
        found: what the image suffers from.
        rows: as `rule` returns them.

    Raises:
        ValueError: no row fits.

    Example:
        >>> from restore.estimation import JpegEstimate
        >>> jpeg = JpegEstimate(60, True, "4:2:0", (0, 0), "tables", 1.0)
        >>> rows = (RuleRow("", quality=91), RuleRow("ffdnet:jpeg"))
        >>> choose(Estimate(jpeg, noise=None, blur=None, enlarged=None), rows).model
        'ffdnet:jpeg'
    """
    quality = BEST_QUALITY if found.jpeg is None else found.jpeg.quality
    noise = 0.0 if found.noise is None else found.noise.mean_sigma
    blur = 0.0 if found.blur is None else found.blur.sigma
    for row in rows:
        if row.suits(quality, noise, blur):
            return Choice.of(row.model, found)
    raise ValueError(f"no row of the rule fits quality {quality}, noise {noise:g} and blur {blur:g}")
