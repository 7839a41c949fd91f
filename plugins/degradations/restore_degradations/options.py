"""Options of the degradations. A strength is a number, or a range ``LOW:HIGH`` from which it is drawn."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from restore.interfaces import Options

__all__ = [
    "BlurOptions",
    "ElementOptions",
    "Interval",
    "JpegOptions",
    "NoiseOptions",
    "PhotoOptions",
    "QuantizeOptions",
    "Range",
    "RealEsrganOptions",
    "ResizeOptions",
    "SharpenOptions",
    "SincOptions",
    "WebpOptions",
    "between",
]

Interval = tuple[float, float]
"""Least and largest value; equal for a fixed one."""

Methods = Literal["area", "bilinear", "bicubic", "lanczos", "any"]


def _range(given: Any) -> Any:
    """A number, ``LOW:HIGH`` or a pair, as a pair."""
    if isinstance(given, str):
        given = [part.strip() for part in given.split(":")]
    if isinstance(given, int | float):
        given = [given]
    try:
        numbers = [float(number) for number in given]
    except (TypeError, ValueError):
        raise ValueError("write a number, or a range LOW:HIGH, such as 30:95") from None
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2 or not all(map(math.isfinite, numbers)) or numbers[0] > numbers[1]:
        raise ValueError("write a number, or a range LOW:HIGH with the smaller number first, such as 30:95")
    return tuple(numbers)


def _shown(interval: tuple[float, float]) -> float | str:
    low, high = interval
    return low if low == high else f"{low:g}:{high:g}"


def between(least: float, most: float) -> BeforeValidator:
    """Accept a number, ``LOW:HIGH`` or a pair, with all values from `least` to `most`."""

    def check(given: Any) -> Any:
        interval = _range(given)
        if interval[0] < least or interval[1] > most:
            raise ValueError(f"it lies between {least:g} and {most:g}")
        return interval

    return BeforeValidator(check)


Range = Annotated[Interval, PlainSerializer(_shown, return_type=float | str, when_used="json")]
"""A number, or a range from which one is drawn; written as it is given."""


class ElementOptions(Options):
    """Options that every element has."""

    probability: float = Field(1.0, ge=0, le=1, description="share of the images that it is applied to")


class BlurOptions(ElementOptions):
    """Kind and size of the blur."""

    kind: Literal["gaussian", "generalized", "plateau", "disk", "line", "any"] = Field(
        "gaussian",
        description="'gaussian'; 'generalized' with an exponent; 'plateau'; 'disk' of a lens out of focus; "
        "'line' of a camera that moves; 'any' draws one",
    )
    sigma: Annotated[Range, between(0.05, 50)] = Field(
        (0.2, 3.0), description="deviation in pixels; radius of a disk; half the length of a line"
    )
    ratio: Annotated[Range, between(0.02, 1)] = Field(
        (1.0, 1.0), description="short to long deviation; below 1 the blur has a direction, drawn at random"
    )
    beta: Annotated[Range, between(0.2, 10)] = Field(
        (1.0, 1.0), description="exponent of 'generalized' and 'plateau'"
    )


class ResizeOptions(ElementOptions):
    """Filter and intermediate size."""

    method: Methods = Field("bicubic", description="filter; 'any' draws one")
    factor: Annotated[Range, between(0.05, 8)] = Field(
        (1.0, 1.0), description="the image is first resized by this, then to its final size"
    )
    antialias: bool = Field(True, description="widen the filter when shrinking")


class NoiseOptions(ElementOptions):
    """Kind and strength of the noise."""

    kind: Literal["gaussian", "poisson", "camera", "any"] = Field(
        "gaussian",
        description="'gaussian'; 'poisson', which grows with the light; 'camera', shot and read noise before "
        "the tone curve; 'any' draws one",
    )
    sigma: Annotated[Range, between(0, 255)] = Field(
        (0.0, 25.0),
        description="deviation in levels of 255; of 'poisson' and 'camera' about that of a gray of one half",
    )
    gray: float = Field(0.0, ge=0, le=1, description="share of images with the same noise in all channels")


class JpegOptions(ElementOptions):
    """Strength of the compression."""

    quality: Annotated[Range, between(1, 100)] = Field((30.0, 95.0), description="quality of libjpeg")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0", "any"] = Field(
        "any", description="of the chroma; 'any' draws one, 4:2:0 most often"
    )
    rounds: Annotated[Range, between(1, 8)] = Field(
        (1.0, 1.0), description="times that it is compressed, each with its own quality and grid"
    )
    grid: Literal["random", "aligned"] = Field(
        "random", description="where the grid of blocks begins: anywhere, or at the first pixel"
    )


class WebpOptions(ElementOptions):
    """Strength of the compression."""

    quality: Annotated[Range, between(1, 100)] = Field((30.0, 95.0), description="quality of libwebp")


class SincOptions(ElementOptions):
    """Strength of the ringing."""

    cutoff: Annotated[Range, between(0.1, math.pi)] = Field(
        (math.pi / 3, math.pi), description="highest frequency that passes, in radians per pixel"
    )


class SharpenOptions(ElementOptions):
    """Strength of the unsharp mask; Real-ESRGAN's has amount 0.5, sigma 8 and threshold 10."""

    amount: Annotated[Range, between(0, 10)] = Field((0.2, 1.0), description="weight of the mask")
    sigma: Annotated[Range, between(0.1, 50)] = Field(
        (0.5, 2.0), description="deviation of the blur in pixels"
    )
    threshold: float = Field(
        0.0, ge=0, le=255, description="levels of 255 by which the blur has to change a pixel; 0: any"
    )


class QuantizeOptions(ElementOptions):
    """Number of levels."""

    bits: int = Field(8, ge=1, le=16, description="bits per channel")


class PhotoOptions(Options):
    """Strengths of `photo`."""

    blur: Annotated[Range, between(0, 10)] = Field(
        (0.0, 0.8), description="deviation of the lens's blur in pixels of the result"
    )
    noise: Annotated[Range, between(0, 100)] = Field(
        (0.0, 12.0), description="deviation of the sensor's noise in levels of 255"
    )
    quality: Annotated[Range, between(1, 100)] = Field(
        (30.0, 95.0), description="quality of each JPEG compression"
    )
    clean: float = Field(
        0.1, ge=0, le=1, description="share of images that are only downscaled, so that clean ones stay clean"
    )


class RealEsrganOptions(Options):
    """How often the image is degraded."""

    order: int = Field(2, ge=1, le=2, description="1: once, 2: twice, as in the paper")
