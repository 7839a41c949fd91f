"""The weights that ship are whole, described, in the wheel, and worth their size."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from skimage.data import astronaut

import restore
from restore.checkpoint import load_model, read_card, sha256
from restore.data import find_degradation, generator_of
from restore.degradation import bicubic
from restore.errors import WeightsError
from restore.interfaces import ModelSpec, Weights
from restore.registry import discover

ROOT = Path(__file__).parents[2]
REGISTRY = discover()
SHIPPED = [
    (model, weights)
    for model in REGISTRY.models.values()
    for weights in model.weights
    if REGISTRY.models.owner(model.name).distribution == "restorekit"
]


def file_of(weights: Weights) -> Path:
    assert isinstance(weights.source, Path)
    return weights.source


def test_the_first_two_networks_ship_with_weights_for_4x() -> None:
    assert {(model.name, weights.name) for model, weights in SHIPPED if weights.scale == 4} >= {
        ("enhancenet", "e"),
        ("enhancenet", "pat"),
        ("enhancenet", "photo"),
        ("enhancenet", "blurred"),
        ("srcnn", "mse"),
    }


@pytest.mark.parametrize(("model", "weights"), SHIPPED)
def test_each_file_is_the_one_that_was_declared(model: ModelSpec, weights: Weights) -> None:
    file = file_of(weights)
    assert sha256(file) == weights.sha256
    card = read_card(file)
    assert (card.model, card.scale) == (model.name, weights.scale)
    loaded = load_model(f"{model.name}:{weights.name}", REGISTRY, weights.scale)
    assert all(parameter.isfinite().all() for parameter in loaded.module.parameters())


@pytest.mark.parametrize(("model", "weights"), SHIPPED)
def test_each_file_has_a_card_with_the_declared_metrics(model: ModelSpec, weights: Weights) -> None:
    card = file_of(weights).with_suffix(".md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Training", "## Results", "## Limits", "License"):
        assert heading in card
    assert weights.metrics
    for name, figure in weights.metrics.items():
        assert (f"{figure:.2f}" if "PSNR" in name else f"{figure:.4f}") in card


@pytest.mark.parametrize("objective", ["p", "ea", "pa", "eat"])
def test_the_other_objectives_are_kept_beside_the_package(objective: str) -> None:
    file = ROOT / "plugins" / "enhancenet" / "weights" / f"enhancenet_{objective}_x4.safetensors"
    card = read_card(file)
    assert (card.scale, card.objective) == (4, objective)
    assert file.stat().st_size < 1.75e6  # half precision
    loaded = load_model(f"enhancenet:{file}", REGISTRY)
    assert all(parameter.isfinite().all() for parameter in loaded.module.parameters())


def test_the_weights_of_dncnn_are_kept_beside_the_package() -> None:
    file = ROOT / "plugins" / "denoising" / "weights" / "dncnn_noise_x1.safetensors"
    target = torch.tensor(astronaut()).permute(2, 0, 1)[None, :, :128, 192:320].float() / 255
    degraded = find_degradation("noise", REGISTRY, 1, {"sigma": 25})(target, generator_of(0, 0)).image
    restored = restore.load(f"dncnn:{file}", device="cpu").restore(degraded)
    psnr = REGISTRY.metrics["psnr"].build(1, REGISTRY.metrics["psnr"].options())
    assert psnr(restored, target, gray=False) > psnr(degraded, target, gray=False) + 5


def test_what_ships_is_small() -> None:
    assert sum(file_of(weights).stat().st_size for _, weights in SHIPPED) < 24e6


def test_each_network_is_better_than_the_one_before() -> None:
    target = torch.tensor(astronaut()).permute(2, 0, 1)[None].double() / 255
    psnr = REGISTRY.metrics["psnr"].build(4, REGISTRY.metrics["psnr"].options())
    figures = []
    for name in ("bicubic", "srcnn:mse", "enhancenet:e"):
        restored = restore.load(name, scale=4, device="cpu").restore(bicubic(target, 4).float())
        figures.append(psnr(restored, target, gray=False))
    assert figures[1] > figures[0] + 0.8
    assert figures[2] > figures[1] + 0.5


@pytest.mark.parametrize(
    ("chosen", "strengths"),
    [
        ("enhancenet:photo", {"noise": {"sigma": 8}, "jpeg": {"quality": 60}}),
        ("enhancenet:blurred", {"blur": {"sigma": 1.4}, "noise": {"sigma": 3}, "jpeg": {"quality": 75}}),
    ],
)
def test_what_auto_chooses_for_a_degraded_photo_is_better_than_bicubic_and_the_weights_for_clean_ones(
    chosen: str, strengths: dict[str, dict[str, Any]]
) -> None:
    target = torch.tensor(astronaut()).permute(2, 0, 1)[None].float() / 255
    small = bicubic(target.double(), 4).float()
    degraded = find_degradation("+".join(strengths), REGISTRY, 1, strengths)(small, generator_of(0, 0)).image
    choice = restore.load("auto", device="cpu").select(degraded).choice
    assert choice is not None
    assert choice.model == chosen
    psnr = REGISTRY.metrics["psnr"].build(4, REGISTRY.metrics["psnr"].options())
    best, *others = (
        psnr(restore.load(name, scale=4, device="cpu").restore(degraded), target, gray=False)
        for name in (chosen, "bicubic", "enhancenet:pat")
    )
    assert best > max(others) + 0.3


@pytest.mark.parametrize(("weights", "strength"), [("noise", 25), ("jpeg", 20)])
def test_the_strength_of_a_degradation_is_removed(weights: str, strength: float) -> None:
    target = torch.tensor(astronaut()).permute(2, 0, 1)[None, :, :256, 128:384].float() / 255
    name = "sigma" if weights == "noise" else "quality"
    degradation = find_degradation(weights, REGISTRY, 1, {name: strength})
    degraded = degradation(target, generator_of(0, 0)).image
    restored = restore.load(f"ffdnet:{weights}", device="cpu").restore(degraded)  # estimates the strength
    psnr = REGISTRY.metrics["psnr"].build(1, REGISTRY.metrics["psnr"].options())
    before, after = (psnr(image, target, gray=False) for image in (degraded, restored))
    assert after > before + (8 if weights == "noise" else 1)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "e.safetensors"
    content = bytearray(file_of(REGISTRY.models["enhancenet"].weights[0]).read_bytes())
    file.write_bytes(content[:-100])
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_model(f"enhancenet:{file}", REGISTRY)


def test_the_wheel_holds_all_packages_with_their_weights_and_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("restore", "restore_enhancenet", "restore_baselines"):
        assert f"{package}/py.typed" in names
    for model, weights in SHIPPED:
        package = {"enhancenet": "restore_enhancenet", "ffdnet": "restore_denoising"}.get(
            model.name, "restore_baselines"
        )
        assert f"{package}/weights/{file_of(weights).name}" in names
        assert f"{package}/weights/{file_of(weights).with_suffix('.md').name}" in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "docs/", "plugins/"))]
    assert sum(re.search(r"_x\d\.safetensors$", name) is not None for name in names) == len(SHIPPED)
