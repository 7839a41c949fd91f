"""Comparing a result with its input, and `restore upscale --check`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import restore
import restore.images
from restore import faithfulness
from restore.estimation import Estimate, JpegEstimate, estimate
from restore.levels import to_levels
from restore.sharpening import gaussian_blur

Run = Callable[..., Any]

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A photograph, ``(1, 3, 256, 256)`` levels."""
    return to_levels(restore.images.read(ASTRONAUT).color)


def compressed(photo: Tensor, file: Path, quality: int) -> Path:
    Image.fromarray(photo[0].permute(1, 2, 0).numpy()).save(file, quality=quality)
    return file


def noisy(photo: Tensor, sigma: float) -> Tensor:
    noise = sigma * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    return (photo + noise).round().clamp(0, 255).to(torch.uint8)


def test_of_a_compressed_photo_the_etched_result_fails_and_the_clean_one_passes(
    photo: Tensor, tmp_path: Path
) -> None:
    file = compressed(photo, tmp_path / "photo.jpg", 30)
    degraded = restore.images.read(file).color
    suffers = estimate(degraded, file)
    sharp = restore.load("enhancenet:pat", scale=4, device="cpu")
    etched = faithfulness.compare(sharp.upscale(degraded), degraded, suffers)
    clean = faithfulness.compare(sharp.upscale(photo), degraded, suffers)
    plain = faithfulness.compare(
        restore.load("bicubic", scale=4, device="cpu").upscale(degraded), degraded, suffers
    )
    (warning,) = etched.warnings
    assert "block edges of its JPEG compression are amplified" in warning
    assert clean.warnings == plain.warnings == ()
    assert etched.blocks is not None
    assert clean.blocks is not None
    assert clean.blocks < 1.2
    assert etched.blocks > 1.5
    assert plain.blocks == pytest.approx(1, abs=0.1)
    assert clean.consistency > 45
    # All of the input taken for certain, the clean result would seem to contradict it.
    assert faithfulness.compare(sharp.upscale(photo), degraded).consistency < faithfulness.CONSISTENT


def test_amplified_noise_is_reported_and_removed_noise_is_not(photo: Tensor) -> None:
    degraded = noisy(photo, 15)
    suffers = estimate(degraded)
    amplified = faithfulness.compare(noisy(photo, 30), degraded, suffers)
    removed = faithfulness.compare(photo, degraded, suffers)
    same = faithfulness.compare(degraded, degraded, suffers)
    assert amplified.noise == pytest.approx(2, rel=0.15)
    assert any(
        "noise is amplified 1.9 times" in warning or "2.0 times" in warning for warning in amplified.warnings
    )
    assert removed.noise is not None
    assert removed.noise < 0.5
    assert removed.warnings == ()
    assert removed.consistency > 35 > faithfulness.compare(photo, degraded).consistency
    assert same.noise == pytest.approx(1)
    assert same.consistency > 100


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_result_may_be_sharper_than_a_blurred_input(photo: Tensor, sigma: float) -> None:
    degraded = gaussian_blur(photo.float(), sigma).round().clamp(0, 255).to(torch.uint8)
    suffers = estimate(degraded)
    sharp = faithfulness.compare(photo, degraded, suffers)
    assert sharp.warnings == ()
    assert sharp.consistency > faithfulness.compare(photo, degraded).consistency + 8
    assert faithfulness.compare(degraded, degraded, suffers).consistency == math.inf
    assert faithfulness.compare(photo.flip(-1), degraded, suffers).consistency < 20


def test_another_picture_contradicts_a_degraded_input(photo: Tensor, tmp_path: Path) -> None:
    file = compressed(photo, tmp_path / "photo.jpg", 30)
    degraded = restore.images.read(file).color
    other = photo.flip(-1)
    assert faithfulness.compare(other, degraded, estimate(degraded, file)).consistency < 20
    assert faithfulness.compare(other, noisy(photo, 15), estimate(noisy(photo, 15))).consistency < 20


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_original_never_contradicts_its_jpeg_file(
    photo: Tensor, tmp_path: Path, subsampling: int
) -> None:
    file = tmp_path / "photo.jpg"
    odd = photo[..., :243, :250]
    Image.fromarray(odd[0].permute(1, 2, 0).numpy()).save(file, quality=20, subsampling=subsampling)
    degraded = restore.images.read(file).color
    found = faithfulness.compare(odd, degraded, estimate(degraded, file))
    assert found.consistency > 48  # but for clipped and rounded colors and interpolated chroma
    assert found.consistency > faithfulness.compare(odd, degraded).consistency + 15


