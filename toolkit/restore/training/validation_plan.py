"""What a validation measures: the images and metrics, checked before the run starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from pathlib import Path

from restore.config import TrainingConfig
from restore.data import check_images, combined, find_images, find_pairs, fingerprint
from restore.errors import DataError, OptionsError, UsageError, nearest
from restore.evaluation import AnyMeter, Better, Dataset, check_meters, dataset, meters, set_meters
from restore.registry import Registry
from restore.training.best import watched_metrics
from restore.training.sources import check_counts

__all__ = ["ValidationPlan", "plan_validation"]


@dataclass(frozen=True)
class ValidationPlan:
    """The data sets and metrics of the validations of a run."""

    sets: list[Dataset]
    """None if the run is not validated."""
    smallest: list[tuple[Dataset, Path]]
    """The targets of each set with the shortest side and with the fewest pixels."""
    make_meters: Callable[[], list[AnyMeter]]
    """Builds the metrics, which can take a while."""
    watched: dict[str, Better]
    """Metrics whose best values are tracked -> which values are better."""
    fingerprint: str
    """Hash of the images; empty where nothing depends on them."""


def plan_validation(config: TrainingConfig, registry: Registry) -> ValidationPlan:
    """Find and check the images and metrics of the validations.

    Raises:
        UsageError: the settings contradict each other, name something unknown, or two folders have the same
            name.
        DataError: a folder or an image cannot be used.
    """
    watched, options = watched_metrics(config), config.metric_options
    names = list(dict.fromkeys([*config.metric, *watched]))
    better = check_meters(names, registry, options)
    unused = next((name for name in options if name not in names), None)
    if unused is not None:
        raise OptionsError(
            f"`metric_options` are given for '{unused}', which is not measured.{nearest(unused, names)}",
            hint="add it to `metric`",
        )

    def make() -> list[AnyMeter]:
        of_images = meters(names, registry, config.scale, options=options, targets=config.val)
        return [*of_images, *set_meters(names, registry, config.scale, options=options)]

    sets, smallest, groups = _sets(config, registry)
    return ValidationPlan(
        sets,
        smallest,
        make,
        {name: better[name] for name in watched},
        combined([fingerprint(files) for files in groups]) if watched else "",
    )


def _sets(
    config: TrainingConfig, registry: Registry
) -> tuple[list[Dataset], list[tuple[Dataset, Path]], list[list[Path]]]:
    """The data sets, their smallest images, and a list of files for each folder of targets or inputs."""
    check_counts(config.val, config.val_degraded, "val")
    found, smallest, groups = list[Dataset](), list[tuple[Dataset, Path]](), list[list[Path]]()
    for folder, degraded in zip_longest(config.val, config.val_degraded):
        partners = dict[Path, Path]()
        if degraded:
            partners, sizes = find_pairs(folder, degraded, config.scale)
        else:
            sizes = check_images(find_images([folder]))
        for file, size in sizes.items():
            if min(size) < config.scale:
                raise DataError(
                    f"a short side of {min(size)} pixels is too small for validation at scale {config.scale}",
                    path=file,
                    hint="remove the image from the folder",
                )
        groups += [list(sizes), *([list(partners.values())] if partners else [])]
        found.append(
            dataset(
                folder,
                registry,
                config.scale,
                degraded=degraded,
                degradation=config.degradation,
                options=config.degradation_options,
            )
        )
        least = min(sizes, key=lambda file: min(sizes[file])), min(sizes, key=lambda file: prod(sizes[file]))
        smallest += [(found[-1], file) for file in dict.fromkeys(least)]
    for name, count in Counter(data.name for data in found).items():
        if count > 1:
            raise UsageError(f"{count} folders in `val` have the name '{name}'", hint="rename or omit one")
    return found, smallest, groups
