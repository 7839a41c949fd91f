"""Evaluate a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import nan

from torch import Tensor

from restore.evaluation.cost import cost
from restore.evaluation.datasets import Dataset, Sample
from restore.evaluation.meters import AnyMeter, Meter, SetMeter
from restore.evaluation.restoring import failure_reason, settings, timed, warm_up
from restore.evaluation.rows import Measured, Row
from restore.inference import Restorer
from restore.interfaces import SetMetric

__all__ = ["evaluate"]


def evaluate(
    restorer: Restorer,
    data: Dataset,
    with_meters: Iterable[AnyMeter],
    on_image: Callable[[int], None] = lambda _: None,
    *,
    with_cost: bool = False,
) -> Row:
    """Restore each image of `data` and measure the result, rounded to 8 bits as a file would be.

    Args:
        restorer: the model.
        data: the images. One that cannot be restored or measured, whatever is raised, is listed in the row's
            failures with its reason.
        with_meters: the metrics.
        on_image: called with the number of images that are finished.
        with_cost: also measure parameters, multiply-adds and memory; restores the largest image once more.

    Raises:
        DataError: the folder is missing or has no image.
    """
    used = list(with_meters)
    sets = [_SetMeasurement(meter) for meter in used if isinstance(meter, SetMeter)]
    images: list[Measured] = []
    failures: dict[str, str] = {}
    largest: Tensor | None = None  # input
    for number, file in enumerate(data.files(), start=1):
        try:
            sample = data.sample(file)
            if not images:
                warm_up(restorer, sample.degraded)
            images.append(_measured(restorer, sample, used, sets))
            largest = max((largest, sample.degraded), key=_pixels)
        except Exception as error:  # a plugin's network or metric can raise anything; the other images go on
            failures[data.name_of(file)] = failure_reason(error)
        on_image(number)
    return Row(
        model=restorer.model.reference,
        data=data.name,
        scale=data.scale,
        images=tuple(images),
        failures=failures,
        protocol={"inputs": data.protocol} | {meter.name: meter.protocol for meter in used},
        settings=settings(restorer),
        cost=cost(restorer, largest) if with_cost and largest is not None else None,
        degradation="" if data.degraded else data.degradation.name,
        swept=data.swept,
        of_set={one.name: one.value() for one in sets},
        set_failures={one.name: one.failure for one in sets if one.failure},
    )


def _pixels(image: Tensor | None) -> int:
    return 0 if image is None else image.numel()


def _measured(
    restorer: Restorer,
    sample: Sample,
    meters: Sequence[AnyMeter],
    sets: Sequence[_SetMeasurement],
) -> Measured:
    restored, seconds = timed(restorer, sample.degraded)
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
        seconds=seconds,
        parameters=sample.parameters,
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
