"""The contract as checks that a plugin's author runs over their own entries.

With pytest, in the plugin's own tests::

    from restore.testing import model_checks
    from my_plugin.plugin import restore_models

    @pytest.mark.parametrize("check", model_checks(restore_models()[0], scale=4), ids=str)
    def test_contract(check):
        check()

A check raises `ContractError`, which says what was expected, what was found and what to do.
"""

from restore.testing.check import Check, ContractError
from restore.testing.measures import degradation_checks, metric_checks, table_checks
from restore.testing.models import measured_halo, model_checks
from restore.testing.objectives import discriminator_checks, loss_checks, objective_checks

__all__ = [
    "Check",
    "ContractError",
    "degradation_checks",
    "discriminator_checks",
    "loss_checks",
    "measured_halo",
    "metric_checks",
    "model_checks",
    "objective_checks",
    "table_checks",
]
