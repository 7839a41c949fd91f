"""The benchmarks run and print their tables. Their results are not checked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restore.config import TrainingConfig
from restore.registry import Registry

Configure = Callable[..., TrainingConfig]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def call(*arguments: object, program: str = "training") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{program}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_training_benchmark_prints_its_tables(photos: Path) -> None:
    tiny = ("--batch-size", 2, "--patch-size", 16, "--steps", 2, "--warmup", 1, "--repeats", 1)
    done = call(photos, *tiny, "--set", "model_options={width=8, blocks=1}")
    assert done.returncode == 0, done.stderr
    title, speeds, phases = done.stdout.strip().split("\n\n")
    assert title.startswith("enhancenet 4x, objective e, batch 2, targets of 16x16 pixels, ")
    assert title.endswith(" loading; 1 runs of 2 steps after 1")
    first_words = [line.split("  ")[0] for line in speeds.splitlines()]
    assert first_words[:3] == ["images per second", "restore train", "plain loop"]
    assert re.search(r"^ratio: [0-9.]+ \(from", speeds, re.M)
    assert re.search(r"^waiting for data: [0-9.]+ % \(from", speeds, re.M)
    rows = [line.split() for line in phases.splitlines()]
    assert [row[0] for row in rows] == ["phase", "generator", "losses", "discriminator", "rest", "whole"]
    assert sum(float(row[2]) for row in rows[1:5]) == pytest.approx(100, abs=0.3)


def test_the_benchmark_of_choosing_prints_a_line_for_each_size() -> None:
    done = call("--model", "bicubic", 32, 64, program="choosing")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["32", "64"]


def test_the_benchmark_of_the_server_prints_both_sides(photos: Path) -> None:
    done = call(photos, "--model", "bicubic", "--runs", 1, "--side", 64, "--device", "cpu", program="serve")
    assert done.returncode == 0, done.stderr
    assert "latency of 64x64 (ms)" in done.stdout
    assert "ratio " in done.stdout


def test_an_unknown_objective_is_one_sentence() -> None:
    refused = call("--loss", "pta", "--patch-size", 16)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: there is no objective or loss 'pta'")
    assert "Traceback" not in refused.stderr


def test_every_part_of_an_adversarial_step_is_measured(
    monkeypatch: pytest.MonkeyPatch, toys: Registry, configure: Configure
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import training as benchmark

    case = benchmark.Case(configure(loss="l1-toy", steps=3), toys, warmup=1)
    phases = benchmark.measure_phases(case)
    assert phases.keys() == benchmark.PHASES.keys()
    assert all(phase.milliseconds > 0 for phase in phases.values())
    assert phases["generator"].gigaflop > 0 < phases["discriminator"].gigaflop
    assert phases["rest"].gigaflop == 0


def test_the_operations_of_a_step_are_those_of_the_network_and_its_gradient(
    monkeypatch: pytest.MonkeyPatch, toys: Registry, configure: Configure
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import training as benchmark

    case = benchmark.Case(configure(steps=3), toys, warmup=1)
    phases = benchmark.measure_phases(case)
    network = case.setup().generator()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, 8, 8)).sum().backward()
    assert phases["generator"].gigaflop == pytest.approx(1e-9 * counter.get_total_flops())
    assert [phases[name].gigaflop for name in ("losses", "discriminator", "rest")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("model", "scale", "operations_per_pixel"), [("enhancenet", 4, 4.19e6), ("ffdnet:noise", 1, 0.4255e6)]
)
def test_the_speed_benchmark_compares_with_the_fastest_peer(
    tmp_path: Path, model: str, scale: int, operations_per_pixel: float
) -> None:
    names = ("PyTorch fp32", "PyTorch bf16 channels_last", "restore")
    only = [word for name in names for word in ("--only", name)]
    plot = tmp_path / "speed.svg"
    asked = ["--model", model, "--size", 16, "--repeats", 1, *only, "--json", "--plot", plot]
    done = call(*asked, program="inference")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    rows = {row["name"]: row for row in result["rows"]}
    assert set(rows) == set(names)
    assert max(row["ratio"] for row in rows.values() if row["kind"] == "peer") == 1
    assert result["ratio_default"] == rows["restore"]["ratio"] == result["ratio_to_best_peer"]
    pixels = (16 * scale) ** 2
    for row in rows.values():
        assert row["megapixels"] == pytest.approx(pixels / 1e3 / row["milliseconds"])
        operations = row["share"] * result["gflops"]["matrix product bf16"] * row["milliseconds"] * 1e6
        assert operations / 16**2 == pytest.approx(operations_per_pixel, rel=0.01)
    assert plot.read_text().count("restore") >= 1


def test_the_speed_benchmark_refuses_unknown_contestants() -> None:
    done = call("--only", "pytorch", program="inference")
    assert done.returncode == 2
    assert "there is no contestant" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_speed_benchmark_needs_something_to_compare() -> None:
    for only in ("restore", "PyTorch fp32"):
        done = call("--only", only, program="inference")
        assert done.returncode == 2
        assert "there is nothing to compare" in done.stderr


def test_the_memory_benchmark_measures_each_size() -> None:
    done = call("--size", "8x8", "--size", "64x64", "--model", "bicubic", "--json", program="memory")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["output_megapixels"] for row in rows] == [0.001024, 0.065536]
    assert all(100 < row["peak_mib"] < 4000 for row in rows)


WAYS = ["network alone", "pipeline", "one after another", "pipeline, --small"]
FOLDER = ("--model", "bicubic", "--device", "cpu", "--images", 2, "--small-images", 1, "--repeats", 1)


def test_the_folder_benchmark_prints_its_table(photos: Path) -> None:
    done = call(photos, *FOLDER, program="folder")
    assert done.returncode == 0, done.stderr
    title, table = done.stdout.strip().split("\n\n")
    assert title.startswith("bicubic 4x, 2 images (1 with --small), ")
    names = [line.split("  ")[0] for line in table.splitlines()]
    assert names == ["megapixels per second", *WAYS]


def test_the_folder_benchmark_prints_one_json_object(photos: Path) -> None:
    found = json.loads(call(photos, *FOLDER, "--json", program="folder").stdout)
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == WAYS
    assert rows["network alone"]["share_kept"] == 1
    assert all(row["megapixels_per_second"] > 0 for row in rows.values())
    assert [way for way, row in rows.items() if row["bytes_per_pixel"]] == WAYS[1:]


def test_the_folder_benchmark_refuses_a_folder_without_images(tmp_path: Path) -> None:
    refused = call(tmp_path, *FOLDER, program="folder")
    assert refused.returncode == 2
    assert "no images in this folder" in refused.stderr


def test_the_startup_benchmark_prints_a_ratio_for_each_command() -> None:
    done = call("--repeats", 3, "--json", program="startup")
    assert done.returncode in (0, 1), done.stderr  # 1: slower than its limit, which a busy machine can cause
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["program"] for row in rows] == ["import typer, rich", "--help", "list"]
    assert rows[0]["ratio"] == 1
    assert all(row["seconds"] > 0 for row in rows)


def test_the_page_benchmark_prints_times_and_sizes() -> None:
    done = call("--model", "bicubic", "--repeats", 1, "--json", program="page")
    assert done.returncode == 0, done.stderr
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert row["pictures"] == 1
    assert row["output_megapixels"] == 1024 * 2048 / 1e6
    (stage,), (everything,) = row["milliseconds"].values()
    assert 0 < stage <= everything
    assert row["picture_bytes"] < row["page_bytes"]


def test_the_benchmark_of_listings_counts_no_request_per_object() -> None:
    done = call("--count", 3000, "--latency", 0, program="listing")
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    assert header.split()[:3] == ["objects", "seconds", "of"]
    objects, _, _, _, requests, *_ = row.split()
    assert (objects, requests) == ("3,000", "8")  # three pages each, and the list of records with one record
