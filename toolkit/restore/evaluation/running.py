"""A model and a data set become a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from torch import Tensor

from restore.data import ImagePair
from restore.errors import RestoreError
from restore.evaluation.cost import cost
from restore.evaluation.datasets import Dataset
from restore.evaluation.meters import Meter
from restore.evaluation.results import Measured, Row
from restore.inference import Restorer

__all__ = ["evaluate"]

_WARM_UP = 32  # input pixels


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
        data: the images. One that cannot be measured is among the row's failures, with its reason.
        with_meters: what to measure.
        on_image: called with the number of images that are behind.
        with_cost: measure also what the model takes, for which the largest image is restored once more.

    Raises:
        DataError: the folder of targets is missing or holds no image.
    """
    used = list(with_meters)
    images: list[Measured] = []
    failures: dict[str, str] = {}
    largest: Tensor | None = None
    for number, file in enumerate(data.files(), start=1):
        try:
            pair = data.pair(file)
            if not images:
                # What happens only once, such as choosing an algorithm, is not the image's time.
                restorer.restore(pair.degraded[..., :_WARM_UP, :_WARM_UP])
            images.append(_measured(restorer, data, pair, used))
            if with_cost and (largest is None or pair.degraded.numel() > largest.numel()):
                largest = pair.degraded
        except RestoreError as error:
            failures[data.name_of(file)] = str(error)
        if on_image:
            on_image(number)
    return Row(
        model=restorer.model.reference,
        data=data.name,
        scale=data.scale,
        images=tuple(images),
        failures=failures,
        protocol={"inputs": data.protocol} | {meter.name: meter.protocol for meter in used},
        settings=_settings(restorer),
        cost=cost(restorer, largest) if largest is not None else None,
    )


def _measured(restorer: Restorer, data: Dataset, pair: ImagePair, used: list[Meter]) -> Measured:
    begin = time.perf_counter()
    restored = restorer.restore(pair.degraded)
    seconds = time.perf_counter() - begin
    return Measured(
        name=pair.name,
        target=data.targets / pair.name,
        degraded=pair.degraded_file,
        size=(restored.shape[-1], restored.shape[-2]),
        figures={meter.name: meter.measure(restored, pair.target, gray=pair.gray) for meter in used},
        seconds=seconds,
    )


def _settings(restorer: Restorer) -> dict[str, str]:
    precision = restorer.precision
    return {"engine": restorer.engine, "precision": precision, "device": restorer.device.type}
