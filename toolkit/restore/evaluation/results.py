"""Results of an evaluation: rows, and the differences between the models."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from restore.errors import UsageError, escaped
from restore.evaluation.bootstrap import Difference, paired
from restore.evaluation.meters import AnyMeter, Meter
from restore.evaluation.rows import Row

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """Rows of any number of models and data sets, with the differences between the models.

    Means and differences are over the images of a data set that every model restored.

    Raises:
        UsageError: no row is of the model `against`.

    Example:
        >>> row = Row("bicubic", "Set5", 4, images=(), failures={}, protocol={})
        >>> result = Result((row,), meters=(), against="bicubic")
        >>> result.title(row)
        'Set5'
    """

    rows: tuple[Row, ...]
    meters: tuple[AnyMeter, ...]
    against: str
    """The model that the others are compared with."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""

    def __post_init__(self) -> None:
        models = list(dict.fromkeys(row.model for row in self.rows))
        if self.against not in models:
            raise UsageError(f"'{self.against}' of `against` is none of the models: {', '.join(models)}")

    @property
    def image_meters(self) -> list[Meter]:
        """The metrics of single images."""
        return [meter for meter in self.meters if isinstance(meter, Meter)]

    def by_protocol(self) -> list[list[Row]]:
        """The rows whose values may share a column, in the order of their first rows."""
        return list(self._grouped(_protocol).values())

    def by_data(self) -> list[list[Row]]:
        """The rows whose images can be compared one by one: of one data set, scale and protocol."""
        return list(self._alike.values())

    def inputs_title(self, row: Row) -> str:
        """How the inputs of `row` are made; empty where those of all rows are made in one way."""
        return row.inputs if len({other.inputs for other in self.rows}) > 1 else ""

    def title(self, row: Row) -> str:
        """The data set of `row`, and how its inputs are made where that differs between rows."""
        return ", ".join(filter(None, (row.data, self.inputs_title(row))))

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
        """Metric -> mean over the `common` images; NaN for a metric of sets where others were measured."""
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
            for meter in self.image_meters
        }

    def failures(self) -> list[str]:
        """One sentence for each image and each metric of sets that could not be measured, and each reason."""
        reasons: dict[tuple[str, str, str], list[str]] = {}
        for row in self.rows:
            for name, reason in (*row.failures.items(), *row.set_failures.items()):
                reasons.setdefault((self.title(row), name, reason), []).append(row.model)
        models = len({row.model for row in self.rows})
        sentences = []
        for (title, name, reason), failed in reasons.items():
            who = "" if len(failed) == models else f"{', '.join(failed)}: "
            sentences.append(f"{title}: {name}: {who}{reason}")
        return sentences

    def row_json(self, row: Row) -> dict[str, Any]:
        """Return a JSON-serializable dictionary: means over the `common` images, differences, each image."""
        return {
            "model": escaped(row.model),
            "data": escaped(row.data),
            "scale": row.scale,
            "degradation": row.degradation,
            "swept": dict(row.swept),
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
            "set_failures": {name: escaped(reason) for name, reason in row.set_failures.items()},
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
