"""The measurements of one model on one data set, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

from restore.errors import DataError, escaped
from restore.evaluation.sweeping import inputs_title
from restore.inference.choosing import Choice
from restore.interfaces import Parameters

__all__ = ["Cost", "Measured", "Row"]


@dataclass(frozen=True)
class Measured:
    """The result of one model on one image.

    >>> image = Measured("baby.png", None, None, (512, 512), {"psnr": 32.1}, seconds=0.2)
    >>> image.to_json()["values"]
    {'psnr': 32.1}
    """

    name: str
    """Name of the target, or of the input without a target, below its folder."""
    target: Path | None
    degraded: Path | None
    """The given input; ``None`` if it was made from the target."""
    size: tuple[int, int]
    """Width and height of the result in pixels."""
    values: Mapping[str, float]
    """Metric of single images -> value."""
    seconds: float
    """Time of choosing and restoring, without reading and measuring."""
    parameters: Parameters = field(default_factory=dict)
    """What was swept, and what a random degradation drew, as ``LABEL.NAME`` -> value."""
    choice: Choice | None = None
    """The model that ``auto`` chose for the image."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dictionary; names are escaped."""
        files = {"target": self.target, "degraded": self.degraded}
        shown = {key: escaped(str(file)) if file else None for key, file in files.items()}
        return asdict(self) | {"name": escaped(self.name), "parameters": dict(self.parameters)} | shown


@dataclass(frozen=True)
class Cost:
    """Parameters, multiply-adds and peak memory of a model.

    >>> Cost(parameters=20_099, multiply_adds=20_000.0, peak_memory=None).parameters
    20099
    """

    parameters: int
    multiply_adds: float | None
    """Per pixel of the result; ``None`` where they cannot be counted."""
    peak_memory: int | None
    """Bytes in tensors while the largest image is restored; ``None`` if they cannot be measured, as with
    another engine."""


@dataclass(frozen=True)
class Row:
    """The results of one model on one data set.

    >>> images = [Measured(f"{n}.png", None, None, (512, 512), {"psnr": n}, seconds=0.5) for n in (30, 32)]
    >>> row = Row("bicubic", "Set2", 4, tuple(images), {}, protocol={"psnr": "luma, border 4"})
    >>> row.means, row.seconds
    ({'psnr': 31.0}, 1.0)
    """

    model: str
    data: str
    scale: int
    images: tuple[Measured, ...]
    failures: Mapping[str, str]
    """Name of an image -> why it was not measured."""
    protocol: Mapping[str, str]
    """``inputs``: how the inputs were made; metric -> everything that its value depends on."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Engine, precision and device."""
    cost: Cost | None = None
    degradation: str = ""
    """Name of the degradation that made the inputs; empty for a folder of inputs."""
    swept: Mapping[str, Any] = field(default_factory=dict)
    """``LABEL.OPTION`` -> value, of the options of the degradation that a sweep has set."""

    of_set: Mapping[str, float] = field(default_factory=dict)
    """Metric of whole sets -> its value over all measured images; NaN if it could not be computed."""
    set_failures: Mapping[str, str] = field(default_factory=dict)
    """Metric of whole sets -> why it could not be computed."""

    @property
    def inputs(self) -> str:
        """The degradation with the swept options as a short title; empty for a folder of inputs."""
        return inputs_title(self.degradation, self.swept) if self.degradation else ""

    @property
    def means(self) -> dict[str, float]:
        """Metric -> mean over all measured images; NaN if there is none."""
        return self.means_over(image.name for image in self.images)

    @property
    def seconds(self) -> float:
        """Time of restoring all images."""
        return sum(image.seconds for image in self.images)

    @property
    def megapixels_per_second(self) -> float:
        """Millions of result pixels per second of restoring; NaN without images."""
        pixels = sum(image.size[0] * image.size[1] for image in self.images)
        return pixels / 1e6 / self.seconds if self.seconds else nan

    def means_over(self, names: Iterable[str]) -> dict[str, float]:
        """Metric -> mean over the images of these names; NaN if there is none.

        A metric of whole sets has its value if these are all of the measured images, and NaN otherwise.
        """
        chosen = set(names)
        images = [image for image in self.images if image.name in chosen]
        complete = len(images) == len(self.images)
        return {
            metric: (self.of_set[metric] if complete else nan)
            if metric in self.of_set
            else (fmean(image.values[metric] for image in images) if images else nan)
            for metric in self.protocol
            if metric != "inputs"
        }

    def complete(self) -> Row:
        """Return the row itself.

        Raises:
            DataError: an image or a metric of sets could not be measured; names the first one and its reason.
        """
        for name, reason in (*self.failures.items(), *self.set_failures.items()):
            raise DataError(reason, path=None if name in reason else name)
        return self
