"""What an evaluation found: plain data, with everything that a report needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

from restore.errors import DataError, UsageError
from restore.evaluation.bootstrap import Difference, paired
from restore.evaluation.meters import Meter

__all__ = ["Cost", "Measured", "Result", "Row"]


@dataclass(frozen=True)
class Measured:
    """What one model did with one image."""

    name: str
    """Of the target, below its folder."""
    target: Path
    degraded: Path | None
    """The given input; ``None`` if it was made of the target."""
    size: tuple[int, int]
    """Width and height of the result in pixels."""
    figures: Mapping[str, float]
    """Metric -> figure."""
    seconds: float
    """Restoring only."""

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        degraded = str(self.degraded) if self.degraded else None
        return {**asdict(self), "target": str(self.target), "degraded": degraded}


@dataclass(frozen=True)
class Cost:
    """What a model takes, besides time."""

    parameters: int
    multiply_adds: float | None
    """For each pixel of the result; ``None`` where they cannot be counted."""
    peak_memory: int | None
    """Bytes that PyTorch holds at most at once while the largest image is restored; ``None`` where that
    cannot be seen, as inside another engine."""


@dataclass(frozen=True)
class Row:
    """What one model did on one data set."""

    model: str
    data: str
    scale: int
    images: tuple[Measured, ...]
    failures: Mapping[str, str]
    """Name of an image -> why there is no figure of it."""
    protocol: Mapping[str, str]
    """How the inputs were made, and what each figure means."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Engine, precision and device."""
    cost: Cost | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Metric -> mean over all images of the row; NaN where there is none."""
        return self.means([image.name for image in self.images])

    @property
    def seconds(self) -> float:
        """Restoring only, all images together."""
        return sum(image.seconds for image in self.images)

    @property
    def megapixels_per_second(self) -> float:
        """Pixels of results, in millions, for each second of restoring; NaN without images."""
        pixels = sum(image.size[0] * image.size[1] for image in self.images)
        return pixels / 1e6 / self.seconds if self.seconds else nan

    def means(self, names: Iterable[str]) -> dict[str, float]:
        """Metric -> mean over the images of these names; NaN where there is none."""
        chosen = set(names)
        images = [image for image in self.images if image.name in chosen]
        metrics = [name for name in self.protocol if name != "inputs"]
        return {
            metric: fmean(image.figures[metric] for image in images) if images else nan for metric in metrics
        }

    def complete(self) -> Row:
        """The row itself.

        Raises:
            DataError: an image could not be measured; the reason of the first one.
        """
        for reason in self.failures.values():
            raise DataError(reason)
        return self


@dataclass(frozen=True)
class Result:
    """Rows of any number of models and data sets, and how the models differ.

    Means and differences are over the images of a data set that every model could do.
    """

    rows: tuple[Row, ...]
    meters: tuple[Meter, ...]
    against: str
    """The model that the others are compared with."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""

    def __post_init__(self) -> None:
        """Check the reference.

        Raises:
            UsageError: no row is of the model `against`.
        """
        models = list(dict.fromkeys(row.model for row in self.rows))
        if self.against not in models:
            raise UsageError(f"--against {self.against} is none of the models: {', '.join(models)}")

    def common(self, row: Row) -> list[str]:
        """Names of the images that every model did, on the data set and by the protocol of `row`."""
        others = self._alike[_key(row)]
        done = [{image.name for image in other.images} for other in others]
        return sorted(set.intersection(*done))

    def figures(self, row: Row) -> dict[str, float]:
        """Metric -> mean over the `common` images."""
        return row.means(self.common(row))

    def differences(self, row: Row) -> dict[str, Difference]:
        """Metric -> by how much `row` is above the model `against`, image by image.

        Empty for that model itself, and where fewer than two images can be compared.
        """
        reference = next((other for other in self._alike[_key(row)] if other.model == self.against), row)
        names = self.common(row)
        if reference is row or len(names) < 2:
            return {}
        first, second = ({image.name: image for image in one.images} for one in (reference, row))
        return {
            meter.name: paired(
                [first[name].figures[meter.name] for name in names],
                [second[name].figures[meter.name] for name in names],
            )
            for meter in self.meters
        }

    def row_json(self, row: Row) -> dict[str, Any]:
        """A row for machines: means over the `common` images, differences, and each image."""
        return {
            "model": row.model,
            "data": row.data,
            "scale": row.scale,
            "figures": self.figures(row),
            "over": self.common(row),
            "against": self.against,
            "differences": {name: asdict(found) for name, found in self.differences(row).items()},
            "seconds": row.seconds,
            "megapixels_per_second": row.megapixels_per_second,
            "cost": asdict(row.cost) if row.cost else None,
            "settings": dict(row.settings),
            "protocol": dict(row.protocol),
            "versions": dict(self.versions),
            "images": [image.to_json() for image in row.images],
            "failures": dict(row.failures),
        }

    def to_json(self) -> dict[str, Any]:
        """The whole for machines: ``{"against", "versions", "metrics", "rows": [row_json, ...]}``."""
        return {
            "against": self.against,
            "versions": dict(self.versions),
            "metrics": {
                meter.name: {"unit": meter.unit, "better": meter.better, "digits": meter.digits}
                for meter in self.meters
            },
            "rows": [self.row_json(row) for row in self.rows],
        }

    @cached_property
    def _alike(self) -> dict[tuple[Any, ...], list[Row]]:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(_key(row), []).append(row)
        return groups


def _key(row: Row) -> tuple[Any, ...]:
    """Equal for rows whose images can be compared one by one."""
    return (row.data, row.scale, *sorted(row.protocol.items()))
