"""The images of a run: which files they are, how their inputs are made, and whether they can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restore.config import Source, TrainingConfig
from restore.data import (
    Degradation,
    DegradedFiles,
    ImageCache,
    Mixture,
    Patches,
    Samples,
    check_alignment,
    check_images,
    combined,
    cut_off_images,
    find_augmentations,
    find_degradation,
    find_images,
    find_pairs,
    fingerprint,
    usable,
)
from restore.errors import UsageError, escaped
from restore.registry import Registry

__all__ = [
    "TrainingImages",
    "check_counts",
    "training_images",
]


@dataclass(frozen=True)
class TrainingImages:
    """The training samples of a run."""

    samples: Samples
    skipped: list[Path]
    """Images smaller than the patch."""
    cut_off: list[Path]
    """Images of which a part is missing; they are trained on."""
    fingerprint: str
    """Hash of all files, those of degraded images included."""

    @property
    def sources(self) -> list[Patches]:
        """The sources of the samples."""
        return self.samples.sources if isinstance(self.samples, Mixture) else [self.samples]

    def __str__(self) -> str:
        """Describe how many images there are."""
        given = sum(len(source.degraded) for source in self.sources)
        made = len(self.samples.files) - given
        parts = [f"{made} images"] if made else []
        parts += [f"{given} pairs of files"] if given else []
        return " and ".join(parts)

    def misaligned(self) -> list[str]:
        """Sentences about degraded images that do not fit their targets; see `check_alignment`."""
        return [
            sentence
            for source in self.sources
            if source.degraded
            for sentence in check_alignment(
                list(zip(source.files, source.degraded, strict=True)), source.scale
            )
        ]


def training_images(
    config: TrainingConfig, patch: int, conditions: Sequence[str], registry: Registry, *, loaders: int = 1
) -> TrainingImages:
    """Find and check the training images.

    Args:
        config: of the run.
        patch: side of the target in pixels.
        conditions: names of the numbers that the model takes.
        registry: where to look up degradations and augmentations.
        loaders: processes on this machine that load images, which divide the cache among them.

    Raises:
        UsageError: the settings contradict each other, or name something unknown.
        DataError: a folder cannot be used, or an image has no partner or one of the wrong size.
    """
    _check(config, conditions, registry)
    augmentations = find_augmentations(config.augmentations, registry, config.augmentation_options)
    cache = ImageCache(int(config.cache_gib * 2**30) // loaders)
    found, skipped = list[Patches](), list[Path]()
    for number, source in enumerate(config.sources):
        files, degraded, small = _files(source, config.scale, patch)
        skipped += small
        inputs = degraded or _degradation(source, config, registry)
        found.append(
            Patches(
                files,
                patch,
                inputs,
                seed=_seed(config.seed, number),
                augmentations=augmentations,
                conditions=conditions,
                cache=cache,
            )
        )
    weights = [source.weight for source in config.sources]
    samples = found[0] if len(found) == 1 else Mixture(found, weights, config.seed)
    prints = [combined([fingerprint(part) for part in (each.files, each.degraded) if part]) for each in found]
    cut_off = [file for each in found for file in cut_off_images([*each.files, *each.degraded])]
    return TrainingImages(samples, skipped, cut_off, combined(prints))


def check_counts(targets: Sequence[Path], degraded: Sequence[Path], name: str) -> None:
    """Check that there are as many folders of degraded images as of targets, or none.

    Args:
        targets: folders of targets.
        degraded: folders of degraded images.
        name: parameter of the targets.

    Raises:
        UsageError: there are more or fewer.
    """
    if degraded and len(degraded) != len(targets):
        other = "degraded" if name == "data" else f"{name}_degraded"
        raise UsageError(
            f"`{other}` has {len(degraded)} folders for {len(targets)} of `{name}`", hint="give one for each"
        )


def _check(config: TrainingConfig, conditions: Sequence[str], registry: Registry) -> None:
    """Refuse settings that contradict each other."""
    if config.source and (config.data or config.degraded):
        raise UsageError("`data` and `source` are both given", hint="give `data` as another `source`")
    if not config.source and not config.data:
        raise UsageError("there are no training images", hint="set `data` or `source`")
    for source in config.sources:
        check_counts(source.data, source.degraded, "data")
        if source.degraded and source.degradation:
            raise UsageError(
                f"a source has degraded images in '{escaped(str(source.degraded[0]))}' and the degradation "
                f"'{source.degradation}'",
                hint="omit one of them",
            )
    _check_degradation_of_run(config, registry)
    if not conditions:
        return
    mixing = [name for name in config.augmentations if registry.augmentations[name].needs_partner]
    if mixing:
        raise UsageError(
            f"the augmentation '{mixing[0]}' mixes images of different strengths, and the model "
            f"'{config.model}' takes one number for '{conditions[0]}'",
            hint="omit it from `augmentations`",
        )
    if any(source.degraded for source in config.sources):
        raise UsageError(
            f"the model '{config.model}' takes the number '{conditions[0]}', which files of degraded images "
            f"do not have",
            hint="omit `degraded`, so that `degradation` draws it",
        )


def _files(source: Source, scale: int, patch: int) -> tuple[list[Path], DegradedFiles | None, list[Path]]:
    """The targets that are large enough, their degraded images if they are given, and the smaller targets."""
    partners: dict[Path, Path] = {}
    sizes: dict[Path, tuple[int, int]] = {}
    for folder, degraded in zip(source.data, source.degraded, strict=False):
        found, found_sizes = find_pairs(folder, degraded, scale)
        partners |= found
        sizes |= found_sizes
    large, small = usable(sizes or check_images(find_images(source.data)), patch)
    return large, DegradedFiles([partners[file] for file in large], scale) if partners else None, small


def _check_degradation_of_run(config: TrainingConfig, registry: Registry) -> None:
    """Refuse a degradation that no image gets, whether it exists or not; the others are checked in use."""
    of_training = any(not source.degraded and source.degradation is None for source in config.sources)
    of_validation = config.val and not config.val_degraded
    if of_training or of_validation:
        return
    find_degradation(config.degradation, registry, config.scale, config.degradation_options)
    default = TrainingConfig.model_fields["degradation"].default
    if config.degradation != default or config.degradation_options:
        raise UsageError(
            f"no image is degraded by '{config.degradation}': each source has degraded images or a "
            "`degradation` of its own",
            hint="omit `degradation` and its options, or set those of a `source`",
        )


def _degradation(source: Source, config: TrainingConfig, registry: Registry) -> Degradation:
    name, options = config.degradation_of(source)
    return find_degradation(name, registry, config.scale, options)


def _seed(seed: int, number: int) -> int:
    """The seed of a source: that of the run for the first one, as for a single one."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]) >> 1