def test_a_block_edge_as_strong_as_in_the_input_is_neither_amplified_nor_removed() -> None:
    columns = torch.arange(128) // 8 % 2 * 4.0  # steps of 4 levels at the edges of blocks
    degraded = (100 + columns).expand(1, 3, 128, 128) / 255
    jpeg = JpegEstimate(30, True, "4:2:0", (0, 0), "tables", 1.0)
    suffers = Estimate(jpeg, None, None, None)
    doubled = (100 + 2 * columns).expand(1, 3, 128, 128) / 255
    flat = torch.full_like(degraded, 102 / 255)
    found = [faithfulness.amplification(each, degraded, suffers) for each in (degraded, doubled, flat)]
    assert [each.blocks for each in found] == pytest.approx([1, 2, 0], abs=1e-3)
    assert [each.noise for each in found] == [None] * 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"blocks": 1.35}, []),
        ({"blocks": 1.45}, ["block edges"]),
        ({"noise": 1.35}, []),
        ({"noise": 1.45}, ["noise"]),
    ],
)
def test_edges_and_noise_beyond_the_limit_are_warned_of(value: dict[str, float], words: list[str]) -> None:
    warnings = faithfulness.Faithfulness(50, (0, 0, 0), **value).warnings
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_a_few_true_edges_on_the_grid_do_not_make_a_result_etched() -> None:
    columns = torch.arange(256) // 8 % 2 * 4.0
    degraded = (100 + columns).expand(1, 3, 256, 256).clone()
    smooth = torch.full_like(degraded, 102)
    smooth[..., 128:136] += 12  # a true edge, which was restored with more contrast
    degraded[..., 128:136] += 4
    suffers = Estimate(JpegEstimate(30, True, "4:2:0", (0, 0), "tables", 1.0), None, None, None)
    found = faithfulness.compare(smooth / 255, degraded / 255, suffers)
    assert found.blocks is not None
    assert found.blocks < 0.5


def test_without_visible_degradation_nothing_is_amplified(photo: Tensor) -> None:
    nothing = Estimate(None, None, None, None)
    assert faithfulness.amplification(photo, photo, nothing) == faithfulness.Amplification(None, None)


def test_a_result_gets_warnings_only_if_it_differs_from_its_input() -> None:
    degraded = torch.full((1, 3, 8, 8), 0.5)
    same = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    found = faithfulness.compare(same, (degraded * 255).round().to(torch.uint8))
    assert found.consistency > 100  # but for the rounding of floating point it is infinite
    assert found.warnings == ()
    shifted = degraded.repeat_interleave(4, -1).repeat_interleave(4, -2)
    shifted[:, 0] += 20 / 255
    warned = faithfulness.compare(shifted, degraded)
    assert list(warned.shift) == pytest.approx([20, 0, 0], abs=1e-4)
    # 20 levels in one of three channels: 10 log10(255^2 * 3 / 20^2) dB, but for rounding
    assert warned.consistency == pytest.approx(26.9, abs=0.2)
    assert len(warned.warnings) == 2
    found_map = faithfulness.consistency_map(shifted, degraded)
    assert found_map.shape == (1, 1, 8, 8)
    assert found_map.mean() * 255 == pytest.approx(20, abs=0.5)  # the channel that differs most


@pytest.mark.parametrize("size", [(20, 27), (8, 8), (5, 3)])
def test_a_result_of_any_size_is_brought_to_that_of_its_input(size: tuple[int, int]) -> None:
    degraded = torch.linspace(0.2, 0.8, 3).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    restored = degraded[..., :1, :1].expand(1, 3, *size)
    found = faithfulness.compare(restored, degraded)
    assert found.consistency > 100
    assert found.shift == pytest.approx((0, 0, 0), abs=1e-4)
    assert faithfulness.consistency_map(restored, degraded).shape == (1, 1, 8, 8)


def test_upscale_reports_the_consistency_of_a_result(run: Run, targets: Path) -> None:
    done = run("upscale", targets / "a.png", "--model", "bicubic", "--check")
    assert done.returncode == 0, done.stderr
    assert "a_x4.png: consistency" in done.stderr
    assert sorted(path.name for path in targets.glob("a*")) == ["a.png", "a_x4.png"]


def test_a_check_names_what_its_input_suffers_from(run: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :96]
    levels = np.stack([x * 2, y * 2, 128 + 60 * np.sin(x * y / 200)], -1).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jpg", quality=10)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "b.png")
    for name in ("a.jpg", "b.png"):
        done = run("upscale", tmp_path / name, "--model", "bicubic", "--json", "--check")
        assert done.stderr.splitlines()[0].endswith("; input: JPEG of quality 10")
        assert json.loads(done.stdout)["check"]["input"] == {"quality": 10, "noise": None, "blur": None}


def test_a_check_is_in_the_json_and_its_map_is_written_next_to_the_result(run: Run, targets: Path) -> None:
    done = run("upscale", targets / "a.png", "--model", "bicubic", "--json", "--check-map")
    found = json.loads(done.stdout)
    restored, degraded = (restore.images.read(targets / name).color for name in ("a_x4.png", "a.png"))
    suffers = estimate(degraded)
    expected = faithfulness.compare(restored, degraded, suffers)
    checked = found["check"]
    assert checked["consistency"] == pytest.approx(expected.consistency)
    assert tuple(checked["shift"].values()) == pytest.approx(expected.shift)
    assert (checked["blocks"], checked["noise"]) == (None, pytest.approx(expected.noise))
    assert checked["warnings"] == list(expected.warnings)
    assert checked["map"] == str(targets / "a_x4.png.check.png")
    with Image.open(checked["map"]) as image:
        assert (image.mode, image.size) == ("L", (60, 48))
        levels = np.asarray(image).astype(float)
    exact = faithfulness.consistency_map(restored, degraded, suffers)[0, 0].numpy() * 255
    assert np.abs(levels - np.minimum(exact * 8, 255)).max() <= 0.5
    assert levels.max() > 0


def test_a_map_is_refused_when_results_go_to_standard_output(run: Run, targets: Path) -> None:
    done = run("upscale", targets / "a.png", "-o", "-", "--model", "bicubic", "--check-map")
    assert done.returncode == 2
    assert "set --out to a file" in done.stderr
