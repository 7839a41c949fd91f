"""What a network learns from a batch in parts, and what it refuses to learn."""

from __future__ import annotations

import json
import math

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restore.training.learner import Learner
from restore.training.processes import Team


def learner(weight: float = 1.0, parts: int = 1, clip: float = 0.0, *, scaled: bool = False) -> Learner:
    """Of one weight, which plain gradient descent changes by a tenth of its gradient."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    fabric = Fabric(accelerator="cpu", devices=1)
    module, optimizer = fabric.setup(network, torch.optim.SGD(network.parameters()))
    player = Learner(module, optimizer, Team(fabric), parts=parts, clip=clip, scaled=scaled)
    player.begin(0.1)
    return player


def parameter_of(player: Learner) -> Tensor:
    (parameter,) = player.module.parameters()
    return parameter


def learn(player: Learner, **terms: Tensor) -> dict[str, Tensor]:
    for _ in player.parts(torch.zeros(1)):
        player.backward(terms)
    return player.update()


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_of_a_batch_teach_what_the_whole_batch_teaches(parts: int) -> None:
    player, seen = learner(parts=parts), list[int]()
    for images, targets in player.parts(torch.arange(1.0, 5)[:, None], torch.ones(4, 1)):
        seen.append(len(images))
        player.backward({"error": (player.module(images) - targets).square().mean()})
    figures = player.update()
    # The error of x is (x - 1)^2, its gradient 2 x (x - 1): on average 3.5 and 10 over 1, 2, 3 and 4.
    assert seen == [4 // parts] * parts
    assert figures["error"].item() == figures["loss"].item() == pytest.approx(3.5)
    assert figures["grad_norm"].item() == pytest.approx(10)
    assert parameter_of(player).item() == pytest.approx(1 - 0.1 * 10, abs=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_measured_and_clipped_in_their_own_units(scaled: bool) -> None:
    player = learner(clip=0.5, scaled=scaled)
    assert learn(player, term=3 * parameter_of(player).sum())["grad_norm"].item() == pytest.approx(3)
    assert parameter_of(player).item() == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_term_that_is_not_finite_teaches_nothing_even_where_its_gradient_is_finite(value: float) -> None:
    player = learner()
    good = parameter_of(player).sum()
    assert learn(player, good=good, bad=torch.tensor(value)) == {}
    assert (player.skipped, player.in_a_row, player.problem) == (1, 1, "the term 'bad'")
    assert parameter_of(player).item() == 1.0
    player.begin(0.1)
    assert player.problem == ""
    assert learn(player, good=parameter_of(player).sum()) != {}
    assert (player.skipped, player.in_a_row) == (1, 0)
    assert parameter_of(player).item() == pytest.approx(0.9)


def steep(player: Learner, gradient: float) -> Tensor:
    """A term with this gradient, which passes through float16."""
    return (parameter_of(player).half() * gradient).sum().float()


def test_an_overflow_teaches_a_smaller_scale_and_is_no_problem() -> None:
    player = learner(scaled=True)
    # 65504 is the largest number of float16: a gradient of 4 fits with a scale of 8192, after three halvings.
    assert [bool(learn(player, term=steep(player, 4.0))) for _ in range(4)] == [False, False, False, True]
    assert (player.skipped, player.in_a_row, player.problem) == (3, 0, "")
    assert parameter_of(player).item() == pytest.approx(1 - 0.1 * 4)


def test_a_gradient_that_no_scale_helps_is_a_problem_in_the_end() -> None:
    player, problems = learner(weight=0.0, scaled=True), list[str]()
    for _ in range(20):
        learn(player, term=parameter_of(player).sqrt().sum())  # zero, but infinitely steep
        problems.append(player.problem)
    # 65536 is halved sixteen times until it is 1.
    assert problems == [""] * 16 + ["the gradient"] * 4
    assert (player.skipped, player.in_a_row) == (20, 4)


@pytest.mark.parametrize(("scaled", "expected"), [(False, 0), (True, 1e-8)])
def test_gradients_too_small_for_float16_survive_by_their_scale(scaled: bool, expected: float) -> None:
    player = learner(scaled=scaled)
    norm = learn(player, term=1e-8 * steep(player, 1.0))["grad_norm"].item()
    assert norm == pytest.approx(expected, rel=0.01)


def test_what_it_knows_of_its_scale_and_its_losses_is_taken_back() -> None:
    player, other = learner(scaled=True), learner(scaled=True)
    learn(player, term=steep(player, 4.0))
    learn(player, term=parameter_of(player).sum() * math.nan)
    other.restore(json.loads(json.dumps(player.state())))
    assert other.state() == player.state()
    assert (other.skipped, other.in_a_row, other.scaler.get_scale()) == (2, 1, 65536 / 4)
