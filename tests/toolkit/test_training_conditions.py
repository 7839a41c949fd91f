"""Models that take numbers beside the image are trained with what the degradation drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restore.config import TrainingConfig, resolve
from restore.data import (
    CountedSampler,
    Degradation,
    Patches,
    batches,
    conditions_of,
    find_degradation,
    find_images,
    generator_of,
)
from restore.errors import DataError, RestoreError, UsageError
from restore.images import read
from restore.interfaces import UNDEGRADED, Degraded
from restore.registry import discover
from restore.training import train
from restore.training.networks import build
from restore.training.processes import ProcessGroup
from restore.training.recipe import shortcuts
from restore.training.session import begin
from restore.training.setup import make_fabric, set_up
from restore.training.step import train_step

REGISTRY = discover()


def noisy(target: Tensor, generator: torch.Generator) -> Degraded:
    """Noise whose deviation can be measured."""
    sigma = 50 * float(torch.rand((), generator=generator))
    noise = torch.randn(target.shape, generator=generator) * sigma / 255
    return Degraded(target + noise, ({"sigma": sigma},))


def configured(photos: Path, **settings: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "model": "ffdnet",
        "model_options": {"width": 8, "layers": 4},
        "loss": "l1",
        "data": [photos],
        "degradation": "noise",
        "scale": 1,
        "steps": 4,
        "batch_size": 2,
        "patch_size": 16,
        "workers": 0,
        "device": "cpu",
        "precision": "fp32",
        "log_every": 1,
        "checkpoint_every": 2,
    }
    return TrainingConfig(**values | settings)


def test_each_sample_carries_the_number_that_was_drawn_for_it(photos: Path) -> None:
    files = [photos / "a.png", photos / "b.png"]
    data = Patches(files, 32, Degradation(noisy), seed=1, conditions=["sigma", "quality"])
    for index in range(4):
        degraded, target, conditions = data[index]
        sigma, quality = conditions.tolist()
        assert float((degraded - target).std() * 255) == pytest.approx(sigma, rel=0.1)
        assert quality == 100


def test_loading_in_other_processes_changes_no_number(photos: Path) -> None:
    data = Patches(find_images([photos])[:1], 32, Degradation(noisy), seed=1, conditions=["sigma"])
    here, there = (list(batches(data, CountedSampler(0, 3, 2), workers)) for workers in (0, 2))
    assert [batch.conditions.shape for batch in here] == [(2, 1)] * 3
    assert all(torch.equal(a.conditions, b.conditions) for a, b in zip(here, there, strict=True))


def test_in_a_chain_the_last_number_of_the_name_counts() -> None:
    drawn: dict[str, float | str] = {
        "noise.sigma": 3.0,
        "noise#2.sigma": 7.0,
        "jpeg.quality": 40.0,
        "jpeg.subsampling": "4:2:0",
    }
    assert conditions_of(drawn, ["quality", "sigma"]).tolist() == [40, 7]


@pytest.mark.parametrize("drawn", [{}, {"blur.kind": "disk"}])
def test_a_number_that_is_never_drawn_is_named(drawn: dict[str, float | str]) -> None:
    with pytest.raises(DataError, match="did not draw a number 'kind'"):
        conditions_of(drawn, ["kind"])


def test_a_blur_is_not_taken_for_noise(photos: Path) -> None:
    blurred = find_degradation("blur+sharpen", REGISTRY, 1)(read(photos / "a.png").color, generator_of(0, 0))
    assert conditions_of(blurred.parameters[0], ["sigma"]).tolist() == [0]


@pytest.mark.parametrize("parts", [1, 2])
def test_the_network_is_given_the_numbers_of_its_images(photos: Path, parts: int) -> None:
    setup = set_up(configured(photos, accumulate=parts), REGISTRY)
    fabric = make_fabric(setup)
    session = begin(setup, build(setup, REGISTRY, fabric.device), ProcessGroup(fabric))
    batch = next(batches(setup.images.samples, CountedSampler(0, 1, 2)))
    given: list[tuple[Tensor, Tensor]] = []
    session.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs))
    train_step(session, batch)
    images, numbers = (torch.cat(tensors) for tensors in zip(*given, strict=True))
    assert len(given) == parts
    assert torch.equal(images, batch.degraded)
    assert torch.equal(numbers, batch.conditions[:, 0])


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "l1", "accumulate": 2},
        {"degradation": "noise+jpeg", "model_options": {"width": 8, "layers": 4, "strength": "quality"}},
    ],
)
def test_a_resumed_run_equals_one_that_never_stopped(
    photos: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    half, whole = (configured(photos, **settings, schedule="constant", steps=steps) for steps in (2, 4))
    train(half, REGISTRY, tmp_path / "short")
    train(whole, REGISTRY, tmp_path / "short", resume=True)
    train(whole, REGISTRY, tmp_path / "long")
    short, long = (tmp_path / name / "generator.safetensors" for name in ("short", "long"))
    assert short.read_bytes() == long.read_bytes()


def test_a_mix_of_two_strengths_is_refused(photos: Path, tmp_path: Path) -> None:
    config = configured(photos, augmentations=["cutmix"])
    with pytest.raises(UsageError, match=r"the augmentation 'cutmix' mixes .* takes one number for 'sigma'"):
        train(config, REGISTRY, tmp_path / "run")


def test_a_degradation_without_the_number_is_refused_before_anything_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(UNDEGRADED, "sigma")
    with pytest.raises(RestoreError, match="did not draw a number 'sigma'"):
        train(configured(photos, degradation="jpeg"), REGISTRY, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_options_of_a_single_degradation_are_set_by_its_name() -> None:
    given = {"loss": "l1", "data": ["photos"], "degradation": "noise", "scale": 1}
    config = resolve(None, ["noise.sigma=5:10"], given, shortcuts(REGISTRY))
    found = find_degradation(config.degradation, REGISTRY, 1, config.degradation_options)
    plain = find_degradation("noise", REGISTRY, 1, {"sigma": "5:10"})
    assert found.protocol == plain.protocol


def test_the_first_inputs_of_a_run_are_shown_above_their_targets(photos: Path, tmp_path: Path) -> None:
    config = configured(photos, degradation="bicubic", model="enhancenet", model_options={}, scale=4)
    train(config, REGISTRY, tmp_path / "run")
    picture = read(tmp_path / "run" / "inputs.png").color
    assert picture.shape == (1, 3, 32, 32)
    degraded, target, _ = set_up(config, REGISTRY).images.samples[1]
    shown = picture[0, :, :, 16:]
    torch.testing.assert_close(shown[:, 16:], target, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(shown[:, 2:16:4, 2:16:4], degraded, atol=0.51 / 255, rtol=0)
