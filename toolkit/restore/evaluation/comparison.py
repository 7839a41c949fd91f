"""Restore one image with several models and measure the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from restore.errors import UsageError
from restore.estimation import estimate
from restore.evaluation.meters import Meter
from restore.evaluation.regions import Region, worst_regions
from restore.evaluation.restoring import (
    failure_reason,
    settings,
    timed,
    used_options,
    warm_up,
)
from restore.evaluation.scene import Scene
from restore.images import Photo
from restore.inference import AnyRestorer, check_reference
from restore.inference.choosing import Choice
from restore.inference.restorer import Selected
from restore.levels import to_levels, to_values
from restore.registry import Registry

__all__ = ["Comparison", "Picture", "check_comparable", "check_references", "compare"]

_PIXELS = 150_000_000  # of all pictures together: a browser decodes them to 600 MB
_LONGEST = 16_383  # the longest side of WebP, in which pictures are embedded


@dataclass(frozen=True, eq=False)
class Picture:
    """The input, the result of a model, or the target.

    >>> import torch
    >>> picture = Picture("bicubic", "result", Photo(torch.zeros(1, 3, 6, 8)), seconds=0.1)
    >>> picture.size  # width and height
    (8, 6)
    """

    name: str
    role: Literal["input", "result", "target"]
    photo: Photo
    """8 bits per channel."""
    seconds: float | None = None
    """Time of restoring, without reading and measuring."""
    values: Mapping[str, float] | None = None
    """Metric -> value; without a target, of the metrics that need none."""
    details: tuple[str, ...] = ()
    """Of the input, how it is degraded; of a result, what was chosen, options and numbers for the model."""
    choice: Choice | None = None
    """Of a result, the model that was chosen, or that was named and was trained on better images."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.photo.color.shape[-1], self.photo.color.shape[-2]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The input, one result per model, and the target if there is one.

    >>> import torch
    >>> from restore.inference import load
    >>> models = [load(name, scale=4, device="cpu") for name in ("bicubic", "srcnn")]
    >>> found = compare(Scene(Photo(torch.rand(1, 3, 16, 16))), models)
    >>> [picture.name for picture in found.results], found.size
    (['bicubic', 'srcnn'], (64, 64))
    """

    title: str
    scale: float
    pictures: tuple[Picture, ...]
    regions: tuple[Region, ...]
    """Where the results differ most: from the target if there is one, else from each other."""
    meters: tuple[Meter, ...] = ()
    """The metrics of the values."""
    settings: str = ""
    """Engine, precision and device, on which the times depend."""
    failures: Mapping[str, str] | None = None
    """Model -> why it could not restore the image."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the results."""
        return self.results[0].size

    @property
    def results(self) -> list[Picture]:
        """The results of the models."""
        return [picture for picture in self.pictures if picture.role == "result"]

    @property
    def target(self) -> Picture | None:
        """The target."""
        return next((picture for picture in self.pictures if picture.role == "target"), None)


def compare(
    scene: Scene | Path,
    restorers: Sequence[AnyRestorer],
    meters: Sequence[Meter] = (),
    watch: Callable[[int, float], None] = lambda _model, _share: None,
) -> Comparison:
    """Restore one image with each model, measure the results and find where they differ.

    Args:
        scene: the image; a file is one without a target.
        restorers: the models, of one scale, of which some may choose one for the image. One that fails,
            whatever it raises, is listed in the comparison's failures with its reason.
        meters: metrics of the results; without a target, those that need one are left out.
        watch: called with the index of a model and the share of its work that is done.

    Raises:
        UsageError: there is no model, one is named twice, their scales differ, the target does not fit, the
            image is too large to be shown, or no model could restore it.
        ImageError: a file cannot be read.
    """
    scale = check_comparable(restorers)
    scene = Scene.read(scene) if isinstance(scene, Path) else scene
    photo, target = scene.part(), scene.part_of_target(scale)
    _check_size(photo, scale, len(restorers) + (target is not None))
    used = tuple(meter for meter in meters if target or not meter.needs_target)

    def restored(index: int) -> Picture:
        one = restorers[index]
        how = one.select(scene.whole, scene.file)
        return _result(one.reference, how, photo, target, used, partial(watch, index))

    results, failures = _results(restorers, restored)
    levels = [to_levels(result.photo.color) for result in results]
    details = tuple(estimate(scene.whole, scene.file).to_text())
    return Comparison(
        title=scene.title,
        scale=scale,
        pictures=(
            Picture("Input", "input", photo, details=details),
            *results,
            *([Picture("Target", "target", target)] if target else []),
        ),
        regions=tuple(worst_regions(levels, to_levels(target.color) if target else None)),
        meters=used,
        settings=", ".join(settings(restorers[0])[name] for name in ("engine", "precision", "device")),
        failures=failures,
    )


