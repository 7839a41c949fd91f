"""The contract as checks, which plugin authors run on their own entries.

``restore plugin check NAME`` runs all checks of an installed plugin. With pytest, in the plugin's own tests::

    from restore.registry import discover
    from restore.testing import plugin_checks

    @pytest.mark.parametrize("check", plugin_checks("my-method", discover()), ids=str)
    def test_contract(check):
        check()

or for one entry, with options other than the defaults: ``model_checks(spec, scale=4, options=...)``.

A check raises `ContractError`, which says what was expected, what was found and what to do.
"""

from restore.testing.augmentations import augmentation_checks
from restore.testing.check import Check, ContractError, Finding, examine
from restore.testing.entries import options_checks, weights_checks
from restore.testing.measures import degradation_checks, metric_checks, set_metric_checks, table_checks
from restore.testing.models import measured_halo, model_checks, opened_checks
from restore.testing.objectives import discriminator_checks, loss_checks, objective_checks
from restore.testing.plugins import plugin_checks
from restore.testing.training import (
    adversarial_loss_checks,
    optimizer_checks,
    schedule_checks,
)

__all__ = [
    "Check",
    "ContractError",
    "Finding",
    "adversarial_loss_checks",
    "augmentation_checks",
    "degradation_checks",
    "discriminator_checks",
    "examine",
    "loss_checks",
    "measured_halo",
    "metric_checks",
    "model_checks",
    "objective_checks",
    "opened_checks",
    "optimizer_checks",
    "options_checks",
    "plugin_checks",
    "schedule_checks",
    "set_metric_checks",
    "table_checks",
    "weights_checks",
]
