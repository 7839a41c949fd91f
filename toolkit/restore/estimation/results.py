"""The results of estimation, as frozen records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = [
    "BlurEstimate",
    "EnlargementEstimate",
    "Estimate",
    "JpegEstimate",
    "NoiseEstimate",
    "Subsampling",
]

Subsampling = Literal["4:4:4", "4:2:2", "4:4:0", "4:2:0", "4:1:1"]

VISIBLE_QUALITY = 90
"""JPEG quality up to which compression counts as a degradation."""
VISIBLE_NOISE = 3.5
"""Standard deviation, in levels of 255, from which noise counts as a degradation: fine texture without any
noise measures up to here."""
VISIBLE_BLUR = 0.8
"""Gaussian sigma in pixels from which blur counts as a degradation: 3 to 5 % of training photos without
added blur measure this much."""


@dataclass(frozen=True)
class JpegEstimate:
    """The last JPEG compression of a picture.

    >>> jpeg = JpegEstimate(40, True, "4:2:0", (0, 0), "tables", confidence=1.0)
    >>> Estimate(jpeg=jpeg, noise=None, blur=None, enlarged=None).degradations
    ('jpeg',)
    """

    quality: int
    """On libjpeg's scale from 1 to 100; the nearest one where the tables are not libjpeg's."""
    standard: bool
    """Whether the quantization tables are libjpeg's for exactly this quality."""
    subsampling: Subsampling | None
    """Of chroma; ``None`` where the picture is gray or the pixels do not say."""
    offset: tuple[int, int]
    """Row and column, each from 0 to 7, of the first corner of the 8x8 grid."""
    source: Literal["tables", "pixels"]
    confidence: float
    """From 0 to 1; always 1 from tables."""


@dataclass(frozen=True)
class NoiseEstimate:
    """Noise in levels of 255, for each of red, green and blue.

    >>> noise = NoiseEstimate(sigma=(5.0, 5.0, 5.0), slope=(0.0, 0.0, 0.0), intercept=(25.0, 25.0, 25.0))
    >>> noise.mean_sigma
    5.0
    """

    sigma: tuple[float, float, float]
    """Standard deviation over the whole picture."""
    slope: tuple[float, float, float]
    """How the variance grows with the intensity: ``variance = slope * intensity + intercept``, both in
    levels from 0 to 255."""
    intercept: tuple[float, float, float]
    """The variance at intensity 0 in that model."""
    before_jpeg: float | None = None
    """Standard deviation of the noise in luma before the JPEG compression that removed much of it; too high
    where there are few flat blocks. ``None`` where the picture was not compressed."""

    @property
    def mean_sigma(self) -> float:
        """Root mean square of the three channels' `sigma`."""
        return float((sum(sigma**2 for sigma in self.sigma) / 3) ** 0.5)


@dataclass(frozen=True)
class BlurEstimate:
    """Width of the sharpest edges.

    >>> blur = BlurEstimate(sigma=1.8, confidence=0.9)
    >>> Estimate(jpeg=None, noise=None, blur=blur, enlarged=None).degradations
    ('blur',)
    """

    sigma: float
    """Of the Gaussian that makes a step edge as wide, in pixels; 0 is as sharp as pixels can be."""
    confidence: float
    """From 0 to 1: how many edges were found, and how well they agree."""


@dataclass(frozen=True)
class EnlargementEstimate:
    """An earlier enlargement of a picture by interpolation.

    >>> enlarged = EnlargementEstimate(factor=2.0, confidence=0.8)
    >>> Estimate(jpeg=None, noise=None, blur=None, enlarged=enlarged).degradations
    ('enlarged',)
    """

    factor: float
    confidence: float
    """From 0 to 1: how far the periodic trace of the interpolation stands out."""


@dataclass(frozen=True)
class Estimate:
    """The estimates of a picture; ``None`` where nothing was detected or the picture is too small.

    >>> found = Estimate(jpeg=None, noise=None, blur=BlurEstimate(2.0, 0.9), enlarged=None)
    >>> found.degradations
    ('blur',)
    >>> found.to_text()[0]
    'compression: no trace of JPEG'
    """

    jpeg: JpegEstimate | None
    noise: NoiseEstimate | None
    blur: BlurEstimate | None
    enlarged: EnlargementEstimate | None

    @property
    def degradations(self) -> tuple[str, ...]:
        """The visible degradations, some of "jpeg", "noise", "blur" and "enlarged"."""
        visible = {
            "jpeg": self.jpeg is not None and self.jpeg.quality <= VISIBLE_QUALITY,
            "noise": self.noise is not None and self.noise.mean_sigma >= VISIBLE_NOISE,
            "blur": self.blur is not None and self.blur.confidence > 0 and self.blur.sigma >= VISIBLE_BLUR,
            "enlarged": self.enlarged is not None,
        }
        return tuple(name for name, seen in visible.items() if seen)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dict, with ``None`` where nothing was detected."""
        return {**asdict(self), "degradations": list(self.degradations)}

    def to_text(self) -> list[str]:
        """Return one readable line for each of the four, such as "noise: standard deviation 4.9 of 255"."""
        lines = []
        if self.jpeg is None:
            lines.append("compression: no trace of JPEG")
        else:
            close = "" if self.jpeg.standard else "about "
            chroma = f", chroma {self.jpeg.subsampling}" if self.jpeg.subsampling else ""
            row, column = self.jpeg.offset
            lines.append(
                f"compression: JPEG of quality {close}{self.jpeg.quality}{chroma}, 8x8 grid at row {row}, "
                f"column {column} (from its {self.jpeg.source}, {_percent(self.jpeg.confidence)})"
            )
        if self.noise is not None:
            red, green, blue = self.noise.sigma
            lines.append(
                f"noise: standard deviation {self.noise.mean_sigma:.1f} of 255 "
                f"(red {red:.1f}, green {green:.1f}, blue {blue:.1f})"
            )
            if self.noise.before_jpeg is not None:
                lines[-1] += f", in luma before compression at most {self.noise.before_jpeg:.1f}"
        if self.blur is not None:
            lines.append(f"blur: sigma {self.blur.sigma:.1f} pixels ({_percent(self.blur.confidence)})")
        if self.enlarged is None:
            lines.append("enlarged: no trace of interpolation")
        else:
            lines.append(f"enlarged: {self.enlarged.factor:g}x ({_percent(self.enlarged.confidence)})")
        return [*lines, f"visible degradations: {', '.join(self.degradations) or 'none'}"]


def _percent(confidence: float) -> str:
    return f"confidence {confidence:.0%}"
