"""Everything that a plugin owes, over all that it brings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from restore.interfaces import ModelSpec
from restore.registry import KINDS, Registry
from restore.testing.check import Check, check, expect
from restore.testing.entries import options_checks, weights_checks
from restore.testing.measures import degradation_checks, metric_checks, table_checks
from restore.testing.models import model_checks
from restore.testing.objectives import discriminator_checks, loss_checks, objective_checks

__all__ = ["plugin_checks"]

_WITH_TORCH = 77
"""An exit code that Python itself has no use for."""


def plugin_checks(name: str, registry: Registry, *, scale: int | None = None) -> list[Check]:
    """All claims about an installed plugin and its entries, with the defaults of their options.

    Args:
        name: of the plugin, which is that of its entry point.
        registry: from `restore.registry.discover`.
        scale: the only one to check of models, degradations and metrics; left out, all that a model declares,
            or 1 to 4.

    Returns:
        Checks to be called. An entry whose checks cannot be made is one check that says why.
    """
    checks = [check(f"plugin {name}", _is_active, name, registry)]
    checks.append(check(f"plugin {name}", _imports_no_torch, name, registry))
    for kind in KINDS:
        catalog = registry.catalog(kind)
        for spec in catalog.values():
            if catalog.owner(spec.name).name == name:
                checks += _guarded(f"{kind.name} {spec.name}", options_checks, spec)
                checks += _guarded(f"{kind.name} {spec.name}", _of_entry, kind.name, spec, registry, scale)
    return checks


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
                f"importing {module.__name__} imports torch too, and 'restore list' waits for it: name what "
                f'builds with lazy("module:function")',
            )
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            told = f"{module.__name__} cannot be imported by a new process: {reason[0]}"
            expect(done.returncode == 0, told)


def _of_entry(kind: str, spec: Any, registry: Registry, scale: int | None) -> Iterator[Check]:
    match kind:
        case "model":
            yield from _of_model(spec, scale)
            yield from weights_checks(spec, registry)
        case "loss":
            yield from loss_checks(spec)
        case "objective":
            yield from objective_checks(spec, registry)
        case "discriminator":
            yield from discriminator_checks(spec)
        case "metric":
            yield from metric_checks(spec, scale=scale or 4)
        case "degradation":
            for factor in (1, 2, 3, 4) if scale is None else (scale,):
                yield from degradation_checks(spec, scale=factor)
        case "table":
            yield from table_checks(spec, registry)


def _of_model(spec: ModelSpec, scale: int | None) -> Iterator[Check]:
    """Nothing for a model that is only read from files: `opened_checks` takes one."""
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
