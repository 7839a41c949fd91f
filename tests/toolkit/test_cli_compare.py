"""`restore compare` as a command: where its files go and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from restore.checkpoint import WeightsCard, save_weights
from restore.estimation import estimate
from restore.images import read
from restore.registry import discover

Draw = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture
def compare(run: Run, tmp_path: Path) -> Run:
    """Run `restore compare` in the folder of the images."""
    return partial(run, "compare", cwd=tmp_path)


@pytest.fixture
def photo(tmp_path: Path, draw: Draw) -> Path:
    return draw(tmp_path / "photo.png", 60, 44)


@pytest.fixture
def target(tmp_path: Path, draw: Draw) -> Path:
    return draw(tmp_path / "target.png", 240, 176)


def test_without_out_the_page_is_written_next_to_the_image(photo: Path) -> None:
    command = [sys.executable, "-m", "restore", "compare", "photo.png", "--model", "bicubic"]
    done = subprocess.run(command, cwd=photo.parent, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    assert re.fullmatch(r"photo_compare.html  240x176  1 model  0.\d MB\n", done.stdout)
    assert (photo.parent / "photo_compare.html").read_text("utf-8").startswith("<!doctype html>")


def test_page_and_sheet_are_written_to_the_given_paths(compare: Run, photo: Path, target: Path) -> None:
    asked = [photo.name, "--model", "bicubic", "--model", "srcnn", "--target", target.name]
    words = compare(*asked, "-o", "new/p.html", "--sheet", "s.png").stdout
    assert [line.split()[0] for line in words.splitlines()] == ["new/p.html", "s.png"]
    words = compare(*asked, "-o", "only.png").stdout
    assert [line.split()[0] for line in words.splitlines()] == ["only.png"]


def test_a_page_that_cannot_be_written_leaves_nothing_behind(compare: Run, photo: Path, target: Path) -> None:
    done = compare(photo.name, "--model", "bicubic", "-o", f"{target.name}/page.html")
    assert done.returncode == 2
    assert target.name in done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name for file in photo.parent.iterdir()} == {photo.name, target.name}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.png", "--model", "bicubic"], 1, "there is no such file"),
        (["photo.png"], 2, "Missing option '--model'"),
        (["photo.png", "--model", "bicubik"], 2, "Did you mean 'bicubic'?"),
        (
            ["photo.png", "--model", "bicubic", "-o", "photo.png"],
            2,
            "photo.png: this is an input and would be",
        ),
        (["photo.png", "--model", "bicubic", "-o", "page.pdf"], 2, "page.pdf: a page cannot have this name"),
        (["photo.png", "--model", "bicubic", "--sheet", "s.jpg"], 2, "s.jpg: a sheet cannot have this name"),
        (["photo.png", "--model", "bicubic", "-o", "a.png", "--sheet", "b.png"], 2, "are both sheets"),
        (
            ["photo.png", "--model", "bicubic", "--target", "photo.png"],
            2,
            "the target has 60x44 pixels and the results",
        ),
        (["photo.png", "--model", "bicubic", "--metric", "psnx"], 2, "Did you mean 'psnr'?"),
        (["photo.png", "--model", "bicubic", "--crop", "1,2,3"], 2, "--crop takes LEFT,TOP,WIDTH,HEIGHT"),
        (
            ["photo.png", "--model", "bicubic", "--crop", "50,0,20,9"],
            2,
            "reaches beyond the image, which has 60x44",
        ),
        (
            ["photo.png", "--model", "bicubic", "--crop", "5,0,0,9"],
            2,
            "of --crop start at 1",
        ),
    ],
)
def test_wrong_requests_get_one_sentence(
    compare: Run, photo: Path, arguments: list[str], code: int, words: str
) -> None:
    before = photo.read_bytes()
    done = compare(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in photo.parent.iterdir()] == ["photo.png"]
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "bicubik"], "Did you mean 'bicubic'?"),
        (["--model", "enhancenet:ee"], "Did you mean 'e'?"),
        (["--model", "bicubic", "--model", "bicubic"], "the --model bicubic is given twice"),
        (["--model", "bicubic", "--scale", "0"], "--scale"),
        (["--model", "enhancenet:e", "--scale", "3"], "enhancenet"),
        (["--target", "missing.png"], "missing.png"),
    ],
)
def test_wrong_requests_are_refused_before_a_model_is_loaded(
    compare: Run, photo: Path, arguments: list[str], words: str
) -> None:
    damaged = photo.with_name("damaged.safetensors")
    damaged.write_bytes(b"no weights")
    done = compare(photo.name, "--model", f"srcnn:{damaged}", *arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "damaged" not in done.stderr


def test_a_name_that_is_not_utf_8_is_shown_escaped(compare: Run, photo: Path) -> None:
    strange = photo.rename(photo.with_name("c\udcff\x1b[31m.png"))
    done = compare(strange.name, "--model", "bicubic", "--sheet", "s\udcff.png", "-o", "p\udcff.html")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [r"p\udcff.html", r"s\udcff.png"]
    assert r"<h1>c\udcff\x1b[31m.png</h1>" in photo.with_name("p\udcff.html").read_text(encoding="utf-8")
    assert compare(strange.name, "--model", "bicubic").returncode == 0
    assert photo.with_name("c\udcff\x1b[31m_compare.html").is_file()


def test_a_loss_is_a_metric_of_a_comparison(compare: Run, photo: Path, target: Path) -> None:
    arguments = ["--target", target.name, "--metric", "l1", "--set", "l1.luma=true", "-o", "p.html"]
    done = compare(photo.name, "--model", "bicubic", *arguments)
    assert done.returncode == 0, done.stderr
    data = re.search(r'id="data">(.*?)</script>', Path("p.html").read_text(encoding="utf-8"))
    assert data
    (result,) = [one for one in json.loads(data[1])["pictures"] if one["role"] == "result"]
    assert result["best"] == ["l1"]
    assert float(result["texts"]["l1"]) == pytest.approx(result["values"]["l1"], rel=1e-3)


@pytest.fixture
def ffdnet(tmp_path: Path) -> Path:
    """Untrained weights of a small FFDNet."""
    spec = discover().models["ffdnet"]
    network = spec.build(1, spec.options.model_validate({"width": 8}))
    file = tmp_path / "ffdnet.safetensors"
    save_weights(file, network, WeightsCard(model="ffdnet", scale=1, options={"width": 8}))
    return file


def test_the_page_shows_how_the_input_is_degraded_and_the_options_of_each_model(
    compare: Run, photo: Path, ffdnet: Path
) -> None:
    with Image.open(photo) as image:
        image.convert("RGB").resize((96, 64)).save(photo.with_name("photo.jpg"), quality=30)
    asked = ["photo.jpg", "--model", "bicubic", "--model", f"ffdnet:{ffdnet.name}", "--scale", 1]

    def details(*options: object) -> dict[str, list[str]]:
        done = compare(*asked, *options, "-o", "p.html", "--sheet", "s.png")
        assert done.returncode == 0, done.stderr
        found = re.search(r'id="data">(.*?)</script>', (photo.parent / "p.html").read_text("utf-8"))
        assert found
        return {picture["name"]: picture["details"] for picture in json.loads(found[1])["pictures"]}

    estimated = details()
    assert (
        estimated["Input"] == estimate(read(photo.with_suffix(".jpg")), photo.with_suffix(".jpg")).to_text()
    )
    assert estimated["Input"][0].startswith("compression: JPEG of quality 30, chroma 4:2:0")
    assert estimated["bicubic"] == []
    (shown,) = estimated[f"ffdnet:{ffdnet.name}"]
    assert re.fullmatch(r"sigma [\d.]+ \(estimated\)", shown)
    assert details("--set", "ffdnet.sigma=12")[f"ffdnet:{ffdnet.name}"] == ["sigma 12"]


def test_a_model_that_was_trained_on_better_images_is_named_in_a_warning_and_on_the_page(
    compare: Run, photo: Path
) -> None:
    with Image.open(photo) as image:
        image.convert("RGB").resize((96, 64)).save(photo.with_name("photo.jpg"), quality=30)
    done = compare("photo.jpg", "--model", "bicubic", "--model", "enhancenet:e", "-o", "p.html")
    said = "JPEG of quality 30: enhancenet:e was trained on better images; use the model 'auto'"
    assert done.stderr == f"warning: photo.jpg: {said}\n"
    assert said in (photo.parent / "p.html").read_text("utf-8")


def test_without_a_target_a_metric_that_needs_none_is_measured(compare: Run, photo: Path) -> None:
    refused = compare(photo.name, "--model", "bicubic", "--metric", "psnr")
    assert refused.returncode == 2
    assert "the metric 'psnr' compares with targets" in refused.stderr
    assert compare(photo.name, "--model", "bicubic", "--metric", "niqe", "-o", "p.html").returncode == 0
    assert '"niqe":' in (photo.parent / "p.html").read_text("utf-8")
