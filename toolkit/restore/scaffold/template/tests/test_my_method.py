"""The plugin meets the contract and behaves as documented."""

from __future__ import annotations

import pytest
import torch

from restore.registry import discover
from restore.testing import Check, model_checks, plugin_checks
from restore_my_method.loss import Loss
from restore_my_method.network import Network
from restore_my_method.options import NetworkOptions

REGISTRY = discover()
OTHER = NetworkOptions(width=8, blocks=2)
"""`plugin_checks` uses the defaults of all options; a halo that depends on options is checked with others."""


@pytest.mark.parametrize("check", plugin_checks("my-method", REGISTRY), ids=str)
def test_contract(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", model_checks(REGISTRY.models["my-method"], scale=2, options=OTHER), ids=str)
def test_contract_with_other_options(check: Check) -> None:
    check()


def test_a_network_with_a_zero_last_layer_repeats_the_pixels() -> None:
    network = Network(scale=2)
    with torch.no_grad():
        for parameter in network.leave.parameters():
            parameter.zero_()
        image = torch.rand(1, 3, 4, 5)
        restored = network(image)
    assert torch.equal(restored, image.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_the_loss_is_quadratic_near_zero_and_absolute_far_from_it() -> None:
    target = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    loss = Loss(epsilon=0.01)
    assert loss(target + 1e-4, target).item() == pytest.approx(0.01 + 1e-8 / 0.02, rel=1e-6)
    assert loss(target + 1.0, target).item() == pytest.approx(1.0, abs=1e-4)
