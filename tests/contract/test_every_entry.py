"""Every registered entry passes the contract checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from restore.interfaces import Options
from restore.registry import discover
from restore.testing import (
    Check,
    degradation_checks,
    discriminator_checks,
    loss_checks,
    metric_checks,
    model_checks,
    objective_checks,
    options_checks,
    set_metric_checks,
    table_checks,
    weights_checks,
)

REGISTRY = discover()
NARROW = {name: {"width": 8} for name in ("enhancenet", "ffdnet", "dncnn")}  # the halo does not depend on it


def options_of(model: str, scale: int) -> Options:
    """Return the default options at 4x, and narrow networks at other scales to save time."""
    narrow = {} if scale == 4 else NARROW.get(model, {})
    return REGISTRY.models[model].options.model_validate(narrow)


def checks() -> Iterator[Check]:
    for name, model in REGISTRY.models.items():
        yield from options_checks(model)
        yield from weights_checks(model, REGISTRY)
        if name.startswith("spandrel."):
            continue  # small ones are checked in tests/plugins/test_spandrel_training.py
        # Models that load files are checked in tests/plugins/test_spandrel.py.
        for scale in () if model.open else model.scales or (1, 2, 3, 4):
            yield from model_checks(model, scale=scale, options=options_of(name, scale))
    for loss in REGISTRY.losses.values():
        yield from options_checks(loss)
        yield from loss_checks(loss)
    for objective in REGISTRY.objectives.values():
        yield from objective_checks(objective, REGISTRY)
    for discriminator in REGISTRY.discriminators.values():
        yield from options_checks(discriminator)
        yield from discriminator_checks(discriminator)
    for metric in REGISTRY.metrics.values():
        yield from options_checks(metric)
        yield from metric_checks(metric)
    for set_metric in REGISTRY.set_metrics.values():
        yield from options_checks(set_metric)
        yield from set_metric_checks(set_metric)
    for degradation in REGISTRY.degradations.values():
        yield from options_checks(degradation)
        for scale in (1, 2, 3, 4):
            yield from degradation_checks(degradation, scale=scale)
    for table in REGISTRY.tables.values():
        yield from table_checks(table, REGISTRY)


@pytest.mark.parametrize("check", list(checks()), ids=str)
@pytest.mark.usefixtures("random_backbones")
def test_contract(check: Check) -> None:
    assert check() is None


def test_the_three_included_models_are_checked() -> None:
    assert {"bicubic", "srcnn", "enhancenet"} <= set(REGISTRY.models)
