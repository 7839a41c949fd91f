"""The plugin meets the contract, and its recipes train."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from restore.registry import discover
from restore.testing import Check, model_checks, plugin_checks
from restore_realesrgan.network import Compact
from restore_realesrgan.options import CompactOptions

REGISTRY = discover()
SMALL = CompactOptions(features=8, convolutions=2)
RECIPES = Path(__file__).parents[1] / "recipes"
SHORT = ("--batch-size", "2", "--patch-size", "64", "--device", "cpu", "--set", "workers=0")
NARROW = ("--set", "model_options.features=8", "--set", "model_options.convolutions=2")


@pytest.mark.parametrize("check", plugin_checks("realesrgan", REGISTRY), ids=str)
def test_contract(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", model_checks(REGISTRY.models["realesrgan-compact"], scale=2, options=SMALL), ids=str
)
def test_contract_with_other_options(check: Check) -> None:
    check()


def test_the_network_has_the_parameters_of_the_authors() -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in Compact(4).named_parameters()}
    assert shapes["body.0.weight"] == (64, 3, 3, 3)
    assert shapes["body.1.weight"] == (64,)
    assert shapes["body.64.weight"] == (64, 64, 3, 3)
    assert shapes["body.66.weight"] == (48, 64, 3, 3)
    assert sum(parameter.numel() for parameter in Compact(4).parameters()) == 1_213_296
    assert sum(parameter.numel() for parameter in Compact(4, convolutions=16).parameters()) == 621_424


def test_a_new_network_passes_the_image_through_all_layers() -> None:
    network = Compact(4)
    with torch.no_grad():
        features = network.body[:-1](torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    varied = features.std((-1, -2)).mean() / features.abs().mean()
    assert varied > 0.2  # 1e-3 with PyTorch's initialization: the same features for every image


def test_a_network_with_a_zero_last_layer_repeats_the_pixels() -> None:
    network = Compact(2, features=4, convolutions=1)
    with torch.no_grad():
        for parameter in network.body[-1].parameters():
            parameter.zero_()
        image = torch.rand(1, 3, 4, 5)
        restored = network(image)
    assert torch.equal(restored, image.repeat_interleave(2, -1).repeat_interleave(2, -2))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two small images with edges."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("first", "second"):
        pixels = random.integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def train(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "restore", "train", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_both_stages_train_with_the_settings_of_the_recipes(photos: Path, tmp_path: Path) -> None:
    first, second, vgg = tmp_path / "stage1", tmp_path / "stage2", tmp_path / "vgg.safetensors"
    stage1 = ("--config", RECIPES / "stage1.toml", "--data", photos, "--run", first)
    train(*stage1, "--steps", "20", *SHORT, *NARROW, "--lr", "2e-3", "--set", "log_every=1")
    values = [line["l1"] for line in lines(first) if "l1" in line]
    assert len(values) == 20
    assert sum(values[-5:]) < sum(values[:5])

    generator = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3), 2: (64, 64)}  # conv1_1 and conv1_2
    filters = {
        f"features.{index}.weight": 0.1 * torch.randn(*shape, 3, 3, generator=generator)
        for index, shape in shapes.items()
    }
    save_file(filters | {f"features.{index}.bias": torch.zeros(64) for index in shapes}, vgg)
    start = f"realesrgan-compact:{first / 'generator.safetensors'}"
    stage2 = ("--config", RECIPES / "stage2.toml", "--data", photos, "--run", second, "--init", start)
    small = ("--set", "perceptual.layers=conv1_2:0.1", "--set", f"perceptual.vgg={vgg}")
    train(*stage2, "--steps", "3", *SHORT, *small, "--set", "adversary.discriminator.width=8")
    last = lines(second)[-1]
    assert all(np.isfinite(last[term]) for term in ("l1", "perceptual", "adversarial"))
    assert last["gate"] == 1
