"""Learning rates, averages and gradients of a training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from training_runs import Configure, Line, cosine

from restore.registry import Registry
from restore.training import Monitor, train
from restore.training.optimization import averaged, learning_rate, update_average


def test_the_learning_rate_rises_from_zero_to_its_peak_and_falls_to_its_end() -> None:
    def rate(step: int) -> float:
        return learning_rate(step, peak=2.0, warmup=10, steps=110, schedule=cosine(0.1))

    assert rate(0) == pytest.approx(0.2)
    assert [rate(step + 1) - rate(step) for step in range(9)] == pytest.approx([0.2] * 9)
    assert rate(9) == rate(10) == 2.0
    assert rate(60) == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert rate(110) == pytest.approx(0.2)
    assert all(rate(step + 1) < rate(step) for step in range(10, 110))


def test_a_schedule_without_warm_up_begins_at_its_peak_and_one_of_only_warm_up_never_falls() -> None:
    assert learning_rate(0, peak=2.0, warmup=0, steps=10, schedule=cosine(0)) == 2.0
    assert learning_rate(10, peak=2.0, warmup=0, steps=10, schedule=cosine(0)) == pytest.approx(0)
    rates = [learning_rate(step, peak=2.0, warmup=10, steps=10, schedule=cosine(0)) for step in range(10)]
    assert rates == pytest.approx([0.2 * (step + 1) for step in range(10)])


@pytest.mark.parametrize(
    ("decay", "step", "share"),
    [
        pytest.param(0.9, 1, 1 - 1 / 11, id="fast at first"),
        pytest.param(0.9, 1000, 0.1, id="slow later"),
        pytest.param(0, 1000, 1.0, id="at once without a decay"),
    ],
)
def test_the_average_follows_the_network(decay: float, step: int, share: float) -> None:
    network = nn.Linear(2, 2)
    nn.init.zeros_(network.weight)
    average = averaged(network, decay)
    nn.init.ones_(network.weight)
    update_average(average, network, step)
    (weight, _) = average.module.parameters()
    assert torch.allclose(weight, torch.full((2, 2), share))
    assert not weight.requires_grad


def test_the_average_takes_over_what_is_no_parameter() -> None:
    network = nn.BatchNorm2d(3)
    average = averaged(network, 0.9)
    network(torch.rand(2, 3, 4, 4))
    update_average(average, network, 1)
    assert torch.equal(average.module.running_mean, network.running_mean)  # type: ignore[arg-type]
    assert average.module.num_batches_tracked == 1


def test_gradients_are_clipped_to_the_largest_norm(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    # Adam divides by the gradient's size, except where that is below its epsilon of 1e-8.
    def after_one_step(name: str, **changes: Any) -> dict[str, Tensor]:
        train(configure(steps=1, ema=0, **changes), toys, tmp_path / name)
        return load_file(tmp_path / name / "generator.safetensors")

    start = after_one_step("start", lr=1e-30)
    free, wide, narrow = (after_one_step(f"clip {clip}", clip=clip) for clip in (0, 1e6, 1e-9))
    assert all(torch.equal(free[name], wide[name]) for name in start)
    assert all(
        (narrow[name] - start[name]).norm() < 0.2 * (free[name] - start[name]).norm() for name in start
    )


def test_what_loads_a_checkpoint_needs_no_pickle(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(loss="l1-toy"), toys, tmp_path / "run")
    suffixes = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    (events,) = (tmp_path / "run").glob("events.out.tfevents.*")
    assert suffixes == {".safetensors", ".json", ".jsonl", ".toml", ".png", events.suffix}


def test_every_validation_sees_the_same_random_degradation(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    lines = list[Line]()
    config = configure(
        val=[tmp_path / "photos"], degradation="bicubic+noise", steps=2, validate_every=1, lr=1e-9, warmup=0
    )
    train(config, toys, tmp_path / "run", monitor=Monitor(log=lines.append))
    first, second = (line["validation"] for line in lines if "validation" in line)
    assert second == pytest.approx(first, abs=1e-4)  # other noise changes it by more than 0.01 dB
