"""`restore evaluate`: rows with their protocols."""

from __future__ import annotations

import csv
import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import restore
import restore.images
from restore import faithfulness
from restore.cli import main
from restore.errors import DataError, UnknownNameError
from restore.evaluation import (
    Dataset,
    Result,
    Row,
    dataset,
    evaluate,
    meters,
    multiply_adds,
    paired,
    parameters,
    peak_memory,
)
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
    assert row.means["psnr"] == pytest.approx(np.mean([image.values["psnr"] for image in row.images]))
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
    assert given.means["psnr"] == pytest.approx(made.means["psnr"], abs=1e-9)
    Image.new("RGB", (15, 12)).save(inputs / "a.png")
    other = bicubic_row(registry, dataset(targets, registry, 4, degraded=inputs))
    assert other.means["psnr"] < given.means["psnr"] - 1


def test_a_wrong_partner_is_named(registry: Registry, targets: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    data = dataset(targets, registry, 4, degraded=inputs)
    with pytest.raises(DataError, match=r"no degraded image .*a\.png"):
        bicubic_row(registry, data).complete()
    Image.new("RGB", (16, 12)).save(inputs / "a.png")
    with pytest.raises(DataError, match="has 16x12 pixels, but at scale 4 its target needs 15x12"):
        bicubic_row(registry, data).complete()


def test_the_older_release_is_another_protocol_and_another_table(registry: Registry, targets: Path) -> None:
    rows = [
        bicubic_row(registry, dataset(targets, registry, 4, options={"release": release}))
        for release in ("current", "older")
    ]
    used = tuple(meters(["psnr", "ssim"], registry, 4))
    assert evaluation_table(Result(tuple(rows), used, "bicubic")).count("psnr (dB)") == 2
    assert evaluation_table(Result((rows[0], rows[0]), used, "bicubic")).count("psnr (dB)") == 1


class Done(NamedTuple):
    returncode: object
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, exit code and all."""

    def call(*arguments: object, command: str = "evaluate") -> Done:
        monkeypatch.setattr(sys, "argv", ["restore", command, "--device", "cpu", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Done(caught.value.code, captured.out, captured.err)

    return call


def test_json_has_one_object_for_each_model_and_data_set(run: Run, targets: Path) -> None:
    done = run("--model", "bicubic", "--data", targets, "--data", targets, "--scale", 2, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    wanted = {"model", "data", "scale", "images", "values", "seconds", "protocol"}
    assert wanted <= set(rows[0])
    assert (rows[0]["model"], rows[0]["scale"], len(rows[0]["images"])) == ("bicubic", 2, 3)


def test_the_table_says_its_protocol(run: Run, targets: Path) -> None:
    done = run("--model", "bicubic", "--data", targets)
    assert done.returncode == 0, done.stderr
    assert "psnr (dB)" in done.stdout
    assert "luma 16-235" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--model", "bicubic", "--data", "missing"], 2, "missing: there is no such folder"),
        (["--model", "bicubic", "--data", ".", "--metric", "psnrr"], 2, "Did you mean 'psnr'?"),
        (
            ["--model", "bicubic", "--data", ".", "--degraded", "missing"],
            2,
            "missing: there is no such folder; check --degraded",
        ),
    ],
)
def test_wrong_requests_get_one_sentence(run: Run, arguments: list[str], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_json_stays_json_when_a_result_is_perfect(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / "flat.png")
    done = run("--model", "bicubic", "--data", tmp_path, "--json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    row = json.loads(done.stdout, parse_constant=refuse)
    assert row["values"]["psnr"] is None
    assert row["values"]["ssim"] == pytest.approx(1.0)


def test_a_report_has_a_comparison_of_each_image_that_every_model_did(
    run: Run, targets: Path, tmp_path: Path
) -> None:
    (targets / "broken.png").write_bytes(b"no image")
    page = tmp_path / "made" / "page.html"
    done = run("--model", "bicubic", "--model", "srcnn", "--data", f"mine={targets}", "--report", page)
    assert done.returncode == 1
    assert "broken.png" in done.stderr
    text = page.read_text()
    opened = re.findall(r'<a href="([^"]+)"', text)
    assert opened == [f"page_images/mine/{name}.png.html" for name in ("a", "b", "gray")]
    assert sorted(path for path in page.parent.rglob("*") if path.is_file()) == sorted(
        [page, *(page.parent / address for address in opened)]
    )
    assert all(f'<th scope="row">{model}</th>' in text for model in ("bicubic", "srcnn"))
    found = re.search(r'id="data">(.*?)</script>', (page.parent / opened[2]).read_text())
    assert found
    pictures = json.loads(found[1])["pictures"]
    assert [picture["name"] for picture in pictures] == ["Input", "bicubic", "srcnn", "Target"]
    measured = run("--model", "bicubic", "--data", f"mine={targets}", "--json")
    (gray,) = [image for image in json.loads(measured.stdout)["images"] if image["name"] == "gray.png"]
    assert pictures[1]["values"] == pytest.approx(gray["values"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--report", "page.pdf"], "page.pdf: a report is an HTML page"),
        (["--report", "page.html", "--model", "bicubic"], "--model bicubic is given twice"),
        (["--report", "page.html", "--data", "."], "give names: --data NAME=FOLDER"),
    ],
)
def test_what_a_report_cannot_show_is_refused_before_the_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, targets: Path, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(targets)
    done = run("--model", "bicubic", "--data", ".", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(targets.rglob("*.html"))


# Differences -----------------------------------------------------------------------------------------


def test_a_constant_difference_has_an_interval_without_width() -> None:
    found = paired([20.0, 30.0, 25.0], [21.5, 31.5, 26.5])
    assert (found.mean, found.low, found.high) == (1.5, 1.5, 1.5)
    assert found.is_clear


def test_the_interval_is_that_of_all_resamples() -> None:
    differences = [0.1, 0.9, 2.0, 3.2, 4.5]
    every = [np.mean(drawn) for drawn in itertools.product(differences, repeat=5)]
    low, high = np.quantile(every, [0.025, 0.975])
    found = paired([0.0] * 5, differences)
    assert found.mean == pytest.approx(np.mean(differences))
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03)


def test_the_interval_of_many_images_is_the_normal_one_and_repeats() -> None:
    differences = np.random.default_rng(1).normal(0.3, 2.0, 400).tolist()
    first, again = (paired([0.0] * 400, differences) for _ in range(2))
    assert first == again
    half = 1.96 * np.std(differences) / 20
    assert (first.high - first.low) / 2 == pytest.approx(half, rel=0.05)


def test_perfect_results_have_no_interval_and_unequal_lists_are_refused() -> None:
    assert np.isnan(paired([np.inf, 30.0], [np.inf, 31.0]).mean)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired([1.0], [])


# Losses, costs, files --------------------------------------------------------------------------------


def test_a_loss_is_a_metric_on_the_8_bit_result(registry: Registry, targets: Path) -> None:
    (meter,) = meters(["l1"], registry, 4)
    target = torch.full((1, 3, 16, 16), 100 / 255)
    assert meter.measure(target + 2.3 / 255, target, gray=False) == pytest.approx(2 / 255, abs=1e-6)
    assert meter.better == "lower"


def test_a_loss_that_has_to_be_prepared_says_on_what(registry: Registry, targets: Path) -> None:
    options = {"texture": {"layers": "conv1_1:1"}}
    (meter,) = meters(["texture"], registry, 4, options=options, targets=[targets])
    assert "prepared on 2 targets [" in meter.protocol  # of 48x60 and 48x60; the third is smaller
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert meter.measure(image.flip(-1), image, gray=False) > 0


def test_an_unknown_metric_is_answered_with_metrics_and_losses(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'texture'\? Known: .*psnr.*texture"):
        meters(["textur"], registry, 4)


def test_operations_and_memory_are_counted() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert parameters(convolution) == 3 * 8 * 9 + 8
    assert multiply_adds(convolution, 1) == 3 * 8 * 9

    def restores(image: torch.Tensor) -> None:
        first = torch.ones(1000)
        second = first + 1  # 8,000 bytes are alive here
        del first, second
        torch.ones(500)

    fake: Any = SimpleNamespace(engine="torch", device=torch.device("cpu"), restore=restores)
    assert peak_memory(fake, torch.rand(1, 3, 4, 4)) == 8000
    fake.engine = "openvino"
    assert peak_memory(fake, torch.rand(1, 3, 4, 4)) is None


def test_enhancenet_takes_what_its_table_says() -> None:
    network = restore.load("enhancenet", scale=4, device="cpu").model.module
    assert parameters(network) == 852_867
    # 1,728 + 20 * 36,864 at the input's size, 36,864 at twice it, 2 * 36,864 + 1,728 at four times it
    convolutions = (1728 + 20 * 36864 + 4 * 36864 + 16 * (2 * 36864 + 1728)) / 16
    assert multiply_adds(network, 4) == pytest.approx(convolutions, rel=1e-3)  # and the bicubic enlargement


def test_results_are_written_and_a_broken_image_does_not_stop(
    run: Run, targets: Path, tmp_path: Path
) -> None:
    (targets / "broken.png").write_bytes(b"no image")
    out = [tmp_path / f"r{suffix}" for suffix in (".json", ".csv", ".md")]
    files = [part for file in out for part in ("-o", file)]
    done = run("--model", "bicubic", "--model", "srcnn", "--data", f"mine={targets}", *files)
    assert done.returncode == 1
    assert done.stderr.count("broken.png") == 2  # its name, and the reason, once for both models
    assert "left out of mine" in done.stdout
    assert "difference from bicubic" in done.stdout
    first, second = json.loads(out[0].read_text())["rows"]
    assert (first["over"], first["against"]) == (["a.png", "b.png", "gray.png"], "bicubic")
    assert list(second["failures"]) == ["broken.png"]
    gained = second["values"]["psnr"] - first["values"]["psnr"]
    assert second["differences"]["psnr"]["mean"] == pytest.approx(gained)
    lines = list(csv.DictReader(out[1].open()))
    assert len(lines) == 2 * 3 * 2
    assert all(line["protocol"] and line["inputs"] for line in lines)
    assert "| model | data | images |" in out[2].read_text()


def test_means_are_over_the_images_that_all_models_did(registry: Registry, targets: Path) -> None:
    row = bicubic_row(registry, dataset(targets, registry, 4))
    part = Row("other", row.data, 4, row.images[1:], {"a.png": "too large"}, row.protocol)
    result = Result((row, part), tuple(meters(["psnr", "ssim"], registry, 4)), "bicubic")
    assert result.common(row) == ["b.png", "gray.png"]
    assert result.means(row) == result.means(part) == part.means != row.means
    assert result.differences(part)["psnr"].mean == 0


# Published tables ------------------------------------------------------------------------------------


def test_a_paper_is_reproduced_and_what_is_missing_is_told(run: Run, targets: Path) -> None:
    done = run("enhancenet", "--data", f"Set5={targets}", "--json", command="reproduce")
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
    done = run(*arguments, command="reproduce")
    assert done.returncode == 2
    assert words in done.stderr


# Faithfulness ----------------------------------------------------------------------------------------


def test_a_result_that_fits_its_input_is_not_warned_of_and_a_tinted_one_is() -> None:
    degraded = torch.full((1, 3, 8, 8), 0.5)
    same = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    found = faithfulness.compare(same, (degraded * 255).round().to(torch.uint8))
    assert found.consistency > 100  # but for the rounding of floating point it is infinite
    assert found.warnings == ()
    tinted = degraded.repeat_interleave(4, -1).repeat_interleave(4, -2)
    tinted[:, 0] += 20 / 255
    warned = faithfulness.compare(tinted, degraded)
    assert list(warned.shift) == pytest.approx([20, 0, 0], abs=1e-4)
    # 20 levels in one of three channels: 10 log10(255^2 * 3 / 20^2) dB, but for rounding
    assert warned.consistency == pytest.approx(26.9, abs=0.2)
    assert len(warned.warnings) == 2
    found_map = faithfulness.consistency_map(tinted, degraded)
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


def test_upscale_tells_how_true_a_result_is(run: Run, targets: Path) -> None:
    done = run(targets / "a.png", "--model", "bicubic", "--check", command="upscale")
    assert done.returncode == 0, done.stderr
    assert "a_x4.png: consistency" in done.stderr
    assert sorted(path.name for path in targets.glob("a*")) == ["a.png", "a_x4.png"]


def test_what_a_result_says_of_its_input_is_in_the_json_and_drawn_beside_it(run: Run, targets: Path) -> None:
    done = run(targets / "a.png", "--model", "bicubic", "--json", "--check-map", command="upscale")
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


def test_a_map_has_no_place_beside_standard_output(run: Run, targets: Path) -> None:
    done = run(targets / "a.png", "-o", "-", "--model", "bicubic", "--check-map", command="upscale")
    assert done.returncode == 2
    assert "give -o FILE" in done.stderr


def test_an_image_that_fails_whatever_it_raises_is_named_and_the_others_are_measured(
    registry: Registry, targets: Path
) -> None:
    (psnr,) = meters(["psnr"], registry, 4)
    calls = iter(range(10))

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        if next(calls) == 0:
            raise MemoryError
        return psnr.measure(restored, target, gray=gray)

    row = evaluate(
        restore.load("bicubic", scale=4, device="cpu"),
        dataset(targets, registry, 4),
        [replace(psnr, measure=measure)],
    )
    assert len(row.images) == 2
    assert list(row.failures.values()) == [
        "there is not enough memory for it; close other programs, or leave it out"
    ]
