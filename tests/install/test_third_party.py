"""The example plugins, built as wheels and installed, work from `list` to `evaluate`.

The wheels are installed in a folder of its own on the path; the current environment is not changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.checkpoint import read_card
from restore.registry import DISABLE

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE, REAL_ESRGAN = EXAMPLES / "restore-espcn", EXAMPLES / "restore-realesrgan"

Python = Callable[..., str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheels of the examples are installed."""
    folder = tmp_path_factory.mktemp("site")
    for example in (EXAMPLE, REAL_ESRGAN):
        built = tmp_path_factory.mktemp("dist")
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
        subprocess.run(build, cwd=example, check=True, capture_output=True)
        (wheel,) = built.glob("*.whl")
        # Installing a pure Python wheel is unpacking it, so no installer is needed.
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def python(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Run a module in a process in which the plugins are installed; return stdout, fail with stderr."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str | Path) -> str:
        env = {**os.environ, "PYTHONPATH": str(site), DISABLE: ""}
        done = subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=elsewhere,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small images with learnable content."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name in ("first", "second"):
        pixels = random.integers(0, 256, (9, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 72), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def weights(python: Python, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights after three steps of training."""
    run = tmp_path_factory.mktemp("runs") / "espcn"
    options = ["--steps", "3", "--batch-size", "2", "--device", "cpu", "--set", "workers=0"]
    changes = ["--set", "model_options.width=8", "--set", "huber.delta=0.01"]
    chosen = ["--model", "espcn", "--loss", "espcn", "--data", images, "--run", run]
    python("restore", "train", *chosen, *options, *changes)
    return run / "generator.safetensors"


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_its_entries_are_listed_with_their_distribution(python: Python) -> None:
    listed = rows(python("restore", "list", "--json"))
    brought = {(row["kind"], row["name"]) for row in listed if row["distribution"] == "restore-espcn"}
    assert brought == {
        ("model", "espcn"),
        ("loss", "huber"),
        ("objective", "espcn"),
        ("plugin", "espcn"),
    }
    assert {row["state"] for row in listed if row["kind"] == "plugin"} == {"active"}


@pytest.mark.parametrize("example", [EXAMPLE, REAL_ESRGAN], ids=lambda folder: folder.name)
def test_its_own_tests_pass_against_the_wheel(python: Python, example: Path) -> None:
    assert " passed" in python("pytest", example / "tests", "-p", "no:cacheprovider")


def test_training_writes_weights_that_describe_themselves(weights: Path) -> None:
    card = read_card(weights)
    assert (card.model, card.scale, card.objective, card.steps) == ("espcn", 4, "espcn", 3)
    assert card.options == {"width": 8}


def test_an_image_is_upscaled_with_the_trained_weights(
    python: Python, images: Path, weights: Path, tmp_path: Path
) -> None:
    result = tmp_path / "large.png"
    chosen = ["--model", f"espcn:{weights}", "--device", "cpu", "-o", result]
    (row,) = rows(python("restore", "upscale", images / "first.png", *chosen, "--json"))
    assert (row["status"], row["size"]) == ("done", [320, 288])
    with Image.open(result) as image:
        assert image.size == (320, 288)
        assert len(set(image.convert("L").tobytes())) > 1


def test_it_is_evaluated_with_the_included_models(python: Python, images: Path, weights: Path) -> None:
    model = f"espcn:{weights}"
    chosen = ["--model", "bicubic", "--model", model, "--data", images]
    bicubic, espcn = rows(python("restore", "evaluate", *chosen, "--device", "cpu", "--json"))
    assert (bicubic["model"], espcn["model"]) == ("bicubic", model)
    assert len(bicubic["images"]) == len(espcn["images"]) == 2
    assert bicubic["protocol"] == espcn["protocol"]
    assert 0 < espcn["values"]["psnr"] < bicubic["values"]["psnr"]  # after three steps
