"""Measure the images of a data set on the workers of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restore.cluster import Cluster, Killed, Recipe, kept, weights_of
from restore.errors import UsageError, escaped
from restore.evaluation.datasets import Dataset, dataset
from restore.evaluation.meters import AnyMeter, Meter, SetMeter, meters
from restore.evaluation.restoring import failure_reason
from restore.evaluation.rows import Measured
from restore.evaluation.running import measured
from restore.inference import AnyRestorer
from restore.registry import discover

__all__ = ["MeterArguments", "spread"]


@dataclass(frozen=True)
class MeterArguments:
    """The arguments of `restore.evaluation.meters`, as data."""

    names: tuple[str, ...]
    options: str
    """As JSON."""
    targets: tuple[str, ...]

    @classmethod
    def of(
        cls, used: Iterable[AnyMeter], options: Mapping[str, Mapping[str, Any]], targets: Iterable[Path]
    ) -> MeterArguments:
        """What workers build the metrics from.

        Args:
            used: the client's metrics.
            options: name -> options of a metric or loss.
            targets: folders of images that a loss may be prepared on.

        Raises:
            UsageError: one of them is a metric of whole sets, for which one process needs all results.
        """
        for meter in used:
            if isinstance(meter, SetMeter):
                raise UsageError(
                    f"'{meter.name}' needs all results in one process", hint="omit `cluster` or the metric"
                )
        names = tuple(meter.name for meter in used)
        known = {name: dict(options[name]) for name in names if name in options}
        places = tuple(str(folder.absolute()) for folder in targets)
        return cls(names, json.dumps(known, sort_keys=True, default=str), places)

    def build(self, scale: int) -> list[Meter]:
        """The metrics for one scale; see `restore.evaluation.meters`."""
        given = json.loads(self.options)
        return meters(self.names, discover(), scale, options=given, targets=list(map(Path, self.targets)))


def spread(
    cluster: Cluster, restorer: AnyRestorer, data: Dataset, metrics: MeterArguments, device: str = "auto"
) -> Callable[[Sequence[Path]], Iterator[tuple[Path, Measured | str]]]:
    """A function that measures files of a data set on a cluster, for `restore.evaluation.evaluate`.

    Args:
        cluster: its workers reach the images under the same paths.
        restorer: the client's model, or several of which one is chosen for each image.
        data: the images.
        metrics: what to measure.
        device: of the workers, as for `restore.inference.load`.

    Returns:
        A function of files, which yields each with its values, or with the reason why it has none.
    """
    work = _Measuring(Recipe.of(restorer, device), _Images.of(data), metrics)

    def on_cluster(files: Sequence[Path]) -> Iterator[tuple[Path, Measured | str]]:
        named = {str(file.absolute()): file for file in files}
        for name, reply in cluster.map(work, named, weights_of(work.model)):
            if isinstance(reply, Killed):
                yield named[name], f"{reply.count} workers ended while they worked on it"
            elif isinstance(reply.value, str):
                reason = reply.value.replace(escaped(name), escaped(str(named[name])))
                yield named[name], f"{reason} (on worker {reply.worker})"
            else:
                yield named[name], _as_named(reply.value, data)

    return on_cluster


@dataclass(frozen=True)
class _Images:
    """The arguments of `restore.evaluation.dataset`, as data."""

    name: str
    targets: str | None
    degraded: str | None
    scale: int
    degradation: str
    options: str
    swept: str

    @classmethod
    def of(cls, data: Dataset) -> _Images:
        return cls(
            data.name,
            str(data.targets.absolute()) if data.targets else None,
            str(data.degraded.absolute()) if data.degraded else None,
            data.scale,
            data.degradation.name,
            json.dumps(dict(data.options), sort_keys=True, default=str),
            json.dumps(dict(data.swept), sort_keys=True, default=str),
        )

    def dataset(self) -> Dataset:
        found = dataset(
            Path(self.targets) if self.targets else None,
            discover(),
            self.scale,
            name=self.name,
            degraded=Path(self.degraded) if self.degraded else None,
            degradation=self.degradation,
            options=json.loads(self.options),
        )
        return replace(found, swept=json.loads(self.swept))


@dataclass
class _Tools:
    """What a thread of a worker measures with."""

    restorer: AnyRestorer
    data: Dataset
    meters: list[Meter]
    warm: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Measuring:
    """What a worker does with a file."""

    model: Recipe
    images: _Images
    metrics: MeterArguments

    def __call__(self, file: str, contents: Mapping[str, bytes]) -> Measured | str:
        tools = kept(self, lambda: self._tools(contents))
        try:
            return measured(tools.restorer, tools.data.sample(Path(file)), tools.meters, warm=tools.warm)
        except Exception as error:  # as in `evaluate`
            return failure_reason(error)

    def _tools(self, contents: Mapping[str, bytes]) -> _Tools:
        return _Tools(
            self.model.restorer(contents), self.images.dataset(), self.metrics.build(self.images.scale)
        )


def _as_named(found: Measured, data: Dataset) -> Measured:
    """With the paths that the client uses."""

    def named(file: Path | None, folder: Path | None) -> Path | None:
        return folder / file.relative_to(folder.absolute()) if file and folder else file

    return replace(
        found, target=named(found.target, data.targets), degraded=named(found.degraded, data.degraded)
    )
