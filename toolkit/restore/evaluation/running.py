"""Evaluate a model on a data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path

from torch import Tensor

from restore.evaluation.cost import cost
from restore.evaluation.datasets import Dataset, EvaluationSample
from restore.evaluation.meters import AnyMeter, Meter, SetMeter
from restore.evaluation.restoring import failure_reason, selected, settings, timed, warm_up
from restore.evaluation.rows import Cost, Measured, Row
from restore.inference import AnyRestorer, Restorer
from restore.interfaces import SetMetric

__all__ = ["evaluate", "measured"]


def evaluate(
    restorer: AnyRestorer,
    data: Dataset,
    with_meters: Iterable[AnyMeter],
    on_image: Callable[[int], None] = lambda _: None,
    *,
    with_cost: bool = False,
    measure: Callable[[Sequence[Path]], Iterable[tuple[Path, Measured | str]]] | None = None,
) -> Row:
    """Restore each image of `data` and measure the result, rounded to 8 bits as a file would be.

    Args:
        restorer: the model, or several of which one is chosen for each image.
        data: the images. One that cannot be restored or measured, whatever is raised, is listed in the row's
            failures with its reason.
        with_meters: the metrics.
        on_image: called with the number of images that are finished.
        with_cost: also measure parameters, multiply-adds and memory; restores the largest image once more.
        measure: measures files and yields each with its values, or the reason why it has none, in any order;
            `None` restores one after the other in this process.

    Raises:
        DataError: the folder is missing or has no image.
    """
    used = list(with_meters)
    sets = [_SetMeasurement(meter) for meter in used if isinstance(meter, SetMeter)]
    files = data.files()
    found: dict[Path, Measured | str] = {}
    results = measure(files) if measure else _one_by_one(restorer, data, files, used, sets)
    for number, (file, result) in enumerate(results, start=1):
        found[file] = result
        on_image(number)
    images = {file: result for file in files if isinstance(result := found[file], Measured)}
    return Row(
        model=restorer.reference,
        data=data.name,
        scale=data.scale,
        images=tuple(images.values()),
        failures={data.name_of(file): text for file in files if isinstance(text := found[file], str)},
        protocol={"inputs": data.protocol} | {meter.name: meter.protocol for meter in used},
        settings=settings(restorer),
        cost=_cost(restorer, _largest(data, images)) if with_cost and images else None,
        degradation="" if data.degraded else data.degradation.name,
        swept=data.swept,
        of_set={one.name: one.value() for one in sets},
        set_failures={one.name: one.failure for one in sets if one.failure},
    )


def _cost(restorer: AnyRestorer, largest: Tensor) -> Cost | None:
    """The cost of a model; of several, which have no common one, `None`."""
    return cost(restorer, largest) if isinstance(restorer, Restorer) else None


def _largest(data: Dataset, images: Mapping[Path, Measured]) -> Tensor:
    """The input of the largest image, ``(1, 3, H, W)``, read once more."""
    file = max(images, key=lambda file: images[file].size[0] * images[file].size[1])
    return data.sample(file).degraded


def _one_by_one(
    restorer: AnyRestorer,
    data: Dataset,
    files: Sequence[Path],
    meters: Sequence[AnyMeter],
    sets: Sequence[_SetMeasurement],
) -> Iterator[tuple[Path, Measured | str]]:
    warm = set[str]()
    for file in files:
        try:
            found = measured(restorer, data.sample(file), meters, sets, warm=warm)
        except Exception as error:  # a plugin's network or metric can raise anything; the other images go on
            yield file, failure_reason(error)
        else:
            yield file, found


def measured(
    restorer: AnyRestorer,
    sample: EvaluationSample,
    meters: Sequence[AnyMeter],
    sets: Sequence[_SetMeasurement] = (),
    *,
    warm: set[str],
) -> Measured:
    """Restore one image and measure the result.

    Args:
        restorer: the model, or several of which one is chosen for each image.
        sample: the image.
        meters: the metrics, of which those of whole sets are left out.
        sets: metrics of whole sets, which get the result.
        warm: the models that have restored an image before, to which this adds.
    """
    begin = time.perf_counter()
    how = selected(restorer, sample.degraded, sample.degraded_file)
    choosing = time.perf_counter() - begin
    if how.restorer and how.restorer.reference not in warm:
        warm_up(how.restorer, sample.degraded)
        warm.add(how.restorer.reference)
    restored, seconds = timed(how, sample.degraded)
    target = restored if sample.target is None else sample.target
    values = {
        meter.name: meter.measure(restored, target, gray=sample.gray)
        for meter in meters
        if isinstance(meter, Meter)
    }
    for one in sets:
        one.add(restored, target, gray=sample.gray)
    return Measured(
        name=sample.name,
        target=sample.target_file,
        degraded=sample.degraded_file,
        size=(restored.shape[-1], restored.shape[-2]),
        values=values,
        seconds=choosing + seconds,
        parameters=sample.parameters,
        choice=how.choice,
    )


class _SetMeasurement:
    """Collects the results for a metric of whole sets, whose failure never ends the others."""

    def __init__(self, meter: SetMeter) -> None:
        self.name = meter.name
        self.failure = ""
        self._metric: SetMetric | None = None
        self._meter = meter

    def add(self, restored: Tensor, target: Tensor, *, gray: bool) -> None:
        """Add one result; after a failure nothing is added."""
        if self.failure:
            return
        try:
            self._metric = self._metric or self._meter.start()
            self._metric.update(restored, target, gray=gray)
        except Exception as error:  # a plugin can raise anything
            self.failure = failure_reason(error)

    def value(self) -> float:
        """The value over all results; NaN without results or after a failure."""
        if self._metric is None or self.failure:
            return nan
        try:
            return self._metric.compute()
        except Exception as error:  # a plugin can raise anything
            self.failure = failure_reason(error)
            return nan
