"""`restore evaluate` as a command: its output, its files and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., Any]
Draw = Callable[..., Path]


@pytest.fixture
def evaluate(run: Run) -> Run:
    return partial(run, "evaluate")


def test_json_has_one_object_for_each_model_and_data_set(evaluate: Run, targets: Path) -> None:
    done = evaluate("--model", "bicubic", "--data", targets, "--data", targets, "--scale", 2, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    wanted = {"model", "data", "scale", "images", "values", "seconds", "protocol"}
    assert wanted <= set(rows[0])
    assert (rows[0]["model"], rows[0]["scale"], len(rows[0]["images"])) == ("bicubic", 2, 3)


def test_the_protocol_is_printed_below_the_table(evaluate: Run, targets: Path) -> None:
    done = evaluate("--model", "bicubic", "--data", targets)
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
def test_wrong_requests_get_one_sentence(evaluate: Run, arguments: list[str], code: int, words: str) -> None:
    done = evaluate(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_json_stays_json_when_a_result_is_perfect(evaluate: Run, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / "flat.png")
    done = evaluate("--model", "bicubic", "--data", tmp_path, "--json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    row = json.loads(done.stdout, parse_constant=refuse)
    assert row["values"]["psnr"] is None
    assert row["values"]["ssim"] == pytest.approx(1.0)


def test_names_of_metrics_may_be_joined_by_commas(evaluate: Run, targets: Path) -> None:
    one, other = (
        json.loads(evaluate("--model", "bicubic", "--data", targets, *metrics, "--json").stdout)
        for metrics in (["--metric", "ssim, niqe"], ["--metric", "ssim", "--metric", "niqe"])
    )
    assert list(one["values"]) == ["ssim", "niqe"]
    assert one["values"] == other["values"]


def test_a_report_has_a_comparison_of_each_image_that_every_model_restored(
    evaluate: Run, targets: Path, tmp_path: Path
) -> None:
    (targets / "broken.png").write_bytes(b"no image")
    page = tmp_path / "made" / "page.html"
    done = evaluate("--model", "bicubic", "--model", "srcnn", "--data", f"mine={targets}", "--report", page)
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
    measured = evaluate("--model", "bicubic", "--data", f"mine={targets}", "--json")
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
def test_what_a_report_cannot_show_is_refused_before_measuring(
    evaluate: Run, monkeypatch: pytest.MonkeyPatch, targets: Path, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(targets)
    done = evaluate("--model", "bicubic", "--data", ".", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(targets.rglob("*.html"))


def test_results_are_written_although_an_image_is_broken(
    evaluate: Run, targets: Path, tmp_path: Path
) -> None:
    (targets / "broken.png").write_bytes(b"no image")
    out = [tmp_path / f"r{suffix}" for suffix in (".json", ".csv", ".md")]
    files = [part for file in out for part in ("-o", file)]
    done = evaluate("--model", "bicubic", "--model", "srcnn", "--data", f"mine={targets}", *files)
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


def test_a_name_that_is_not_utf_8_is_shown_escaped_in_every_output(
    evaluate: Run, targets: Path, tmp_path: Path
) -> None:
    (targets / "a.png").rename(targets / "a\udcff\x1b[31m.png")
    outputs = [tmp_path / f"r{suffix}" for suffix in (".json", ".csv", ".md")]
    page = tmp_path / "p.html"
    files = [part for file in outputs for part in ("-o", file)]
    done = evaluate("--model", "bicubic", "--data", f"mine={targets}", *files, "--report", page)
    assert done.returncode == 0, done.stderr
    json_text, csv_text, markdown = (file.read_text(encoding="utf-8") for file in outputs)
    assert json.loads(json_text)["rows"][0]["over"] == [r"a\udcff\x1b[31m.png", "b.png", "gray.png"]
    assert r",a\udcff\x1b[31m.png," in csv_text
    assert "bicubic" in markdown
    text = page.read_text(encoding="utf-8")
    assert r"<span>a\udcff\x1b[31m.png</span>" in text
    assert 'href="p_images/mine/a%FF%1B%5B31m.png.html"' in text
    assert (tmp_path / "p_images" / "mine" / "a\udcff\x1b[31m.png.html").is_file()


def test_a_failure_of_a_name_that_is_not_utf_8_is_reported_escaped(evaluate: Run, targets: Path) -> None:
    (targets / "bad\udcff\n.png").write_bytes(b"no image")
    done = evaluate("--model", "bicubic", "--data", f"mine={targets}")
    assert done.returncode == 1
    assert r"mine: bad\udcff\n.png: " in done.stderr
    assert r"not every model restored them: bad\udcff\n.png" in done.stdout


def test_an_image_that_has_no_comparison_is_reported_and_the_report_is_written(
    evaluate: Run, targets: Path, tmp_path: Path
) -> None:
    long = f"{'x' * 247}.png"  # with .html it is longer than file systems allow
    (targets / "a.png").rename(targets / long)
    page = tmp_path / "p.html"
    done = evaluate("--model", "bicubic", "--data", f"mine={targets}", "--report", page)
    assert done.returncode == 1
    assert f"mine: {long}: there is no comparison: " in done.stderr
    assert re.findall(r'<a href="([^"]+)"', page.read_text("utf-8")) == [
        f"p_images/mine/{name}.png.html" for name in ("b", "gray")
    ]


def test_every_model_and_every_run_sees_the_same_random_degradation(evaluate: Run, targets: Path) -> None:
    command = [
        "--model",
        "bicubic",
        "--model",
        "bicubic",
        "--data",
        targets,
        "--degradation",
        "bicubic+noise",
    ]
    first, second = (evaluate(*command, "--json").rows for _ in range(2))
    assert [row["values"] for row in first] == [row["values"] for row in second]
    assert first[0]["images"][0]["values"]["psnr"] < 40
    difference = first[1]["differences"]["psnr"]
    assert (difference["mean"], difference["low"], difference["high"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "bicubik"], "Did you mean 'bicubic'?"),
        (["--model", "enhancenet:ee"], "Did you mean 'e'?"),
        (["--model", "bicubic", "--metric", "psnx"], "Did you mean 'psnr'?"),
    ],
)
def test_unknown_names_are_refused_before_a_model_is_loaded(
    evaluate: Run, targets: Path, arguments: list[str], words: str
) -> None:
    damaged = targets.parent / "damaged.safetensors"
    damaged.write_bytes(b"no weights")
    done = evaluate("--model", f"srcnn:{damaged}", "--data", targets, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "damaged" not in done.stderr


def test_each_degradation_and_each_value_of_a_sweep_has_a_table_of_its_own(
    evaluate: Run, targets: Path
) -> None:
    command = ["--model", "bicubic", "--data", f"mine={targets}", "--scale", 2]
    command += ["--degradation", "bicubic+jpeg", "--degradation", "bicubic+noise"]
    command += ["--sweep", "jpeg.quality=10,90", "--set", "noise.sigma=20"]
    done = evaluate(*command)
    assert done.returncode == 0, done.stderr
    titles = [block.splitlines()[0] for block in done.stdout.split("\n\n")]
    assert titles == [
        "bicubic+jpeg, jpeg.quality 10",
        "bicubic+jpeg, jpeg.quality 90",
        "bicubic+noise",
    ]
    low, high, noisy = evaluate(*command, "--json").rows
    assert (low["degradation"], low["swept"]) == ("bicubic+jpeg", {"jpeg.quality": 10})
    assert [image["parameters"]["jpeg.quality"] for image in high["images"]] == [90.0] * 3
    assert {image["parameters"]["noise.sigma"] for image in noisy["images"]} == {20.0}
    assert low["values"]["psnr"] < high["values"]["psnr"] - 1


def test_a_value_of_a_sweep_gives_what_the_option_gives(evaluate: Run, targets: Path) -> None:
    command = ["--model", "bicubic", "--data", targets, "--scale", 1, "--degradation", "jpeg", "--json"]
    swept = evaluate(*command, "--sweep", "jpeg.quality=10,40").rows
    fixed = [row for value in (10, 40) for row in evaluate(*command, "--set", f"jpeg.quality={value}").rows]
    assert [row["values"] for row in swept] == [row["values"] for row in fixed]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweep", "jpeg=10"], "--sweep takes LABEL.OPTION=VALUE,VALUE, but got 'jpeg=10'"),
        (["--sweep", "jpeg.quality=10,10"], "--sweep has a value twice"),
        (["--sweep", "jpg.quality=10"], "which no --degradation has. Did you mean 'jpeg'?"),
        (["--sweep", "jpeg.quality=10,200"], "quality"),
        (
            ["--sweep", "jpeg.quality=10", "--set", "jpeg.quality=20"],
            "'jpeg.quality' is both in --set and in --sweep",
        ),
        (["--degradation", "bicubic+jpeg"], "--degradation bicubic+jpeg is given twice"),
        (["--degraded", "."], "--degraded gives the inputs"),
    ],
)
def test_wrong_sweeps_get_one_sentence(
    evaluate: Run, targets: Path, arguments: list[str], words: str
) -> None:
    command = ["--model", "bicubic", "--data", targets, "--degradation", "bicubic+jpeg"]
    done = evaluate(*command, *arguments, cwd=targets)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_of_a_degradation_that_is_called_like_a_model_are_not_given_to_the_model(
    evaluate: Run, targets: Path
) -> None:
    done = evaluate("--model", "bicubic", "--data", targets, "--set", "bicubic.release=older", "--json")
    assert done.returncode == 0, done.stderr
    assert "older release" in done.rows[0]["protocol"]["inputs"]


def test_a_report_plots_the_metrics_over_a_swept_strength(
    evaluate: Run, targets: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    done = evaluate(
        *("--model", "bicubic", "--data", f"mine={targets}", "--scale", 2, "--report", page),
        *("--degradation", "bicubic+jpeg", "--sweep", "jpeg.quality=10,50,90"),
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "<h2>mine, 2x: quality over the strength of bicubic+jpeg</h2>" in text
    plots = re.findall(r'aria-label="([^"]+) over jpeg.quality, by model">(.*?)</svg>', text)
    assert [title for title, _ in plots] == ["psnr (dB), higher is better", "ssim, higher is better"]
    assert [drawn.count('class="dot"') for _, drawn in plots] == [9, 9]
    opened = re.findall(r'<a href="([^"]+)"', text)
    assert len(set(opened)) == 9
    assert all((page.parent / address).is_file() for address in opened)


def test_a_folder_without_targets_is_evaluated(evaluate: Run, draw: Draw, tmp_path: Path) -> None:
    for index in range(2):
        draw(tmp_path / "photos" / f"{index}.png", 64, 48, index)
    page = tmp_path / "page.html"
    command = ["--model", "bicubic", "--degraded", f"mine={tmp_path / 'photos'}"]
    (row,) = evaluate(*command, "--json", "--report", page).rows
    assert (row["data"], list(row["values"])) == ("mine", ["niqe"])
    assert row["images"][0]["target"] is None
    assert "without targets" in row["protocol"]["inputs"]
    found = re.search(r'<a href="([^"]+)"', page.read_text())
    assert found
    shown = re.search(r'id="data">(.*?)</script>', (page.parent / found[1]).read_text())
    assert shown
    pictures = json.loads(shown[1])["pictures"]
    assert [picture["name"] for picture in pictures] == ["Input", "bicubic"]
    assert pictures[1]["values"] == pytest.approx(row["images"][0]["values"])
    refused = evaluate(*command, "--metric", "psnr")
    assert refused.returncode == 2
    assert "the metric 'psnr' compares with targets" in refused.stderr


def test_an_evaluation_without_images_is_refused(evaluate: Run) -> None:
    done = evaluate("--model", "bicubic")
    assert done.returncode == 2
    assert "give folders of targets by --data, or of inputs by --degraded" in done.stderr


SPREAD = """
from restore.hookspecs import hookimpl
from restore.interfaces import SetMetricSpec

