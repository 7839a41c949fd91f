"""The rule by which ``auto`` chooses a model for an image: tables, and a pure function that reads them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from restore.checkpoint import working_scale
from restore.errors import UsageError
from restore.estimation import Estimate
from restore.registry import ModelReference, Registry

__all__ = [
    "AUTO",
    "CLEAN",
    "ENLARGE",
    "REMOVAL",
    "Choice",
    "Row",
    "choose",
    "fingerprint",
    "in_words",
    "removing",
    "usable",
]

AUTO = "auto"
"""What a user writes in place of a model."""

T = TypeVar("T")

_BEST_QUALITY = 100


@dataclass(frozen=True)
class Row:
    """Images within these limits are restored with the first of these models that is installed.

    Without a model they are left unchanged.
    """

    models: tuple[str, ...]
    quality: tuple[int, int] = (1, _BEST_QUALITY)
    """The lowest and the highest quality of the JPEG compression; 100 also means none."""
    noise: tuple[float, float] = (0.0, math.inf)
    """Standard deviation in levels of 255, from the first to below the second."""


REMOVAL = {"quality": "ffdnet:jpeg", "sigma": "ffdnet:noise"}
"""The number that describes a degradation -> the model that removes it, in the order in which they work."""

_JPEG, _NOISE = REMOVAL["quality"], REMOVAL["sigma"]
_GOOD_JPEG = (91, _BEST_QUALITY)
_NO_NOISE = (0.0, 3.5)  # fine texture without any noise measures up to here
_NO_NOISE_IN_SMALL = (0.0, 6.0)  # small images, which are those that are enlarged, have finer texture

ENLARGE = (
    Row(("enhancenet:pat",), quality=_GOOD_JPEG, noise=_NO_NOISE_IN_SMALL),
    Row(
        ("enhancenet:photo", f"{_JPEG}+enhancenet:pat", "enhancenet:pat"),
        noise=_NO_NOISE_IN_SMALL,
    ),
    Row(
        ("enhancenet:photo", f"{_NOISE}+enhancenet:pat", "enhancenet:pat"),
        quality=_GOOD_JPEG,
    ),
    Row(("enhancenet:photo", f"{_JPEG}+{_NOISE}+enhancenet:pat", "enhancenet:pat")),
)
"""How to choose a model that enlarges. The first row whose limits an image is within decides."""

CLEAN = (
    Row((), quality=_GOOD_JPEG, noise=_NO_NOISE),
    Row((_JPEG,), noise=_NO_NOISE),
    Row((_NOISE,), quality=_GOOD_JPEG),
    Row((f"{_JPEG}+{_NOISE}",)),
)
"""How to choose a model that removes noise and compression. The first row whose limits an image is within
decides."""


@dataclass(frozen=True)
class Choice:
    """The model for an image, and what was found in the image."""

    model: str
    """Empty for an image that is left unchanged."""
    quality: int | None = None
    """Of the JPEG compression; ``None`` if there is no trace of any."""
    noise: float | None = None
    """Standard deviation in levels of 255; ``None`` if it is too little to be seen."""
    beyond: bool = False
    """A user named the model, and its weights were trained on images with less compression or noise."""

    @classmethod
    def of(cls, model: str, found: Estimate, *, beyond: bool = False) -> Choice:
        """The choice of `model` for an image with what was found in it."""
        quality = None if found.jpeg is None else found.jpeg.quality
        seen = found.noise is not None and "noise" in found.degradations
        return cls(model, quality, round(found.noise.mean_sigma, 1) if found.noise and seen else None, beyond)

    @property
    def sentence(self) -> str:
        """What was found and what is done, such as ``JPEG of quality 60: enhancenet:photo``."""
        return in_words([self])


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
    qualities = [choice.quality for choice in choices if choice.quality is not None]
    noises = [choice.noise for choice in choices if choice.noise is not None]
    found = f"JPEG of quality {_span(qualities)}" if qualities else ""
    if noises:
        found += f"{' with ' if qualities else 'with ' if several else ''}noise of {_span(noises)}"
    found = found or f"{'without' if several else 'no'} visible noise or compression"
    return f"{found}: {choices[0].model or 'unchanged'}"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def choose(found: Estimate, rows: Sequence[Row]) -> Choice:
    """Choose the model for an image.

    Args:
        found: what the image suffers from.
        rows: as `usable` returns them.

    Raises:
        ValueError: no row fits.

    Example:
        >>> from restore.estimation import JpegEstimate
        >>> jpeg = JpegEstimate(60, True, "4:2:0", (0, 0), "tables", 1.0)
        >>> choose(Estimate(jpeg, noise=None, blur=None, enlarged=None), CLEAN).model
        'ffdnet:jpeg'
    """
    quality = _BEST_QUALITY if found.jpeg is None else found.jpeg.quality
    noise = 0.0 if found.noise is None else found.noise.mean_sigma
    for row in rows:
        if row.quality[0] <= quality <= row.quality[1] and row.noise[0] <= noise < row.noise[1]:
            return Choice.of(row.models[0] if row.models else "", found)
    raise ValueError(f"no row of the rule fits quality {quality} and noise {noise:g}")


def removing(numbers: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The model that removes certain degradations, whatever an image looks like.

    Args:
        numbers: keys of `REMOVAL`, each with its value for the network.

    Returns:
        The model, a chain of two, and its options.

    Example:
        >>> removing({"sigma": 15, "quality": 40})
        ('ffdnet:jpeg+ffdnet:noise', {'ffdnet.quality': 40, 'ffdnet#2.sigma': 15})
    """
    names = [name for name in REMOVAL if name in numbers]
    model = "+".join(REMOVAL[name] for name in names)
    labels = ModelReference.parse(model).labels
    return model, {f"{label}.{name}": numbers[name] for label, name in zip(labels, names, strict=True)}


def usable(rows: Sequence[Row], registry: Registry, scale: float | None) -> tuple[Row, ...]:
    """The rows, each with the one model that it stands for here.

    Args:
        rows: `ENLARGE` or `CLEAN`.
        registry: only its models are chosen, and only with weights that it knows.
        scale: output pixels per input pixel along one side; `None` is that of the model.

    Raises:
        UsageError: there is no model for a row.
    """
    return tuple(replace(row, models=_first(row, registry, scale)) for row in rows)


def fingerprint(rows: Sequence[Row]) -> str:
    """Eight hexadecimal digits that change with the rule."""
    return hashlib.sha256(repr(tuple(rows)).encode()).hexdigest()[:8]


def _first(row: Row, registry: Registry, scale: float | None) -> tuple[str, ...]:
    refusal: UsageError | None = None
    for model in row.models:
        if not _is_installed(model, registry):
            continue
        try:
            working_scale(model, registry, scale)
        except UsageError as error:
            refusal = error
        else:
            return (model,)
    if refusal is not None:
        raise refusal
    if not row.models:
        return ()
    raise UsageError(
        f"none of the weights that 'auto' chooses from is installed: {', '.join(row.models)}",
        hint="name a model with `model`",
    )


def _is_installed(model: str, registry: Registry) -> bool:
    """Whether the weights of all parts are in the registry: a file of the same name is something else."""
    return all(
        part.name in registry.models
        and part.weights in {weights.name for weights in registry.models[part.name].weights}
        for part in ModelReference.parse(model).parts
    )
