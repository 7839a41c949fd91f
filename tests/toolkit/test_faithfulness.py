"""Comparing a result with its input, and `restore upscale --check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
import restore.images
from restore import faithfulness

Run = Callable[..., Any]


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


def test_a_check_is_in_the_json_and_its_map_is_written_next_to_the_result(run: Run, targets: Path) -> None:
    done = run("upscale", targets / "a.png", "--model", "bicubic", "--json", "--check-map")
    found = json.loads(done.stdout)
    restored, degraded = (restore.images.read(targets / name).color for name in ("a_x4.png", "a.png"))
    expected = faithfulness.compare(restored, degraded)
    checked = found["check"]
    assert checked["consistency"] == pytest.approx(expected.consistency)
    assert tuple(checked["shift"].values()) == pytest.approx(expected.shift)
    assert checked["warnings"] == list(expected.warnings)
    assert checked["map"] == str(targets / "a_x4.png.check.png")
    with Image.open(checked["map"]) as image:
        assert (image.mode, image.size) == ("L", (60, 48))
        levels = np.asarray(image).astype(float)
    exact = faithfulness.consistency_map(restored, degraded)[0, 0].numpy() * 255
    assert np.abs(levels - np.minimum(exact * 8, 255)).max() <= 0.5
    assert levels.max() > 0


def test_a_map_is_refused_when_results_go_to_standard_output(run: Run, targets: Path) -> None:
    done = run("upscale", targets / "a.png", "-o", "-", "--model", "bicubic", "--check-map")
    assert done.returncode == 2
    assert "set --out to a file" in done.stderr
