"""Build metrics by name: those of the plugins, and losses that compare two images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, Literal, TypeAlias

from restore.errors import UnknownNameError, UsageError, nearest
from restore.evaluation.losses import loss_as_metric
from restore.interfaces import (
    LossSpec,
    Metric,
    MetricSpec,
    Options,
    SetMetric,
    SetMetricSpec,
    parse,
)
from restore.registry import Registry

__all__ = [
    "AnyMeter",
    "Better",
    "Meter",
    "SetMeter",
    "check_meters",
    "default_metrics",
    "meters",
    "set_meters",
]

Better: TypeAlias = Literal["higher", "lower"]
"""Which of two values is the better one."""


class AnyMeter:
    """The fields for printing and comparing the values of a metric."""

    name: str
    protocol: str
    unit: str
    digits: int | None
    """Decimals worth printing; ``None`` for four significant digits."""
    better: Better
    needs_target: bool

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


@dataclass(frozen=True)
class Meter(AnyMeter):
    """A metric of single images, built for one scale."""

    name: str
    measure: Metric
    protocol: str
    unit: str = ""
    digits: int | None = 4
    better: Better = "higher"
    needs_target: bool = True


@dataclass(frozen=True)
class SetMeter(AnyMeter):
    """A metric of whole sets of images, built for one scale."""

    name: str
    start: Callable[[], SetMetric]
    """Begins the measurement of one set."""
    protocol: str
    unit: str = ""
    digits: int | None = 4
    better: Better = "higher"
    needs_target: bool = True


def meters(
    names: Iterable[str],
    registry: Registry,
    scale: int,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    targets: Sequence[Path] = (),
) -> list[Meter]:
    """Build metrics of single images by name.

    Args:
        names: of metrics, or of losses, which are measured on the colors of the 8-bit result; metrics of
            whole sets are left to `set_meters`.
        registry: where to look.
        scale: target pixels per input pixel.
        options: name -> options of that metric or loss.
        targets: folders or files of images that a loss may be prepared on, see `Preparable`.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.
        RestoreError: a loss cannot fetch what it needs.

    Example:
        >>> from restore.registry import discover
        >>> [meter.title for meter in meters(["psnr", "ssim"], discover(), scale=4)]
        ['psnr (dB)', 'ssim']
    """
    found: list[Meter] = []
    for name, spec, parsed in _checked(names, registry, options or {}):
        if isinstance(spec, LossSpec):
            measure, protocol = loss_as_metric(spec, parsed, targets)
            found.append(Meter(name, measure, protocol, digits=None, better="lower"))
        elif isinstance(spec, MetricSpec):
            found.append(Meter(name, spec.build(scale, parsed), *_described(spec, scale, parsed)))
    return found


def set_meters(
    names: Iterable[str],
    registry: Registry,
    scale: int,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[SetMeter]:
    """Build those of `names` that are metrics of whole sets; the arguments are those of `meters`.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.

    Example:
        >>> from restore.registry import discover
        >>> set_meters(["psnr"], discover(), 4)  # it measures single images
        []
    """
    return [
        SetMeter(name, partial(spec.build, scale, parsed), *_described(spec, scale, parsed))
        for name, spec, parsed in _checked(names, registry, options or {})
        if isinstance(spec, SetMetricSpec)
    ]


def check_meters(
    names: Iterable[str],
    registry: Registry,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    with_targets: bool = True,
    with_sets: bool = True,
) -> dict[str, Better]:
    """Check names and options as `meters` does, without building anything.

    Args:
        names: of metrics or losses.
        registry: where to look.
        options: name -> options of that metric or loss.
        with_targets: whether there are targets to compare with.
        with_sets: whether there is more than one image to measure.

    Returns:
        Name -> which of its values are better.

    Raises:
        UnknownNameError: there is neither such a metric nor such a loss.
        OptionsError: an option is not usable.
        UsageError: a metric needs targets, or a set of images.

    Example:
        >>> from restore.registry import discover
        >>> check_meters(["psnr", "l1"], discover())
        {'psnr': 'higher', 'l1': 'lower'}
    """
    better: dict[str, Better] = {}
    for name, spec, _ in _checked(names, registry, options or {}):
        better[name] = "lower" if isinstance(spec, LossSpec) else spec.better
        if not with_targets and (isinstance(spec, LossSpec) or spec.needs_target):
            others = ", ".join(default_metrics(registry, with_targets=False))
            raise UsageError(
                f"the metric '{name}' compares with targets, and there are none",
                hint=f"use metrics that need none: {others}" if others else "give targets",
            )
        if not with_sets and isinstance(spec, SetMetricSpec):
            raise UsageError(f"the metric '{name}' measures a whole set of images, not one", hint="omit it")
    return better


def default_metrics(registry: Registry, *, with_targets: bool) -> list[str]:
    """PSNR and SSIM; without targets, all metrics that need none.

    >>> from restore.registry import discover
    >>> default_metrics(discover(), with_targets=False)
    ['niqe']
    """
    if with_targets:
        return ["psnr", "ssim"]
    specs: list[MetricSpec | SetMetricSpec] = [*registry.metrics.values(), *registry.set_metrics.values()]
    return [spec.name for spec in specs if not spec.needs_target]


def _described(
    spec: MetricSpec | SetMetricSpec, scale: int, options: Options
) -> tuple[str, str, int, Better, bool]:
    """The fields that both kinds of meters end with."""
    return spec.protocol(scale, options), spec.unit, spec.digits, spec.better, spec.needs_target


def _checked(
    names: Iterable[str], registry: Registry, options: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, MetricSpec | SetMetricSpec | LossSpec, Options]]:
    """Each name with its entry and its options."""
    catalogs = (registry.metrics, registry.set_metrics, registry.losses)
    for name in names:
        catalog = next((catalog for catalog in catalogs if name in catalog), None)
        if catalog is None:
            known = sorted({name for catalog in catalogs for name in catalog})
            raise UnknownNameError(
                f"there is no metric or loss '{name}'.{nearest(name, known)} Known: {', '.join(known)}"
            )
        spec = catalog[name]
        kind = "loss" if isinstance(spec, LossSpec) else "metric"
        if isinstance(spec, LossSpec) and spec.inputs != ("restored", "target"):
            raise UsageError(f"the loss '{name}' needs more than result and target, so it is no metric")
        yield name, spec, parse(spec.options, options.get(name, {}), f"{kind} '{name}'")
