"""The discriminator is that of the supplement, the gate that of section 4.2.4, the objectives are Table 2."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from restore.errors import OptionsError
from restore.interfaces import Scores, parse
from restore.registry import Registry
from restore_enhancenet.discriminator import Discriminator
from restore_enhancenet.gate import PerformanceGate

# The discriminator ------------------------------------------------------------------------------------

SUPPLEMENT = [
    (32, 128), (32, 64), (64, 64), (64, 32), (128, 32),
    (128, 16), (256, 16), (256, 8), (512, 8), (512, 4),
]  # fmt: skip
"""Filters of each convolution, and the side of its result for an image of 128 pixels."""


def test_its_convolutions_are_those_of_the_table() -> None:
    x, shapes = torch.zeros(1, 3, 128, 128), []
    for layer in Discriminator(128).features:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            assert layer.kernel_size == (3, 3)
            shapes.append((x.shape[1], x.shape[2]))
            assert x.shape[2] == x.shape[3]
    assert shapes == SUPPLEMENT


def test_behind_them_are_two_fully_connected_layers_and_nothing_else_learns() -> None:
    network = Discriminator(128)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(8192, 1024), (1024, 1)]
    kinds = {type(layer) for layer in network.modules() if not list(layer.children())}
    assert kinds == {nn.Conv2d, nn.LeakyReLU, nn.Flatten, nn.Linear}


@pytest.mark.parametrize("size", [1, 32, 33, 96, 129])
def test_it_is_built_for_any_size_of_targets(size: int) -> None:
    logits = Discriminator(size, width=4, hidden=8)(torch.rand(2, 3, size, size))
    assert logits.shape == (2, 1)


def test_its_logits_are_no_probabilities() -> None:
    network = Discriminator(32, width=4, hidden=8)
    nn.init.constant_(network.classifier[-1].bias, -3.0)  # type: ignore[arg-type]
    assert network(torch.rand(1, 3, 32, 32)).item() < 0


# The gate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "is_open"),
    [
        pytest.param(None, True, id="the first step"),
        pytest.param(Scores(0.5, 0.5), True, id="both below"),
        pytest.param(Scores(0.79, 0.95), True, id="real below"),
        pytest.param(Scores(0.95, 0.79), True, id="generated below"),
        pytest.param(Scores(0.8, 0.8), False, id="both at the threshold"),
        pytest.param(Scores(0.95, 0.95), False, id="both above"),
    ],
)
def test_it_is_open_if_either_score_is_below_the_threshold(scores: Scores | None, is_open: bool) -> None:
    assert PerformanceGate(threshold=0.8).is_open(scores) is is_open


@pytest.mark.parametrize("threshold", [0, -1, 1.1, "often"])
def test_a_threshold_is_a_probability(threshold: object) -> None:
    with pytest.raises(OptionsError, match="option 'threshold' of the gate"):
        parse(PerformanceGate, {"threshold": threshold}, "the gate")


# The objectives ---------------------------------------------------------------------------------------

TABLE_2 = {
    "e": ({"mse"}, False),
    "p": ({"perceptual"}, False),
    "ea": ({"mse"}, True),
    "pa": ({"perceptual"}, True),
    "eat": ({"mse", "texture"}, True),
    "pat": ({"perceptual", "texture"}, True),
}


@pytest.mark.parametrize("name", TABLE_2)
def test_each_objective_has_the_terms_of_its_row(toys: Registry, name: str) -> None:
    losses, adversarial = TABLE_2[name]
    spec = toys.objectives[name]
    assert {term.loss for term in spec.terms} == losses
    assert len(spec.adversaries) == adversarial
    assert spec.patch_size == 128
    for adversary in spec.adversaries:
        assert (adversary.discriminator, adversary.loss) == ("enhancenet", "vanilla")
        assert isinstance(adversary.gate, PerformanceGate)


@pytest.mark.parametrize(("name", "weight"), [("pa", 1), ("pat", 2)])
def test_the_adversary_has_the_published_weight(toys: Registry, name: str, weight: float) -> None:
    (adversary,) = toys.objectives[name].adversaries
    assert adversary.weight == weight


def test_the_layers_have_the_published_weights(toys: Registry) -> None:
    defaults = {name: toys.losses[name].options().model_dump() for name in ("perceptual", "texture")}
    assert defaults["perceptual"]["layers"] == {"pool2": 2e-1, "pool5": 2e-2}
    assert defaults["texture"]["layers"] == {"conv1_1": 3e-7, "conv2_1": 1e-6, "conv3_1": 1e-6}
    assert defaults["texture"]["patch"] == 16
    terms = [term for name in ("p", "pa", "pat") for term in toys.objectives[name].terms]
    assert all(term.weight == 1 and not term.options for term in terms)
