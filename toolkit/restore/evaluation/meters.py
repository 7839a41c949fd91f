"""Metrics by name, ready to be used: those of the plugins, and each of their losses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from restore.data import Degradation, Patches, Targets, find_images
from restore.errors import DataError, ImageError, UnknownNameError, UsageError, escaped, nearest
from restore.images import read_levels
from restore.interfaces import LossSpec, Metric, MetricSpec, Options, Preparable, parse, prepare
from restore.registry import Registry
from restore.resizing import quantize

__all__ = ["Better", "Meter", "check_meters", "meters"]

Better: TypeAlias = Literal["higher", "lower"]
"""Which of two values is the better one."""

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
    better: Better = "higher"

    @property
    def title(self) -> str:
        """The name with the unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def text(self, value: float, sign: str = "") -> str:
        """`value` with as many digits as are worth printing; `sign` is ``+`` to show it above zero, too.

        >>> meter = Meter("l1", lambda restored, target, *, gray: 0.0, "RGB", digits=None)
        >>> meter.text(0.0239), meter.text(0.5, "+")
        ('0.02390', '+0.5000')
        """
        if self.digits is None:
            return f"{value:{sign}#.4g}".removesuffix(".")
        return f"{value:{sign}.{self.digits}f}"

    def best(self, values: Iterable[float]) -> float | None:
        """The best of the values that are not NaN."""
        known = [value for value in values if not isnan(value)]
        return (max if self.better == "higher" else min)(known) if known else None


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
        names: of metrics, or of losses, which are measured on the colors of the 8-bit result.
        registry: where to look.
        scale: target pixels per input pixel.
        options: name -> options of that metric or loss.
        targets: folders or files of images that a loss may be prepared on, see `Preparable`.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.
        RestoreError: a loss cannot fetch what it needs.
    """
    found = []
    for name, spec, parsed in _checked(names, registry, options or {}):
        if isinstance(spec, LossSpec):
            found.append(_of_loss(spec, parsed, targets))
        else:
            measure, protocol = spec.build(scale, parsed), spec.protocol(scale, parsed)
            found.append(Meter(name, measure, protocol, spec.unit, spec.digits, spec.better))
    return found


def check_meters(
    names: Iterable[str], registry: Registry, options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Better]:
    """Check names and options as `meters` does, without building anything.

    Returns:
        Name -> which of its values are better.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.
    """
    return {
        name: "lower" if isinstance(spec, LossSpec) else spec.better
        for name, spec, _ in _checked(names, registry, options or {})
    }


def _checked(
    names: Iterable[str], registry: Registry, options: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, MetricSpec | LossSpec, Options]]:
    """Each name with its entry and its options."""
    for name in names:
        if name not in registry.metrics and name not in registry.losses:
            known = sorted({*registry.metrics, *registry.losses})
            raise UnknownNameError(
                f"there is no metric or loss '{name}'.{nearest(name, known)} Known: {', '.join(known)}"
            )
        spec = registry.metrics[name] if name in registry.metrics else registry.losses[name]
        kind = "loss" if isinstance(spec, LossSpec) else "metric"
        if isinstance(spec, LossSpec) and spec.inputs != ("restored", "target"):
            raise UsageError(f"the loss '{name}' needs more than result and target, so it is no metric")
        yield name, spec, parse(spec.options, options.get(name, {}), f"{kind} '{name}'")


def _of_loss(spec: LossSpec, options: Options, targets: Sequence[Path]) -> Meter:
    loss = spec.build(options).eval()
    prepared = ""
    if any(isinstance(part, Preparable) for part in loss.modules()):
        samples = _samples(targets)
        prepare(loss, samples)
        prepared = _measured(loss, len(samples.patches.files) if isinstance(samples, Targets) else 0)

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:  # noqa: ARG001 - `Metric` has it
        with torch.inference_mode():
            return float(loss(quantize(restored), target))

    shown = ", ".join(
        f"{key} {value}" for key, value in options if value is not None and not isinstance(value, Path)
    )
    parts = ("loss on the 8-bit result, RGB, whole image", shown, prepared)
    return Meter(spec.name, measure, "; ".join(filter(None, parts)), digits=None, better="lower")


def _measured(loss: nn.Module, images: int) -> str:
    """The state that a loss was prepared with, as part of its protocol."""
    state = loss.state_dict()
    if not state:
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"prepared on {images} targets [{digest.hexdigest()[:8]}]"


def _samples(folders: Sequence[Path]) -> Sequence[Tensor]:
    """Patches of the images that can be read; the others are reported when they are measured."""
    sides: dict[Path, int] = {}
    files = [path for path in folders if path.is_file()]
    files += find_images([path for path in folders if not path.is_file()])
    for file in files:
        try:
            sides[file] = min(read_levels(file).shape[-2:])
        except ImageError:
            continue
    if not sides:
        names = ", ".join(escaped(str(folder)) for folder in folders) or "no folder"
        raise DataError(
            f"a loss cannot be prepared: none of the images in {names} can be read",
            hint="give images of targets",
        )
    patch = min(_PATCH, max(sides.values()))
    large = [file for file, side in sides.items() if side >= patch]
    return Targets(Patches(large, patch, Degradation(lambda target, _: target), seed=0))