def check_comparable(restorers: Sequence[AnyRestorer]) -> int:
    """The common scale of the models.

    Raises:
        UsageError: there is no model, one is named twice, or their scales differ.

    Example:
        >>> from restore.inference import load
        >>> check_comparable([load("bicubic", scale=4), load("srcnn", scale=4)])
        4
    """
    _check_models([(restorer.reference, restorer.scale) for restorer in restorers])
    return restorers[0].scale


def check_references(references: Sequence[str], registry: Registry, scale: int | None = None) -> None:
    """Check what can be checked of models to compare before their weights are read.

    Args:
        references: ``NAME[:WEIGHTS]`` of each model.
        registry: the known models.
        scale: of all models; by default each model's own.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: see `check_comparable`; or a model has no such scale or weights.
        WeightsError: there is no such weights file.

    Example:
        >>> from restore.registry import discover
        >>> check_references(["bicubic", "srcnn"], discover(), scale=4)  # no error: they can be compared
    """
    _check_models([(name, check_reference(name, registry, scale)) for name in references])


def _check_models(models: Sequence[tuple[str, int | None]]) -> None:
    """Check references and scales, of which some may not be known yet."""
    if not models:
        raise UsageError("there is no model to compare", hint="give at least one `model`")
    names = [name for name, _ in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"the `model` {twice} is given twice", hint="omit one")
    (first, scale), *others = [(name, scale) for name, scale in models if scale] or models
    for name, other in others:
        if other != scale:
            raise UsageError(
                f"'{first}' enlarges {scale}x and '{name}' {other}x",
                hint="compare models of one scale, or set `scale`",
            )


def _check_size(photo: Photo, scale: int, count: int) -> None:
    height, width = (side * scale for side in photo.color.shape[-2:])
    if max(height, width) <= _LONGEST and height * width * count <= _PIXELS:
        return
    wide = min(width, _LONGEST) // scale
    high = min(height // scale, _LONGEST // scale, _PIXELS // (count * scale**2 * wide))
    raise UsageError(
        f"{count} pictures of {width}x{height} pixels are too large to show together",
        hint=f"compare a part of the image with `crop` LEFT,TOP,WIDTH,HEIGHT in input pixels, such as "
        f"0,0,{wide},{high}",
    )


def _results(
    restorers: Sequence[AnyRestorer], restored: Callable[[int], Picture]
) -> tuple[list[Picture], dict[str, str]]:
    """The results of the models that could restore the image, and why the others could not."""
    results, failures = [], {}
    for index, restorer in enumerate(restorers):
        try:
            results.append(restored(index))
        except Exception as error:  # a plugin's network or metric can raise anything; the other models go on
            failures[restorer.reference] = failure_reason(error)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise UsageError(f"no model could restore the image: {reasons}")
    return results, failures


def _result(
    name: str,
    how: Selected,
    photo: Photo,
    target: Photo | None,
    meters: Sequence[Meter],
    progress: Callable[[float], None],
) -> Picture:
    if how.restorer:
        warm_up(how.restorer, photo.color)
    restored, seconds = timed(how, photo, progress)
    color = to_values(restored.color)
    original, gray = (color, photo.gray) if target is None else (target.color, target.gray)
    values = {meter.name: meter.measure(color, original, gray=gray) for meter in meters}
    return Picture(name, "result", restored, seconds, values or None, used_options(how), how.choice)
