"""A model and a data set become measured rows, each with the protocol that produced it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from restore.data import ImagePair, find_images, pairs
from restore.errors import UsageError
from restore.inference import Restorer
from restore.interfaces import Degrade, Metric, parse
from restore.registry import Registry

__all__ = ["Dataset", "Meter", "Row", "dataset", "evaluate", "meters"]


@dataclass(frozen=True)
class Meter:
    """A metric, built for one scale."""

    name: str
    measure: Metric
    protocol: str
    unit: str = ""
    digits: int = 4


@dataclass(frozen=True)
class Dataset:
    """Where the images come from and how the inputs were made."""

    name: str
    targets: Path
    scale: int
    degrade: Degrade
    protocol: str
    degraded: Path | None = None

    def __len__(self) -> int:
        """Images in the folder."""
        return len(find_images([self.targets]))

    def pairs(self) -> Iterable[ImagePair]:
        """The images, read anew each time."""
        return pairs(self.targets, self.scale, self.degrade, self.degraded)


@dataclass(frozen=True)
class Row:
    """What one model did on one data set."""

    model: str
    data: str
    scale: int
    images: int
    figures: Mapping[str, float]
    """Means over the images."""
    seconds: float
    """Restoring only, all images together."""
    protocol: Mapping[str, str]
    """How the inputs were made, and what each figure means."""
    each: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Image -> metric -> figure."""

    def to_json(self) -> dict[str, Any]:
        """Flat: one key a figure."""
        content = asdict(self)
        return {**content.pop("figures"), **content}


def meters(names: Iterable[str], registry: Registry, scale: int) -> list[Meter]:
    """Build metrics by name.

    Raises:
        UnknownNameError: no such metric.
    """
    built = []
    for name in names:
        spec = registry.metrics[name]
        options = parse(spec.options, {}, f"metric '{name}'")
        built.append(
            Meter(name, spec.build(scale, options), spec.protocol(scale, options), spec.unit, spec.digits)
        )
    return built


def dataset(
    targets: Path,
    registry: Registry,
    scale: int,
    *,
    degraded: Path | None = None,
    degradation: str = "bicubic",
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """A folder of targets, with a folder of inputs or a degradation that makes them.

    Args:
        targets: folder of target images.
        registry: where to look for the degradation.
        scale: target pixels per input pixel.
        degraded: folder of inputs with the names of the targets.
        degradation: makes the inputs where there is no such folder.
        options: of the degradation.

    Raises:
        UnknownNameError: no such degradation.
        UsageError: `degraded` is not a folder.
    """
    spec = registry.degradations[degradation]
    parsed = parse(spec.options, options or {}, f"degradation '{degradation}'")
    if degraded is not None and not degraded.is_dir():
        raise UsageError(f"there is no folder '{degraded}' for --degraded")
    protocol = f"given files ({degraded.name})" if degraded else spec.protocol(scale, parsed)
    return Dataset(_short(targets), targets, scale, spec.build(scale, parsed), protocol, degraded)


def _short(folder: Path) -> str:
    """The last two names of a path: enough to tell data sets apart, and nothing about the machine."""
    return "/".join(folder.resolve().parts[-2:])


def evaluate(
    restorer: Restorer,
    data: Dataset,
    with_meters: Iterable[Meter],
    on_image: Callable[[int], None] | None = None,
) -> Row:
    """Restore each image of `data` and measure the result, rounded to 8 bits as a file would be.

    Args:
        restorer: the model.
        data: the images.
        with_meters: what to measure.
        on_image: called with the number of images done.

    Raises:
        DataError: a target has no partner, or one of the wrong size.
        ImageError: a file cannot be read.
    """
    used = list(with_meters)
    each: dict[str, dict[str, float]] = {}
    seconds = 0.0
    for pair in data.pairs():
        begin = time.perf_counter()
        restored = restorer.restore(pair.degraded)
        seconds += time.perf_counter() - begin
        each[pair.name] = {meter.name: meter.measure(restored, pair.target, gray=pair.gray) for meter in used}
        if on_image:
            on_image(len(each))
    means = {meter.name: fmean(image[meter.name] for image in each.values()) for meter in used}
    protocol = {"inputs": data.protocol} | {meter.name: meter.protocol for meter in used}
    return Row(restorer.model.reference, data.name, data.scale, len(each), means, seconds, protocol, each)
