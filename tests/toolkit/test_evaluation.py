"""`restore evaluate`: rows with their protocols."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import restore
from restore.errors import DataError
from restore.evaluation import Dataset, Meter, Row, dataset, evaluate, meters
from restore.registry import Registry, discover
from restore.report import evaluation_table


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    """Three targets, one of them grayscale, one no multiple of four."""
    folder = tmp_path / "targets"
    folder.mkdir()
    random = np.random.default_rng(0)
    slope = np.add.outer(np.arange(48), np.arange(60))[..., None]
    smooth = slope + random.integers(0, 40, (48, 60, 3))
    Image.fromarray(smooth.astype(np.uint8)).save(folder / "a.png")
    Image.fromarray(smooth.astype(np.uint8)[:47, :59]).save(folder / "b.png")
    Image.fromarray(smooth.astype(np.uint8)[..., 0]).save(folder / "gray.png")
    return folder


def bicubic_row(registry: Registry, data: Dataset) -> Row:
    used = meters(["psnr", "ssim"], registry, data.scale)
    return evaluate(restore.load("bicubic", scale=data.scale, device="cpu"), data, used)


def test_a_row_holds_each_image_and_their_means(registry: Registry, targets: Path) -> None:
    row = bicubic_row(registry, dataset(targets, registry, 4))
    assert [image.name for image in row.images] == ["a.png", "b.png", "gray.png"]
    assert [image.size for image in row.images] == [(60, 48), (56, 44), (60, 48)]
    assert row.figures["psnr"] == pytest.approx(np.mean([image.figures["psnr"] for image in row.images]))
    assert row.seconds > 0
    assert "MATLAB bicubic 1/4" in row.protocol["inputs"]
    assert "4 px shaved" in row.protocol["psnr"]


def test_given_inputs_are_used_instead_of_made_ones(
    registry: Registry, targets: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for pair in dataset(targets, registry, 4).pairs():
        pixels = (pair.degraded[0].permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(inputs / pair.name)
    made = bicubic_row(registry, dataset(targets, registry, 4))
    given = bicubic_row(registry, dataset(targets, registry, 4, degraded=inputs))
    assert given.figures["psnr"] == pytest.approx(made.figures["psnr"], abs=1e-9)
    Image.new("RGB", (15, 12)).save(inputs / "a.png")
    other = bicubic_row(registry, dataset(targets, registry, 4, degraded=inputs))
    assert other.figures["psnr"] < given.figures["psnr"] - 1


def test_a_wrong_partner_is_named(registry: Registry, targets: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    data = dataset(targets, registry, 4, degraded=inputs)
    with pytest.raises(DataError, match=r"no degraded image .*a\.png"):
        bicubic_row(registry, data).complete()
    Image.new("RGB", (16, 12)).save(inputs / "a.png")
    with pytest.raises(DataError, match="has 16x12 pixels, but at scale 4 its target asks for 15x12"):
        bicubic_row(registry, data).complete()


def test_the_older_release_is_another_protocol_and_another_table(registry: Registry, targets: Path) -> None:
    rows = [
        bicubic_row(registry, dataset(targets, registry, 4, options={"release": release}))
        for release in ("current", "older")
    ]
    used: list[Meter] = meters(["psnr", "ssim"], registry, 4)
    table = evaluation_table(rows, used)
    assert table.count("psnr (dB)") == 2
    assert evaluation_table(rows[:1] * 2, used).count("psnr (dB)") == 1


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "restore", "evaluate", "--device", "cpu", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_json_has_one_object_for_each_model_and_data_set(targets: Path) -> None:
    done = run("--model", "bicubic", "--data", targets, "--data", targets, "--scale", 2, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    wanted = {"model", "data", "scale", "images", "figures", "seconds", "protocol"}
    assert wanted <= set(rows[0])
    assert (rows[0]["model"], rows[0]["scale"], len(rows[0]["images"])) == ("bicubic", 2, 3)


def test_the_table_says_its_protocol(targets: Path) -> None:
    done = run("--model", "bicubic", "--data", targets)
    assert done.returncode == 0, done.stderr
    assert "psnr (dB)" in done.stdout
    assert "luma 16-235" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--model", "bicubic", "--data", "missing"], 2, "there is no folder 'missing'"),
        (["--model", "bicubic", "--data", ".", "--metric", "psnrr"], 2, "Did you mean 'psnr'?"),
        (
            ["--model", "bicubic", "--data", ".", "--degraded", "missing"],
            2,
            "no folder 'missing' for --degraded",
        ),
    ],
)
def test_wrong_requests_get_one_sentence(arguments: list[str], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_json_stays_json_when_a_result_is_perfect(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / "flat.png")
    done = run("--model", "bicubic", "--data", tmp_path, "--json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    row = json.loads(done.stdout, parse_constant=refuse)
    assert row["figures"]["psnr"] is None
    assert row["figures"]["ssim"] == pytest.approx(1.0)
