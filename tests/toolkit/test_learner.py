"""Updates from a batch in parts, and updates that are skipped."""

from __future__ import annotations

import json
import math

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restore.training.learner import Learner
from restore.training.processes import ProcessGroup


def learner(weight: float = 1.0, parts: int = 1, clip: float = 0.0, *, scaled: bool = False) -> Learner:
    """Of one weight, which plain gradient descent changes by a tenth of its gradient."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    fabric = Fabric(accelerator="cpu", devices=1)
    module, optimizer = fabric.setup(network, torch.optim.SGD(network.parameters()))
    trained = Learner(module, optimizer, ProcessGroup(fabric), parts=parts, clip=clip, scaled=scaled)
    trained.begin(0.1)
    return trained


def parameter_of(trained: Learner) -> Tensor:
    (parameter,) = trained.module.parameters()
    return parameter


def learn(trained: Learner, **terms: Tensor) -> dict[str, Tensor]:
    for _ in trained.divide(torch.zeros(1)):
        trained.backward(terms)
    return trained.update()


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_batch_in_parts_gives_the_update_of_the_whole_batch(parts: int) -> None:
    trained, seen = learner(parts=parts), list[int]()
    for images, targets in trained.divide(torch.arange(1.0, 5)[:, None], torch.ones(4, 1)):
        seen.append(len(images))
        trained.backward({"error": (trained.module(images) - targets).square().mean()})
    values = trained.update()
    # The error of x is (x - 1)^2, its gradient 2 x (x - 1): on average 3.5 and 10 over 1, 2, 3 and 4.
    assert seen == [4 // parts] * parts
    assert values["error"].item() == values["loss"].item() == pytest.approx(3.5)
    assert values["grad_norm"].item() == pytest.approx(10)
    assert parameter_of(trained).item() == pytest.approx(1 - 0.1 * 10, abs=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_measured_and_clipped_in_their_own_units(scaled: bool) -> None:
    trained = learner(clip=0.5, scaled=scaled)
    assert learn(trained, term=3 * parameter_of(trained).sum())["grad_norm"].item() == pytest.approx(3)
    assert parameter_of(trained).item() == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_update_is_skipped_for_a_term_that_is_not_finite_even_if_its_gradient_is(value: float) -> None:
    trained = learner()
    good = parameter_of(trained).sum()
    assert learn(trained, good=good, bad=torch.tensor(value)) == {}
    assert (trained.skipped, trained.in_a_row, trained.problem) == (1, 1, "the term 'bad'")
    assert parameter_of(trained).item() == 1.0
    trained.begin(0.1)
    assert trained.problem == ""
    assert learn(trained, good=parameter_of(trained).sum()) != {}
    assert (trained.skipped, trained.in_a_row) == (1, 0)
    assert parameter_of(trained).item() == pytest.approx(0.9)


def steep(trained: Learner, gradient: float) -> Tensor:
    """A term with this gradient, which passes through float16."""
    return (parameter_of(trained).half() * gradient).sum().float()


def test_an_overflow_lowers_the_scale_and_is_not_reported() -> None:
    trained = learner(scaled=True)
    # 65504 is the largest number of float16: a gradient of 4 fits with a scale of 8192, after three halvings.
    assert [bool(learn(trained, term=steep(trained, 4.0))) for _ in range(4)] == [False, False, False, True]
    assert (trained.skipped, trained.in_a_row, trained.problem) == (3, 0, "")
    assert parameter_of(trained).item() == pytest.approx(1 - 0.1 * 4)


def test_a_gradient_that_overflows_at_any_scale_is_reported_in_the_end() -> None:
    trained, problems = learner(weight=0.0, scaled=True), list[str]()
    for _ in range(20):
        learn(trained, term=parameter_of(trained).sqrt().sum())  # zero, but infinitely steep
        problems.append(trained.problem)
    # 65536 is halved sixteen times until it is 1.
    assert problems == [""] * 16 + ["the gradient"] * 4
    assert (trained.skipped, trained.in_a_row) == (20, 4)


@pytest.mark.parametrize(("scaled", "expected"), [(False, 0), (True, 1e-8)])
def test_gradients_too_small_for_float16_survive_by_their_scale(scaled: bool, expected: float) -> None:
    trained = learner(scaled=scaled)
    norm = learn(trained, term=1e-8 * steep(trained, 1.0))["grad_norm"].item()
    assert norm == pytest.approx(expected, rel=0.01)


def test_the_scale_and_the_counts_are_restored() -> None:
    trained, other = learner(scaled=True), learner(scaled=True)
    learn(trained, term=steep(trained, 4.0))
    learn(trained, term=parameter_of(trained).sum() * math.nan)
    other.restore(json.loads(json.dumps(trained.state())))
    assert other.state() == trained.state()
    assert (other.skipped, other.in_a_row, other.scaler.get_scale()) == (2, 1, 65536 / 4)
