"""One image through several models, with what can be measured of the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from restore.errors import UsageError
from restore.evaluation.crop import Crop
from restore.evaluation.regions import Region, worst_regions
from restore.images import Photo, read
from restore.inference import Restorer
from restore.interfaces import Metric, MetricSpec, parse

__all__ = ["Comparison", "Figure", "Picture", "compare"]

_WARM_UP = 32  # input pixels
_PIXELS = 150_000_000  # of all pictures together: what a browser decodes to 600 MB
_LONGEST = 16_383  # the longest side of WebP, in which pictures are embedded


@dataclass(frozen=True, eq=False)
class Picture:
    """The input, what a model made of it, or the target."""

    name: str
    role: Literal["input", "result", "target"]
    photo: Photo
    """8 bits a channel."""
    seconds: float | None = None
    """Restoring only."""
    figures: Mapping[str, float] | None = None
    """Metric -> figure, where there is a target."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.photo.color.shape[-1], self.photo.color.shape[-2]


@dataclass(frozen=True)
class Figure:
    """How a metric's figures are to be read."""

    name: str
    unit: str
    digits: int
    better: Literal["higher", "lower"]
    protocol: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Pictures of one scene: the input, one result a model, and the target if there is one."""

    title: str
    scale: int
    pictures: tuple[Picture, ...]
    regions: tuple[Region, ...]
    """Where the results differ most: from the target if there is one, else from each other."""
    figures: tuple[Figure, ...] = ()
    settings: str = ""
    """On what the times were taken."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the results."""
        return self.results[0].size

    @property
    def results(self) -> list[Picture]:
        """What the models made."""
        return [picture for picture in self.pictures if picture.role == "result"]

    @property
    def target(self) -> Picture | None:
        """The original."""
        return next((picture for picture in self.pictures if picture.role == "target"), None)


def compare(
    source: Path | Photo,
    restorers: Sequence[Restorer],
    *,
    target: Path | Photo | None = None,
    metrics: Sequence[MetricSpec] = (),
    crop: Crop | None = None,
    title: str = "",
    watch: Callable[[int, float], None] = lambda _model, _share: None,
) -> Comparison:
    """Restore one image with each model, measure the results and find where they differ.

    Args:
        source: the image, a file or what was read from one.
        restorers: the models, of one scale.
        target: the original of `source`, `scale` times as large.
        metrics: to measure the results by, if there is a target.
        crop: only this part of the image.
        title: what the comparison is called; left out, the name of the file.
        watch: called with the index of a model and the share that it has done.

    Raises:
        UsageError: there is no model, one is named twice, their scales differ, the target does not fit, or
            the image is too large to be shown.
        ImageError: a file cannot be read.
    """
    scale = _common_scale(restorers)
    photo = _read(source, crop)
    original = None if target is None else _read(target, crop, scale)
    if original:
        _check_target(original, photo, scale)
    _check_size(photo, scale, len(restorers) + (original is not None))
    figures, measures = _measures(metrics if original else (), scale)
    results = []
    for index, restorer in enumerate(restorers):
        result = _restored(restorer, photo, partial(watch, index))
        results.append(_measured(result, original, measures) if original else result)
    regions = worst_regions(
        [_levels(result.photo.color) for result in results], _levels(original.color) if original else None
    )
    return Comparison(
        title=title or (source.name if isinstance(source, Path) else "image"),
        scale=scale,
        pictures=(
            Picture("Input", "input", photo),
            *results,
            *([Picture("Target", "target", original)] if original else []),
        ),
        regions=tuple(regions),
        figures=figures,
        settings=_settings(restorers[0]),
    )


def _common_scale(restorers: Sequence[Restorer]) -> int:
    if not restorers:
        raise UsageError("there is no model to compare: give --model, as often as you like")
    names = [restorer.model.reference for restorer in restorers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"--model {twice} is given twice: leave one out")
    first = restorers[0]
    for other in restorers[1:]:
        if other.scale != first.scale:
            raise UsageError(
                f"'{first.model.reference}' enlarges {first.scale}x and '{other.model.reference}' "
                f"{other.scale}x: compare models of one scale, or give --scale"
            )
    return first.scale


def _read(source: Path | Photo, crop: Crop | None, scale: int = 1) -> Photo:
    """The picture or its part, `scale` times as large as the input, worth 8 bits a channel."""
    photo = read(source) if isinstance(source, Path) else source
    return replace(crop.of(photo, scale) if crop else photo, bits=8)


def _check_target(target: Photo, photo: Photo, scale: int) -> None:
    found, wanted = target.color.shape[-2:], [side * scale for side in photo.color.shape[-2:]]
    if list(found) != wanted:
        raise UsageError(
            f"the target has {found[1]}x{found[0]} pixels where the models make {wanted[1]}x{wanted[0]}: "
            "give the original of this very image"
        )


def _check_size(photo: Photo, scale: int, count: int) -> None:
    height, width = (side * scale for side in photo.color.shape[-2:])
    if max(height, width) <= _LONGEST and height * width * count <= _PIXELS:
        return
    wide = min(width, _LONGEST) // scale
    high = min(height // scale, _LONGEST // scale, _PIXELS // (count * scale**2 * wide))
    raise UsageError(
        f"{count} pictures of {width}x{height} pixels are too large to show together: compare a part of the "
        f"image with --crop LEFT,TOP,WIDTH,HEIGHT (input pixels), such as --crop 0,0,{wide},{high}"
    )


def _restored(restorer: Restorer, photo: Photo, progress: Callable[[float], None]) -> Picture:
    # What happens only once, such as choosing an algorithm, is not the image's time.
    restorer.restore(photo.color[..., :_WARM_UP, :_WARM_UP])
    begin = time.perf_counter()
    restored = restorer.upscale(photo, progress)
    return Picture(restorer.model.reference, "result", restored, time.perf_counter() - begin)


def _measured(result: Picture, target: Photo, measures: Mapping[str, Metric]) -> Picture:
    restored = result.photo.color.float() / 255
    figures = {name: measure(restored, target.color, gray=target.gray) for name, measure in measures.items()}
    return replace(result, figures=figures)


def _measures(metrics: Sequence[MetricSpec], scale: int) -> tuple[tuple[Figure, ...], dict[str, Metric]]:
    figures, measures = [], {}
    for spec in metrics:
        options = parse(spec.options, {}, f"metric '{spec.name}'")
        protocol = spec.protocol(scale, options)
        figures.append(Figure(spec.name, spec.unit, spec.digits, spec.better, protocol))
        measures[spec.name] = spec.build(scale, options)
    return tuple(figures), measures


def _settings(restorer: Restorer) -> str:
    precision = str(restorer.dtype).removeprefix("torch.")
    return f"{restorer.engine}, {precision}, {restorer.device.type}"


def _levels(color: Tensor) -> Tensor:
    """uint8; what the models make is that already."""
    return color if color.dtype == torch.uint8 else (color.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
