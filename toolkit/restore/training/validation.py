"""Validation of the averaged generator on held-out images: metrics and a sample image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor

from restore.data import ImagePair
from restore.errors import DataError
from restore.evaluation import Meter, evaluate, failure_reason
from restore.images import Photo, write_atomic
from restore.inference import Restorer
from restore.resizing import imresize
from restore.training.processes import ProcessGroup
from restore.training.session import Session
from restore.training.setup import TrainingSetup

__all__ = ["SAMPLES", "Validation", "crops", "forget_samples", "sample_file", "strip"]

SAMPLES = "samples"
"""Folder of the sample images, in the folder of a run."""

_IMAGES = 6
_SIDE = 128  # of a crop, in target pixels


class Validation:
    """Measures a session and writes its sample image, on rank 0.

    Args:
        setup: of the session; without a validation folder, it cannot be called.
        run: folder of the run.
        group: all processes; they build the validation together.

    Raises:
        RestoreError: a metric cannot load what it needs.
    """

    def __init__(self, setup: TrainingSetup, run: Path, group: ProcessGroup) -> None:
        plan = setup.validation
        self.setup = setup
        self.run = run
        self.meters = (group.on_rank_zero(plan.make_meters) if plan.sets else None) or []
        self.lower = [meter.name for meter in self.meters if meter.better == "lower"]
        """Names of the metrics of which lower values are better."""
        self._crops: list[tuple[Tensor, Tensor]] = []

    def check(self) -> None:
        """Measure the smallest images, enlarged bicubically, by each metric of single images.

        Raises:
            DataError: a metric fails on one.
            ImageError: a file cannot be read.
        """
        for data, file in self.setup.validation.smallest:
            sample = data.sample(file)
            target = sample.degraded if sample.target is None else sample.target
            enlarged = imresize(sample.degraded, (target.shape[-2], target.shape[-1]))
            for meter in self.meters:
                try:
                    if isinstance(meter, Meter):
                        meter.measure(enlarged, target, gray=sample.gray)
                except Exception as error:  # whatever the code of a plugin can raise
                    raise DataError(
                        f"the metric '{meter.name}' cannot measure it ({failure_reason(error)})",
                        path=file,
                        hint="remove the image from the folder, or omit the metric",
                    ) from error

    def __call__(self, session: Session) -> dict[str, float]:
        """Write the samples of this step, and measure each validation folder.

        Returns:
            Folder and metric -> value.

        Raises:
            DataError: a folder cannot be used.
            ImageError: a file cannot be read, or the samples cannot be written.
        """
        setup, device = self.setup, session.group.fabric.device
        model = setup.trained(session.average.module)
        restorer = Restorer(model, device=str(device), precision=setup.config.precision)
        self._crops = self._crops or list(crops(setup))  # read once: all steps show the same crops
        write_atomic(Photo(strip(self._crops, restorer)), sample_file(self.run, session.step))
        rows = [evaluate(restorer, data, self.meters).complete() for data in setup.validation.sets]
        return {f"{row.data} {name}": value for row in rows for name, value in row.means.items()}


def crops(setup: TrainingSetup) -> Iterator[tuple[Tensor, Tensor]]:
    """The centers of the first six validation images by name.

    Yields:
        ``(1, 3, h, w)`` degraded and ``(1, 3, scale*h, scale*w)`` target, at most 128 target pixels wide and
        high.
    """
    scale = setup.config.scale
    pairs = chain.from_iterable(data.pairs() for data in setup.validation.sets)
    for pair in islice(pairs, _IMAGES):
        yield _center(pair, max(_SIDE // scale, 1), scale)


def strip(pairs: list[tuple[Tensor, Tensor]], restorer: Restorer) -> Tensor:
    """One image of all crops, each a column of three: its input enlarged bicubically, restored, target.

    Args:
        pairs: what `crops` yields, at least one.
        restorer: runs the model; it sees nothing outside a crop.

    Returns:
        ``(1, 3, H, W)``, white where a crop is smaller than the others.
    """
    height, width = (max(target.shape[axis] for _, target in pairs) for axis in (-2, -1))
    picture = torch.ones(1, 3, 3 * height, width * len(pairs))
    for column, (degraded, target) in enumerate(pairs):
        size = (target.shape[-2], target.shape[-1])
        for row, image in enumerate([imresize(degraded, size), restorer.restore(degraded), target]):
            top, left = row * height, column * width
            picture[..., top : top + size[0], left : left + size[1]] = image
    return picture


def sample_file(run: Path, step: int) -> Path:
    """The sample image of a step."""
    return run / SAMPLES / f"{step:08}.png"


def forget_samples(run: Path, step: int) -> None:
    """Remove the sample images of the steps after the checkpoint from which a run is resumed."""
    for file in (run / SAMPLES).glob("*.png"):
        if file.stem.isdecimal() and int(file.stem) > step:
            file.unlink()


def _center(pair: ImagePair, side: int, scale: int) -> tuple[Tensor, Tensor]:
    """The middle of an image, at most `side` input pixels wide and high."""
    height, width = (min(length, side) for length in pair.degraded.shape[-2:])
    top, left = (pair.degraded.shape[-2] - height) // 2, (pair.degraded.shape[-1] - width) // 2
    degraded = pair.degraded[..., top : top + height, left : left + width]
    top, left, height, width = (length * scale for length in (top, left, height, width))
    # Copies, because a view would keep the whole image in memory.
    return degraded.clone(), pair.target[..., top : top + height, left : left + width].clone()
