"""Optimizers against plain loops over the papers' equations, in float64, and their states."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restore_optimization.optimizers import build_adam, build_adamw, build_schedule_free
from restore_optimization.options import (
    AdamOptions,
    AdamWOptions,
    MultistepOptions,
    ScheduleFreeOptions,
    WsdOptions,
)
from restore_optimization.schedule_free import ScheduleFreeAdamW
from restore_optimization.schedules import build_multistep, build_wsd

RATES = [0.01, 0.02, 0.03, 0.03, 0.015, 0.03]


def gradient(weight: list[float], step: int) -> list[float]:
    """Of a loss that changes with the step."""
    return [math.sin(3 * w + step) + 0.1 * w for w in weight]


def trained(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> Tensor:
    for step, rate in enumerate(RATES):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([gradient(weight.detach()[0].tolist(), step)], dtype=torch.float64)
        optimizer.step()
    return weight.detach()[0]


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.tensor([[0.3, -0.7, 1.1]], dtype=torch.float64))


def groups(weight: nn.Parameter) -> list[dict[str, Any]]:
    return [{"params": [weight], "lr": RATES[0]}]


def test_schedule_free_equals_its_equations() -> None:
    beta, second, decay, eps = 0.9, 0.99, 0.1, 1e-8
    z = x = [0.3, -0.7, 1.1]
    square, total, highest = [0.0] * 3, 0.0, 0.0
    for step, rate in enumerate(RATES):
        y = [(1 - beta) * b + beta * a for a, b in zip(x, z, strict=True)]
        g = gradient(y, step)
        square = [second * s + (1 - second) * d * d for s, d in zip(square, g, strict=True)]
        root = [math.sqrt(s / (1 - second ** (step + 1))) + eps for s in square]
        z = [b - rate * (d / r + decay * a) for b, d, r, a in zip(z, g, root, y, strict=True)]
        highest = max(highest, rate)
        total += highest**2
        c = highest**2 / total
        x = [(1 - c) * a + c * b for a, b in zip(x, z, strict=True)]
    y = [(1 - beta) * b + beta * a for a, b in zip(x, z, strict=True)]

    weight = parameter()
    options = ScheduleFreeOptions(betas=(beta, second), eps=eps, weight_decay=decay)
    optimizer = build_schedule_free(groups(weight), options)
    assert trained(optimizer, weight).tolist() == pytest.approx(y, rel=1e-12)
    assert isinstance(optimizer, ScheduleFreeAdamW)
    assert optimizer.averaged(weight)[0].tolist() == pytest.approx(x, rel=1e-12)


def test_looking_at_the_averaged_weights_changes_nothing() -> None:
    looked, other = parameter(), parameter()
    first, second = ScheduleFreeAdamW([looked]), ScheduleFreeAdamW([other])
    for step in range(5):
        for weight, optimizer in ((looked, first), (other, second)):
            weight.grad = torch.tensor([gradient(weight.detach()[0].tolist(), step)], dtype=torch.float64)
            optimizer.step()
        first.averaged(looked).zero_()
    assert torch.equal(looked, other)


def test_schedule_free_continues_from_its_state_to_the_same_bits() -> None:
    whole = parameter()
    trained(ScheduleFreeAdamW([whole]), whole)
    half = parameter()
    optimizer = ScheduleFreeAdamW([half])
    for step, rate in enumerate(RATES):
        if step == 3:
            state = optimizer.state_dict()
            half = nn.Parameter(half.detach().clone())
            optimizer = ScheduleFreeAdamW([half])
            optimizer.load_state_dict(state)
        optimizer.param_groups[0]["lr"] = rate
        half.grad = torch.tensor([gradient(half.detach()[0].tolist(), step)], dtype=torch.float64)
        optimizer.step()
    assert torch.equal(whole, half)


def test_before_its_first_step_the_averaged_weights_are_the_weights() -> None:
    weight = parameter()
    assert torch.equal(ScheduleFreeAdamW([weight]).averaged(weight), weight)


def test_adam_equals_its_equations() -> None:
    w, m, v = [0.3, -0.7, 1.1], [0.0] * 3, [0.0] * 3
    for step, rate in enumerate(RATES):
        g = gradient(w, step)
        m = [0.9 * a + 0.1 * d for a, d in zip(m, g, strict=True)]
        v = [0.99 * a + 0.01 * d * d for a, d in zip(v, g, strict=True)]
        bias = (1 - 0.9 ** (step + 1), 1 - 0.99 ** (step + 1))
        w = [
            a - rate * (b / bias[0]) / (math.sqrt(c / bias[1]) + 1e-8)
            for a, b, c in zip(w, m, v, strict=True)
        ]
    weight = parameter()
    result = trained(build_adam(groups(weight), AdamOptions(betas=(0.9, 0.99))), weight)
    assert result.tolist() == pytest.approx(w, rel=1e-9)


def test_weight_decay_is_decoupled_from_the_gradient() -> None:
    weight = parameter()
    optimizer = build_adamw(groups(weight), AdamWOptions(weight_decay=0.5))
    weight.grad = torch.zeros_like(weight)
    before = weight.detach().clone()
    optimizer.step()
    assert torch.allclose(weight, before * (1 - RATES[0] * 0.5))


@pytest.mark.parametrize(("vectors", "moved"), [(False, 0), (True, 1)])
def test_vectors_decay_only_when_asked(vectors: bool, moved: int) -> None:
    bias = nn.Parameter(torch.ones(3))
    optimizer = build_adamw(groups(bias), AdamWOptions(weight_decay=0.5, decay_vectors=vectors))
    bias.grad = torch.zeros_like(bias)
    optimizer.step()
    assert int((bias != 1).any()) == moved


def test_other_keys_of_a_group_survive_the_split_into_decayed_and_not() -> None:
    layer = nn.Linear(2, 2)
    given = [{"params": list(layer.parameters()), "lr": 0.1, "factor": 0.3}]
    for optimizer in (build_adamw(given, AdamWOptions()), build_schedule_free(given, ScheduleFreeOptions())):
        assert [group["factor"] for group in optimizer.param_groups] == [0.3, 0.3]


def test_milestones_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        MultistepOptions(milestones=(0.5, 0.5))


def test_a_schedule_falls_to_its_end_and_never_rises() -> None:
    for schedule in (build_wsd(WsdOptions(final=0.1)), build_multistep(MultistepOptions())):
        shares = [schedule(step, 200) for step in range(201)]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] == 1
    assert build_wsd(WsdOptions(final=0.1))(200, 200) == pytest.approx(0.1)
