"""What a result is measured with: the metrics of the plugins, and every loss of theirs as one more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from restore.data import Patches, Targets, find_images
from restore.errors import DataError, ImageError, UnknownNameError, nearest
from restore.images import read_levels
from restore.interfaces import LossSpec, Metric, Options, Preparable, parse, prepare
from restore.registry import Registry
from restore.resizing import quantize

__all__ = ["Meter", "meters"]

_PATCH = 128  # pixels of the targets that a loss is prepared on


@dataclass(frozen=True)
class Meter:
    """A metric, built for one scale."""

    name: str
    measure: Metric
    protocol: str
    unit: str = ""
    digits: int | None = 4
    """Decimals worth printing; ``None`` for four significant digits."""
    better: Literal["higher", "lower"] = "higher"

    @property
    def title(self) -> str:
        """The name with the unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def text(self, figure: float, sign: str = "") -> str:
        """`figure` as it is worth printing; with a `sign` of ``+`` also above zero."""
        return f"{figure:{sign}.4g}" if self.digits is None else f"{figure:{sign}.{self.digits}f}"


def meters(
    names: Iterable[str],
    registry: Registry,
    scale: int,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    targets: Sequence[Path] = (),
) -> list[Meter]:
    """Build metrics by name.

    Args:
        names: of metrics, or of losses, which are measured on the colours of the 8-bit result.
        registry: where to look.
        scale: target pixels per input pixel.
        options: name -> options of that metric or loss.
        targets: folders of images that a loss may look at before it is used, see `Preparable`.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.
        RestoreError: a loss cannot fetch what it needs.
    """
    return [_meter(name, registry, scale, (options or {}).get(name, {}), targets) for name in names]


def _meter(
    name: str, registry: Registry, scale: int, given: Mapping[str, Any], targets: Sequence[Path]
) -> Meter:
    try:
        spec = registry.metrics[name]
    except UnknownNameError as error:
        losses = registry.losses
        if name in losses:
            return _of_loss(losses[name], parse(losses[name].options, given, f"loss '{name}'"), targets)
        known = ", ".join(sorted(losses))
        raise UnknownNameError(f"{error}; losses: {known}.{nearest(name, losses)}") from None
    options = parse(spec.options, given, f"metric '{name}'")
    measure, protocol = spec.build(scale, options), spec.protocol(scale, options)
    return Meter(name, measure, protocol, spec.unit, spec.digits, spec.better)


def _of_loss(spec: LossSpec, options: Options, targets: Sequence[Path]) -> Meter:
    loss = spec.build(options).eval()
    prepared = ""
    if any(isinstance(part, Preparable) for part in loss.modules()):
        samples = _samples(targets)
        prepare(loss, samples)
        prepared = _measured(loss, len(samples.patches.files) if isinstance(samples, Targets) else 0)

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:  # noqa: ARG001
        with torch.inference_mode():
            return float(loss(quantize(restored), target))

    shown = ", ".join(
        f"{key} {value}" for key, value in options if value is not None and not isinstance(value, Path)
    )
    parts = ("loss on the 8-bit result, RGB, whole image", shown, prepared)
    return Meter(spec.name, measure, "; ".join(filter(None, parts)), digits=None, better="lower")


def _measured(loss: nn.Module, images: int) -> str:
    """What a loss measured before it is used, as part of its protocol."""
    state = loss.state_dict()
    if not state:
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"prepared on {images} targets [{digest.hexdigest()[:8]}]"


def _samples(folders: Sequence[Path]) -> Sequence[Tensor]:
    """Patches of the images that can be read; the others will be named when they are measured."""
    sides: dict[Path, int] = {}
    for file in find_images(folders):
        try:
            sides[file] = min(read_levels(file).shape[-2:])
        except ImageError:
            continue
    if not sides:
        raise DataError(f"none of the images in {', '.join(map(str, folders)) or 'no folder'} can be read")
    patch = min(_PATCH, max(sides.values()))
    files = [file for file, side in sides.items() if side >= patch]
    return Targets(Patches(files, patch, 1, lambda target, _=None: target, seed=0))
