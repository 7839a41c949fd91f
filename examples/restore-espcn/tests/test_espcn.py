"""The plugin meets the contract and behaves as documented."""

from __future__ import annotations

import pytest
import torch

from restore.registry import discover
from restore.testing import Check, loss_checks, model_checks, objective_checks
from restore_espcn.loss import Huber
from restore_espcn.network import Espcn
from restore_espcn.options import EspcnOptions
from restore_espcn.plugin import restore_losses, restore_models, restore_objectives

(MODEL,) = restore_models()
(LOSS,) = restore_losses()
(OBJECTIVE,) = restore_objectives()
REGISTRY = discover()

CHECKS = [
    *(check for scale in (1, 2, 3, 4) for check in model_checks(MODEL, scale=scale)),
    *model_checks(MODEL, scale=5, options=EspcnOptions(width=3)),
    *loss_checks(LOSS),
    *objective_checks(OBJECTIVE, REGISTRY),
]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_contract(check: Check) -> None:
    check()


def test_the_installed_plugin_is_discovered() -> None:
    states = {status.plugin.name: status.state for status in REGISTRY.plugins}
    assert states["espcn"] == "active"
    assert REGISTRY.models.owner("espcn").distribution == "restore-espcn"


def test_the_network_has_the_weights_of_the_paper() -> None:
    shapes = [tuple(weight.shape) for weight in Espcn(scale=3).parameters() if weight.ndim > 1]
    assert shapes == [(64, 3, 5, 5), (32, 64, 3, 3), (27, 32, 3, 3)]


def test_the_pixel_shuffle_keeps_each_output_at_its_input_pixel() -> None:
    network = Espcn(scale=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.extract.weight[0, 0, 2, 2] = 1  # red passes through the middle of every filter ...
        network.map.weight[0, 0, 1, 1] = 1
        network.reconstruct.weight[:4, 0, 1, 1] = 1  # ... to the four parts of red
        image = torch.zeros(1, 3, 3, 3)
        image[0, 0, 0, 2] = 0.5
        red = network(image)[0, 0]
    assert red.nonzero().tolist() == [[0, 4], [0, 5], [1, 4], [1, 5]]


def test_huber_is_quadratic_near_zero_and_absolute_far_from_it() -> None:
    target = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    loss = Huber(delta=0.01)
    assert loss(target, target).item() == 0
    assert loss(target + 1e-4, target).item() == pytest.approx(1e-8 / 0.02)
    assert loss(target + 1.0, target).item() == pytest.approx(1.0 - 0.005)
