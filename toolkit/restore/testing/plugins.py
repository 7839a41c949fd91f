"""All checks of a plugin and its entries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType, ModuleType
from typing import Any

from restore.interfaces import ModelSpec, Options, parse
from restore.registry import KINDS, Registry
from restore.testing.augmentations import augmentation_checks
from restore.testing.check import Check, check, expect
from restore.testing.entries import options_checks, weights_checks
from restore.testing.measures import degradation_checks, metric_checks, set_metric_checks, table_checks
from restore.testing.models import model_checks
from restore.testing.objectives import discriminator_checks, loss_checks, objective_checks
from restore.testing.training import (
    adversarial_loss_checks,
    optimizer_checks,
    schedule_checks,
)

__all__ = ["plugin_checks"]

_OF_ENTRY: dict[str, Callable[[Any], list[Check]]] = {
    "loss": loss_checks,
    "discriminator": discriminator_checks,
    "adversarial loss": adversarial_loss_checks,
    "optimizer": optimizer_checks,
    "schedule": schedule_checks,
}
_WITH_REGISTRY: dict[str, Callable[[Any, Registry], list[Check]]] = {
    "objective": objective_checks,
    "table": table_checks,
}
_AT_SCALES: dict[str, tuple[Callable[..., list[Check]], tuple[int, ...]]] = {
    "metric": (metric_checks, (4,)),
    "set metric": (set_metric_checks, (4,)),
    "degradation": (degradation_checks, (1, 2, 3, 4)),
    "augmentation": (augmentation_checks, (1, 4)),
}
"""Kinds whose entries are checked at several scales, and at which unless one is given."""

_WITH_TORCH = 77
"""An exit code that Python does not use itself."""


def plugin_checks(
    name: str,
    registry: Registry,
    *,
    scale: int | None = None,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> list[Check]:
    """Return all checks of an installed plugin and its entries.

    Args:
        name: the name of the plugin, which is that of its entry point.
        registry: from `restore.registry.discover`.
        scale: the only scale to check; by default all that a model supports, or 1 to 4.
        options: entry -> option -> value, instead of the defaults. Of entries of several kinds with one name,
            each gets the options that it has.

    Returns:
        The checks. An entry whose checks cannot be created has one check that fails with the reason.

    Raises:
        OptionsError: an entry has no such option, or the value is wrong.

    Example:
        >>> from restore.registry import discover
        >>> for check in plugin_checks("enhancenet", discover())[:2]:
        ...     print(check)
        plugin enhancenet: is active
        plugin enhancenet: imports no torch
    """
    checks = [check(f"plugin {name}", _is_active, name, registry)]
    checks.append(check(f"plugin {name}", _imports_no_torch, name, registry))
    for kind in KINDS:
        catalog = registry.catalog(kind)
        for spec in catalog.values():
            if catalog.owner(spec.name).name == name:
                checks += _guarded(f"{kind.name} {spec.name}", options_checks, spec)
                used = _with_options(spec, options.get(spec.name, {}), registry)
                checks += _guarded(f"{kind.name} {spec.name}", _of_entry, kind.name, used, registry, scale)
    return checks


def _with_options(spec: Any, values: Mapping[str, Any], registry: Registry) -> Any:
    """The entry with other defaults of its options."""
    namesakes = (registry.catalog(kind).get(spec.name) for kind in KINDS)
    fields = {
        key for other in namesakes for key in getattr(other, "options", Options).model_fields if other != spec
    }
    schema: type[Options] = getattr(spec, "options", Options)
    own = {key: value for key, value in values.items() if key in schema.model_fields or key not in fields}
    if not own:
        return spec
    parse(schema, own, f"'{spec.name}'")

    class Chosen(schema):  # type: ignore[misc,valid-type]  # the class is known at run time only
        def __init__(self, **given: Any) -> None:
            super().__init__(**(own | given))

    return replace(spec, options=Chosen)


def _is_active(name: str, registry: Registry) -> None:
    records = [status for status in registry.plugins if status.plugin.name == name]
    expect(records, f"there is no plugin '{name}'")
    for status in records:
        expect(status.state == "active", f"it is {status.state}: {status.reason}")


def _imports_no_torch(name: str, registry: Registry) -> None:
    modules = [status.plugin.module for status in registry.plugins if status.plugin.name == name]
    for module in modules:
        if isinstance(module, ModuleType) and module.__spec__ is not None:
            code = f"import sys, {module.__name__}; sys.exit('torch' in sys.modules and {_WITH_TORCH})"
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            expect(
                done.returncode != _WITH_TORCH,
                f"importing {module.__name__} imports torch too, which slows down 'restore list': refer to "
                f'functions that need it by lazy("module:function")',
            )
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            told = f"{module.__name__} cannot be imported by a new process: {reason[0]}"
            expect(done.returncode == 0, told)


def _of_entry(kind: str, spec: Any, registry: Registry, scale: int | None) -> Iterator[Check]:
    if kind == "model":
        yield from _of_model(spec, scale)
        yield from weights_checks(spec, registry)
    elif kind in _WITH_REGISTRY:
        yield from _WITH_REGISTRY[kind](spec, registry)
    elif kind in _AT_SCALES:
        checks, scales = _AT_SCALES[kind]
        for factor in scales if scale is None else (scale,):
            yield from checks(spec, scale=factor)
    else:
        yield from _OF_ENTRY[kind](spec)


def _of_model(spec: ModelSpec, scale: int | None) -> Iterator[Check]:
    """Nothing for a model that is read from files, which `opened_checks` is for."""
    if spec.open is None:
        for factor in spec.scales or (1, 2, 3, 4):
            if scale in (None, factor):
                yield from model_checks(spec, scale=factor)


def _guarded(subject: str, make: Callable[..., Iterable[Check]], *arguments: object) -> list[Check]:
    try:
        return list(make(*arguments))
    except Exception as error:  # such as options without defaults
        problem = error

    def can_be_checked() -> None:
        raise problem

    return [check(subject, can_be_checked)]
