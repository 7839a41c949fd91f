"""`restore reproduce`: published tables next to measured values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_paper_is_reproduced_and_what_is_missing_is_reported(run: Run, targets: Path) -> None:
    done = run("reproduce", "enhancenet", "--data", f"Set5={targets}", "--json")
    assert done.returncode == 0, done.stderr
    cells = {
        (cell["table"], cell["method"], cell["data"]): cell
        for cell in map(json.loads, done.stdout.splitlines())
    }
    found = cells["enhancenet.table3", "ENet-E", "Set5"]
    assert (found["published"], found["images"]) == (31.74, 3)
    assert "Lanczos" in found["protocol"]["inputs"]
    assert found["measured"] == cells["enhancenet.table4", "ENet-E", "Set5"]["measured"]
    assert "MATLAB" in cells["enhancenet.table3", "Bicubic", "Set5"]["protocol"]["inputs"]
    assert "no weights 'eat'" in cells["enhancenet.table3", "ENet-EAT", "Set5"]["missing"]
    assert "`data` BSD100=FOLDER" in cells["enhancenet.table3", "ENet-E", "BSD100"]["missing"]
    assert "no model is mapped to this column" in cells["enhancenet.table4", "VDSR", "Set5"]["missing"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["enhancenett"], "Did you mean 'enhancenet'?"),
        (["enhancenet", "--data", "Set6=."], "Did you mean 'Set5'?"),
        (["enhancenet", "--data", "Set5=missing"], "missing: there is no such folder"),
        (["enhancenet", "--data", "missing"], "--data takes NAME=..."),
    ],
)
def test_wrong_reproductions_get_one_sentence(run: Run, arguments: list[str], words: str) -> None:
    done = run("reproduce", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_column_heads_name_published_and_measured_values_and_rows_their_inputs(
    run: Run, targets: Path
) -> None:
    done = run("reproduce", "enhancenet.table3", "--data", f"Set5={targets}")
    assert done.returncode == 0, done.stderr
    _, head, bicubic, enhancenet, *_ = done.stdout.splitlines()
    assert head.startswith("method    inputs of both  Set5: published  Set5: measured  Set14: published")
    assert bicubic.split()[:3] == ["Bicubic", "bicubic", "28.42"]
    assert enhancenet.split()[:3] == ["ENet-E", "lanczos", "31.74"]
    assert "  published: PSNR in dB on luma, 4x; inputs: Pillow's Lanczos" in done.stdout


def test_a_table_sets_options_of_degradation_model_and_metric(run: Run, targets: Path) -> None:
    command = ["reproduce", "ffdnet", "--data", f"CBSD68={targets}", "--json"]
    other = run(*command, "--model", "ffdnet:noise=bicubic").rows
    assert all("has no option 'sigma'" in cell["missing"] for cell in other)
    measured = run(*command).rows
    assert [cell["published"] for cell in measured] == [33.87, 31.21, 29.58, 27.96, 26.24]
    assert ["sigma 15.0" in cell["protocol"]["inputs"] for cell in measured] == [True] + [False] * 4
    assert all("RGB, 0 px shaved" in cell["protocol"]["psnr"] for cell in measured)
    values = [cell["measured"] for cell in measured]
    assert values == sorted(values, reverse=True)
    (evaluated,) = run(
        *("evaluate", "--model", "ffdnet:noise", "--data", targets, "--degradation", "noise", "--json"),
        *("--set", "noise.sigma=25", "--set", "ffdnet.sigma=25", "--set", "psnr.channels=rgb"),
    ).rows
    assert evaluated["scale"] == 1
    assert evaluated["values"]["psnr"] == pytest.approx(values[1])
