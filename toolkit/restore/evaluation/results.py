"""Results of an evaluation: plain data, with everything that a report needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

from restore.errors import DataError, UsageError, escaped
from restore.evaluation.bootstrap import Difference, paired
from restore.evaluation.meters import Meter

__all__ = ["Cost", "Measured", "Result", "Row"]


@dataclass(frozen=True)
class Measured:
    """The result of one model on one image."""

    name: str
    """Name of the target below its folder."""
    target: Path
    degraded: Path | None
    """The given input; ``None`` if it was made from the target."""
    size: tuple[int, int]
    """Width and height of the result in pixels."""
    values: Mapping[str, float]
    """Metric -> value."""
    seconds: float
    """Time of restoring, without reading and measuring."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dictionary; names are escaped."""
        degraded = escaped(str(self.degraded)) if self.degraded else None
        return asdict(self) | {
            "name": escaped(self.name),
            "target": escaped(str(self.target)),
            "degraded": degraded,
        }


@dataclass(frozen=True)
class Cost:
    """Parameters, multiply-adds and peak memory of a model."""

    parameters: int
    multiply_adds: float | None
    """Per pixel of the result; ``None`` where they cannot be counted."""
    peak_memory: int | None
    """Bytes in tensors while the largest image is restored; ``None`` if they cannot be measured, as with
    another engine."""


@dataclass(frozen=True)
class Row:
    """The results of one model on one data set."""

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
        """Metric -> mean over the images of these names; NaN if there is none."""
        chosen = set(names)
        images = [image for image in self.images if image.name in chosen]
        metrics = [name for name in self.protocol if name != "inputs"]
        return {
            metric: fmean(image.values[metric] for image in images) if images else nan for metric in metrics
        }

    def complete(self) -> Row:
        """Return the row itself.

        Raises:
            DataError: an image could not be measured; says why the first one could not.
        """
        for reason in self.failures.values():
            raise DataError(reason)
        return self


@dataclass(frozen=True)
class Result:
    """Rows of any number of models and data sets, with the differences between the models.

    Means and differences are over the images of a data set that every model restored.

    Raises:
        UsageError: no row is of the model `against`.
    """

    rows: tuple[Row, ...]
    meters: tuple[Meter, ...]
    against: str
    """The model that the others are compared with."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""

    def __post_init__(self) -> None:
        models = list(dict.fromkeys(row.model for row in self.rows))
        if self.against not in models:
            raise UsageError(f"'{self.against}' of `against` is none of the models: {', '.join(models)}")

    def by_protocol(self) -> list[list[Row]]:
        """The rows whose values may share a column, in the order of their first rows."""
        return list(self._grouped(_protocol).values())

    def by_data(self) -> list[list[Row]]:
        """The rows whose images can be compared one by one: of one data set, scale and protocol."""
        return list(self._alike.values())

    def common(self, row: Row) -> list[str]:
        """Names of the images that every model restored, on the data set and by the protocol of `row`."""
        restored = [{image.name for image in other.images} for other in self._alike[_data(row)]]
        return sorted(set.intersection(*restored))

    def left_out(self, row: Row) -> list[str]:
        """Names of the images that not every model restored, on the data set of `row`."""
        rows = self._alike[_data(row)]
        tried = {name for one in rows for name in (*one.failures, *(image.name for image in one.images))}
        return sorted(tried.difference(self.common(row)))

    def means(self, row: Row) -> dict[str, float]:
        """Metric -> mean over the `common` images."""
        return row.means_over(self.common(row))

    def differences(self, row: Row) -> dict[str, Difference]:
        """Metric -> by how much `row` is above the model `against`, image by image.

        Empty for that model itself, and where fewer than two images can be compared.
        """
        reference = next((other for other in self._alike[_data(row)] if other.model == self.against), row)
        names = self.common(row)
        if reference is row or len(names) < 2:
            return {}
        first, second = ({image.name: image for image in one.images} for one in (reference, row))
        return {
            meter.name: paired(
                [first[name].values[meter.name] for name in names],
                [second[name].values[meter.name] for name in names],
            )
            for meter in self.meters
        }

    def row_json(self, row: Row) -> dict[str, Any]:
        """Return a JSON-serializable dictionary: means over the `common` images, differences, each image."""
        return {
            "model": escaped(row.model),
            "data": escaped(row.data),
            "scale": row.scale,
            "values": self.means(row),
            "over": [escaped(name) for name in self.common(row)],
            "against": escaped(self.against),
            "differences": {name: asdict(found) for name, found in self.differences(row).items()},
            "seconds": row.seconds,
            "megapixels_per_second": row.megapixels_per_second,
            "cost": asdict(row.cost) if row.cost else None,
            "settings": dict(row.settings),
            "protocol": {name: escaped(text) for name, text in row.protocol.items()},
            "versions": dict(self.versions),
            "images": [image.to_json() for image in row.images],
            "failures": {escaped(name): escaped(reason) for name, reason in row.failures.items()},
        }

    def to_json(self) -> dict[str, Any]:
        """The whole as JSON: ``{"against", "versions", "metrics", "rows": [row_json, ...]}``."""
        return {
            "against": escaped(self.against),
            "versions": dict(self.versions),
            "metrics": {
                meter.name: {"unit": meter.unit, "better": meter.better, "digits": meter.digits}
                for meter in self.meters
            },
            "rows": [self.row_json(row) for row in self.rows],
        }

    @cached_property
    def _alike(self) -> dict[Hashable, list[Row]]:
        return self._grouped(_data)

    def _grouped(self, key: Callable[[Row], Hashable]) -> dict[Hashable, list[Row]]:
        groups: dict[Hashable, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(key(row), []).append(row)
        return groups


def _protocol(row: Row) -> Hashable:
    return (row.scale, *sorted(row.protocol.items()))


def _data(row: Row) -> Hashable:
    return (row.data, _protocol(row))
