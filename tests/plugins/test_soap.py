"""SOAP: that it sees past the coordinates in which a layer is written down."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from restore_optimization.soap import Soap

Slope = Callable[[Tensor], Tensor]


def steep_and_flat(size: int, least: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A symmetric matrix with eigenvalues from 1 down to `least`, and the turn that makes it diagonal."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    slopes = torch.logspace(0, math.log10(least), size, dtype=torch.float64)
    return turn @ torch.diag(slopes) @ turn.T, turn


def descend(optimizer: torch.optim.Optimizer, weight: nn.Parameter, slope: Slope, steps: int) -> Tensor:
    for _ in range(steps):
        weight.grad = slope(weight.detach())
        optimizer.step()
    return weight.detach()


def test_inputs_that_resemble_each_other_are_learnt_from_faster_than_by_adam() -> None:
    covariance, _ = steep_and_flat(16, least=1e-4)
    inputs = torch.linalg.cholesky(covariance)

    def left(kind: Callable[..., torch.optim.Optimizer], rate: float) -> float:
        """Mean squared error of a layer that has to learn to give 0."""
        generator = torch.Generator().manual_seed(0)
        weight = nn.Parameter(torch.randn(4, 16, generator=generator, dtype=torch.float64))

        def slope(weight: Tensor) -> Tensor:
            batch = inputs @ torch.randn(16, 64, generator=generator, dtype=torch.float64)
            gradient: Tensor = weight @ batch @ batch.T / 64
            return gradient

        end = descend(kind([weight], lr=rate), weight, slope, 200)
        return float((end @ covariance * end).sum())

    rates = (3e-3, 1e-2, 3e-2, 1e-1)
    assert min(left(Soap, rate) for rate in rates) < 0.2 * min(left(torch.optim.Adam, rate) for rate in rates)


def test_a_layer_in_turned_coordinates_learns_the_same() -> None:
    hessian, _ = steep_and_flat(5, least=0.1)
    _, rows = steep_and_flat(5, least=0.1, seed=1)
    _, columns = steep_and_flat(5, least=0.1, seed=2)
    start = torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    plain, turned = nn.Parameter(start.clone()), nn.Parameter(rows @ start @ columns)
    after = descend(Soap([plain], 1e-2), plain, lambda w: w @ hessian, 35)
    other = descend(Soap([turned], 1e-2), turned, lambda w: w @ (columns.T @ hessian @ columns), 35)
    assert (after - start).norm() > 0.1
    torch.testing.assert_close(rows.T @ other @ columns.T, after)


def test_a_bias_and_a_single_number_learn_as_by_adam() -> None:
    for shape in ((), (3,)):
        ours, adams = (nn.Parameter(torch.ones(shape)) for _ in range(2))
        soap, adam = Soap([ours], 1e-2, (0.8, 0.9)), torch.optim.Adam([adams], 1e-2, (0.8, 0.9))
        descend(soap, ours, lambda w: 2 * w, 1)
        assert torch.equal(ours, torch.ones(shape)), "the first gradient only gives the bases"
        torch.testing.assert_close(
            descend(soap, ours, lambda w: 2 * w, 20), descend(adam, adams, lambda w: 2 * w, 20)
        )


def test_a_side_that_is_too_long_keeps_its_basis() -> None:
    weight = nn.Parameter(torch.ones(2, 2049))
    soap = Soap([weight], 1e-2)
    descend(soap, weight, lambda w: w, 12)
    assert soap.state[weight]["left_basis"].shape == (2, 2)
    assert "right_basis" not in soap.state[weight]


def test_what_belongs_to_a_dead_filter_decays_to_zero_and_not_to_slow_numbers() -> None:
    weight = nn.Parameter(torch.ones(3, 4))
    generator = torch.Generator().manual_seed(0)
    soap = Soap([weight], 1e-3, (0.9, 0.9))
    alive = torch.ones(3, 1)
    for step in range(2500):
        alive[0] = float(step < 20)
        descend(soap, weight, lambda _: alive * torch.randn(3, 4, generator=generator), 1)
    state = soap.state[weight]
    assert not state["mean"][0].any()
    assert not state["left_covariance"][0].any()
    least = torch.finfo(torch.float32).tiny
    assert all(((value == 0) | (value.abs() >= least)).all() for value in state.values())
    assert weight.isfinite().all()
    basis = state["left_basis"]
    torch.testing.assert_close(basis @ basis.T, torch.eye(3))


@pytest.mark.parametrize("steps", [1, 9, 15])
def test_what_is_saved_goes_on_as_if_nothing_had_happened(steps: int) -> None:
    layer = nn.Conv2d(2, 3, 3)
    images = torch.rand(40, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))

    def learn(layer: nn.Module, soap: Soap, batches: Tensor) -> list[Tensor]:
        for batch in batches:
            soap.zero_grad()
            (layer(batch) - 1).square().mean().backward()
            soap.step()
        return [parameter.detach().clone() for parameter in layer.parameters()]

    soap = Soap(layer.parameters(), 1e-2)
    learn(layer, soap, images[:steps])
    twin = copy.deepcopy(layer)
    resumed = Soap(twin.parameters(), 1.0)
    resumed.load_state_dict(copy.deepcopy(soap.state_dict()))
    pairs = zip(learn(layer, soap, images[steps:]), learn(twin, resumed, images[steps:]), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no closure"):
        Soap([nn.Parameter(torch.ones(1))], 1e-2).step(lambda: 0.0)
