"""Evaluate a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from restore.data import ImagePair
from restore.evaluation.cost import cost
from restore.evaluation.datasets import Dataset
from restore.evaluation.meters import Meter
from restore.evaluation.restoring import failure_reason, settings, timed, warm_up
from restore.evaluation.rows import Measured, Row
from restore.inference import Restorer

__all__ = ["evaluate"]


def evaluate(
    restorer: Restorer,
    data: Dataset,
    with_meters: Iterable[Meter],
    on_image: Callable[[int], None] | None = None,
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
        DataError: the folder of targets is missing or has no image.
    """
    used = list(with_meters)
    images: list[Measured] = []
    failures: dict[str, str] = {}
    largest: Tensor | None = None
    for number, file in enumerate(data.files(), start=1):
        try:
            pair = data.pair(file)
            if not images:
                warm_up(restorer, pair.degraded)
            images.append(_measured(restorer, data, pair, used))
            if with_cost and (largest is None or pair.degraded.numel() > largest.numel()):
                largest = pair.degraded
        except Exception as error:  # a plugin's network or metric can raise anything; the other images go on
            failures[data.name_of(file)] = failure_reason(error)
        if on_image:
            on_image(number)
    return Row(
        model=restorer.model.reference,
        data=data.name,
        scale=data.scale,
        images=tuple(images),
        failures=failures,
        protocol={"inputs": data.protocol} | {meter.name: meter.protocol for meter in used},
        settings=settings(restorer),
        cost=cost(restorer, largest) if largest is not None else None,
        degradation=data.degradation.name if data.degraded is None else "",
        swept=data.swept,
    )


def _measured(restorer: Restorer, data: Dataset, pair: ImagePair, meters: Sequence[Meter]) -> Measured:
    restored, seconds = timed(restorer, pair.degraded)
    return Measured(
        name=pair.name,
        target=data.targets / pair.name,
        degraded=pair.degraded_file,
        size=(restored.shape[-1], restored.shape[-2]),
        values={meter.name: meter.measure(restored, pair.target, gray=pair.gray) for meter in meters},
        seconds=seconds,
        parameters=data.parameters(pair),
    )