CONTRACT = 2

class Spread:
    def __init__(self, scale, options):
        self.means = []

    def update(self, restored, target, *, gray):
        self.means.append(float(restored.mean()) * 255)

    def compute(self):
        return max(self.means) - min(self.means)

@hookimpl
def restore_set_metrics():
    return [
        SetMetricSpec("spread", "Largest difference of brightness", Spread, lambda scale, options: "levels",
                      better="lower", digits=1, needs_target=False)
    ]
"""


def test_a_metric_of_whole_sets_from_a_plugin_is_measured(
    evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spread_plugin.py").write_text(SPREAD)
    info = tmp_path / "spread-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spread\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[restore.plugins]\nspread = spread_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, level in (("a", 100), ("b", 130)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / "photos" / f"{name}.png")
    command = ["--model", "bicubic", "--degraded", tmp_path / "photos", "--metric", "spread"]
    (row,) = evaluate(*command, "--json", "-o", tmp_path / "r.csv", "--report", tmp_path / "page.html").rows
    assert row["values"] == {"spread": pytest.approx(30)}
    assert [image["values"] for image in row["images"]] == [{}, {}]
    (line,) = csv.DictReader((tmp_path / "r.csv").open())
    assert (line["image"], line["metric"]) == ("", "spread")
    assert float(line["value"]) == pytest.approx(30)
    assert ">30.0</td>" in (tmp_path / "page.html").read_text()
