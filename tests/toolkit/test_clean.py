"""`restore clean`: each image gets what it needs, and one that needs nothing comes back equal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import restore
from restore.batch import Naming, plan, run_all
from restore.batch.records import Records
from restore.errors import UsageError
from restore.images import Animation, read, read_all, read_provenance
from restore.inference import AutoRestorer
from restore.inference.choosing import RuleRow
from restore.inference.rules import rule
from restore.registry import discover

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("photo_weights")

JPEG, NOISE = 0.1, 0.2
"""What the networks of the test add to an image, where they are used."""


def smooth(width: int = 128, height: int = 112) -> NDArray[np.uint8]:
    """Levels without noise and compression, far from black and white: ``(H, W, 3)``."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / 17 + shift) + np.sin(y / 11 - shift) + np.sin((x + y) / 29) for shift in range(3)]
    levels: NDArray[np.uint8] = np.clip(90 + 15 * np.stack(planes, -1), 0, 255).round().astype(np.uint8)
    return levels


def noisy(sigma: float = 12) -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    levels = smooth() + sigma * random.standard_normal(smooth().shape)
    return np.clip(levels.round(), 0, 255).astype(np.uint8)


def picture(file: Path, pixels: NDArray[Any], **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images: a good one, a noisy one, a compressed one, and one with both degradations."""
    picture(tmp_path / "in" / "good.png", smooth())
    picture(tmp_path / "in" / "noisy.png", noisy())
    picture(tmp_path / "in" / "jpeg.jpg", smooth(), quality=40)
    picture(tmp_path / "in" / "both.jpg", noisy(30), quality=85)
    return tmp_path / "in"


def added(result: Path, source: Path) -> float:
    """The mean difference of two images in [0, 1], to one decimal."""
    before, after = (np.asarray(Image.open(file).convert("RGB"), np.float64) for file in (source, result))
    assert before.shape == after.shape
    return round(float((after - before).mean()) / 255, 1)


# What is chosen


def test_each_image_gets_what_it_needs_and_keeps_its_size(folder: Path, run: Run) -> None:
    done = run("clean", folder, "--json")
    assert done.returncode == 0, done.stderr
    models = {Path(row["source"]).name: row["choice"]["model"] for row in done.rows}
    assert models == {
        "good.png": "",
        "noisy.png": "ffdnet:noise",
        "jpeg.jpg": "ffdnet:jpeg",
        "both.jpg": "ffdnet:jpeg+ffdnet:noise",
    }
    results = folder.with_name("in_clean")
    differences = {name: added(results / name, folder / name) for name in models}
    assert differences == {"good.png": 0, "noisy.png": NOISE, "jpeg.jpg": JPEG, "both.jpg": 0.3}


def test_the_choices_are_told_in_one_line_for_each_model(folder: Path, run: Run) -> None:
    picture(folder / "jpeg2.jpg", smooth(100), quality=60)
    done = run("clean", folder)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert f"note: {folder}/: 2 JPEG of quality 40 to 60: ffdnet:jpeg" in notes
    assert f"note: {folder}/good.png: no visible noise or compression: unchanged" in notes
    assert any("noisy.png: noise of 1" in note and note.endswith(": ffdnet:noise") for note in notes)
    assert len(notes) == 4


def test_the_result_of_one_photo_is_named_clean(folder: Path, run: Run) -> None:
    done = run("clean", folder / "jpeg.jpg")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{folder / 'jpeg_clean.jpg'}  128x112")


def test_a_dry_run_shows_each_choice_and_writes_nothing(folder: Path, run: Run) -> None:
    done = run("clean", folder, "--dry-run")
    assert done.returncode == 0
    assert [line.partition("MiB  ")[2] for line in done.stdout.splitlines() if "jpeg.jpg" in line] == [
        "JPEG of quality 40: ffdnet:jpeg"
    ]
    assert not folder.with_name("in_clean").exists()


# What needs nothing


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_a_photo_without_degradation_is_copied(tmp_path: Path, run: Run, name: str) -> None:
    photo = picture(tmp_path / name, smooth(), **({"quality": 97} if name == "a.jpg" else {"lossless": True}))
    assert run("clean", photo).returncode == 0
    result = photo.with_stem("a_clean")
    assert result.read_bytes() == photo.read_bytes()
    found = Records().made(result)
    assert found is not None
    assert (found.model, found.weights) == ("", "")


@pytest.mark.parametrize("option", [["--strip"], ["--format", "webp"], ["--small"]])
def test_what_has_to_be_encoded_again_without_loss_keeps_its_pixels(
    tmp_path: Path, run: Run, option: list[str]
) -> None:
    photo = picture(tmp_path / "a.tif" if "webp" not in option else tmp_path / "a.png", smooth())
    if "webp" in option:
        option = ["--format", "png"]
        photo = picture(tmp_path / "a.bmp", smooth())
    assert run("clean", photo, *option).returncode == 0
    (result,) = tmp_path.glob("a_clean*")
    assert torch.equal(read(result).color, read(photo).color)


def test_a_copy_of_a_result_of_restore_is_recognized_as_done(tmp_path: Path, run: Run) -> None:
    photo = picture(tmp_path / "a.png", smooth(40, 30))
    assert run("upscale", photo, "--model", "bicubic").returncode == 0
    for status in ("done", "skipped"):
        done = run("clean", tmp_path / "a_x4.png", "--existing", "skip", "--json")
        assert [row["status"] for row in done.rows] == [status]


# Options


@pytest.mark.parametrize(
    ("options", "model", "numbers"),
    [
        (["--noise", "20"], "ffdnet:noise", {"option sigma": "20"}),
        (["--jpeg", "30"], "ffdnet:jpeg", {"option quality": "30"}),
        (
            ["--noise", "20", "--jpeg", "30"],
            "ffdnet:jpeg+ffdnet:noise",
            {"option sigma": "20", "option quality": "30"},
        ),
        (["--model", "ffdnet:noise", "--set", "sigma=9"], "ffdnet:noise", {"option sigma": "9"}),
        (
            ["--jpeg", "auto", "--strength", "0.5"],
            "ffdnet:jpeg",
            {"option quality": "auto", "option strength": "0.5"},
        ),
    ],
)
def test_a_removal_can_be_forced(
    folder: Path, run: Run, options: list[str], model: str, numbers: dict[str, str]
) -> None:
    done = run("clean", folder / "good.png", *options)
    assert done.returncode == 0, done.stderr
    made = read_provenance(folder / "good_clean.png")
    assert made is not None
    assert made.model == model
    assert dict(made.settings) | numbers == dict(made.settings)
    assert "chosen by" not in dict(made.settings)


def test_the_strength_multiplies_what_is_found(folder: Path, run: Run) -> None:
    found = {}
    for strength in ("1", "0.5", "2"):
        done = run("clean", folder / "jpeg.jpg", "--strength", strength, "--existing", "overwrite")
        assert done.returncode == 0
        made = read_provenance(folder / "jpeg_clean.jpg")
        assert made is not None
        found[strength] = dict(made.estimated)["quality"]
    assert found == {"1": "40", "0.5": "70", "2": "1"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "enhancenet:e"], "the model 'enhancenet:e' enlarges 2x; use 'restore upscale'"),
        (["--model", "ffdnet:jpeg", "--noise", "20"], "--model and --noise or --jpeg name the model twice"),
        (["--jpeg", "150"], "a JPEG quality of 150 is impossible; use one from 1 to 100"),
        (["--noise", "much"], "is a number from 0 or auto, not 'much'"),
        (["--noise", "20", "--strength", "0.5"], "nothing is estimated that --strength applies to"),
        (["--set", "sigma=3"], "options belong to a model, and 'auto' chooses one; name it with --model"),
    ],
)
def test_wrong_requests_get_one_sentence(folder: Path, run: Run, options: list[str], words: str) -> None:
    done = run("clean", folder / "good.png", *options)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "good_clean.png").exists()


# Failures, resuming, provenance


def test_a_photo_that_fails_ends_no_batch(folder: Path, run: Run, damage: Callable[[Path], None]) -> None:
    damage(folder / "noisy.png")
    (folder / "empty.png").touch()
    done = run("clean", folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("3 done, 2 failed") or "3 done, 2 failed" in done.stderr
    assert {file.name for file in folder.with_name("in_clean").iterdir()} - {".restore.jsonl"} == {
        "good.png",
        "jpeg.jpg",
        "both.jpg",
    }


def test_the_same_command_again_does_nothing_and_a_changed_input_is_done_again(
    folder: Path, run: Run
) -> None:
    assert run("clean", folder).returncode == 0
    assert {row["status"] for row in run("clean", folder, "--json").rows} == {"skipped"}
    picture(folder / "good.png", noisy())
    done = run("clean", folder, "--json")
    assert {Path(row["source"]).name for row in done.rows if row["status"] == "done"} == {"good.png"}
    assert {row["status"] for row in run("clean", folder, "--json").rows} == {"skipped"}


def test_another_rule_is_done_again(folder: Path) -> None:
    def statuses(*rows: RuleRow) -> set[str]:
        restorer = AutoRestorer(rows, lambda model: restore.load(model, device="cpu"), 1)
        jobs = plan([str(folder)], Naming("_clean")).jobs
        return {outcome.status for outcome in run_all(jobs, restorer, existing="skip")}

    rows = rule(discover(), scale=1)
    assert statuses(*rows) == {"done"}
    assert statuses(*rows) == {"skipped"}
    assert statuses(*rows[:-1], replace(rows[-1], model="ffdnet:noise")) == {"done"}


def test_the_provenance_names_the_model_and_what_was_found(folder: Path, run: Run) -> None:
    assert run("clean", folder).returncode == 0
    made = read_provenance(folder.with_name("in_clean") / "both.jpg")
    assert made is not None
    assert made.model == "ffdnet:jpeg+ffdnet:noise"
    assert made.weights.count("+") == 1
    assert dict(made.settings)["chosen by"].startswith("auto ")
    assert dict(made.estimated)["quality"] == "85"
    assert 5 < float(dict(made.estimated)["sigma"]) < 40


def test_metadata_is_kept(tmp_path: Path, run: Run) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a harbor"
    photo = picture(tmp_path / "a.jpg", smooth(), quality=40, exif=exif, dpi=(200, 200))
    assert run("clean", photo).returncode == 0
    with Image.open(tmp_path / "a_clean.jpg") as result:
        assert result.getexif()[0x010E] == "a harbor"
        assert [round(side) for side in result.info["dpi"]] == [200, 200]


# Kinds of images


def test_a_gray_image_stays_gray(tmp_path: Path, run: Run) -> None:
    photo = picture(tmp_path / "a.png", noisy()[..., 0])
    assert run("clean", photo).returncode == 0
    with Image.open(tmp_path / "a_clean.png") as result:
        assert result.mode == "L"
    assert added(tmp_path / "a_clean.png", photo) == NOISE


def test_alpha_is_not_changed(tmp_path: Path, run: Run) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, (112, 128, 1), np.uint8)
    photo = picture(tmp_path / "a.png", np.concatenate([noisy(), alpha], -1))
    assert run("clean", photo).returncode == 0
    with Image.open(tmp_path / "a_clean.png") as result:
        assert np.array_equal(np.asarray(result)[..., 3:], alpha)
        assert (np.asarray(result)[..., :3].mean() - noisy().mean()) / 255 > NOISE / 2


@pytest.mark.parametrize("sigma", [0, 12])
def test_sixteen_bits_stay(tmp_path: Path, run: Run, sigma: float) -> None:
    levels = noisy(sigma)[..., 0].astype(np.uint16) * 257 + 3
    photo = picture(tmp_path / "a.png", levels)
    assert run("clean", photo).returncode == 0
    before, after = read(photo), read(tmp_path / "a_clean.png")
    assert after.bits == 16
    expected = before.color + (NOISE if sigma else 0)
    assert (after.color - expected).abs().max() < (2e-3 if sigma else 1e-9)


def test_every_frame_of_an_animation_gets_the_model_of_the_first(tmp_path: Path, run: Run) -> None:
    frames = [Image.fromarray(noisy()), Image.fromarray(smooth())]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=80, lossless=True)
    assert run("clean", tmp_path / "a.webp").returncode == 0
    before, after = read_all(tmp_path / "a.webp"), read_all(tmp_path / "a_clean.webp")
    assert isinstance(before, Animation)
    assert isinstance(after, Animation)
    for old, new in zip(before.frames, after.frames, strict=True):
        difference = (new.color.float() - old.color.float()).mean() / (255 if old.bits == 8 else 1)
        assert float(difference) == pytest.approx(NOISE, abs=0.03)


def test_a_photo_goes_from_stdin_to_stdout(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    content = BytesIO()
    with (folder / "jpeg.jpg").open() as stdin, TextIOWrapper(content) as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        done = run("clean", "-")
        (folder / "out.jpg").write_bytes(content.getvalue())
    assert done.stderr == "note: -: JPEG of quality 40: ffdnet:jpeg\n"
    assert added(folder / "out.jpg", folder / "jpeg.jpg") == JPEG


# Python


def test_python_gives_back_the_kind_that_it_gets(folder: Path, photo_weights: ModuleType) -> None:
    restorer = restore.load("auto", scale=1, device="cpu", precision="fp32")
    array = restorer.clean(noisy())
    assert array.dtype == np.uint8
    assert float(array.mean() - noisy().mean()) / 255 == pytest.approx(photo_weights.NOISE, abs=0.02)
    assert isinstance(restorer.clean(folder / "jpeg.jpg"), Image.Image)
    content = (folder / "jpeg.jpg").read_bytes()
    assert restorer.clean(content) != content
    good = picture(folder / "good.jpg", smooth(), quality=97).read_bytes()
    assert restorer.clean(good) == good
    assert np.array_equal(np.asarray(restorer.clean(Image.fromarray(smooth()))), smooth())
    both = torch.from_numpy(np.stack([smooth(), noisy()])).permute(0, 3, 1, 2)
    cleaned = restorer.clean(both)
    assert torch.equal(cleaned[0], both[0])
    assert float((cleaned[1].float() - both[1].float()).mean()) / 255 == pytest.approx(NOISE, abs=0.02)


def test_a_named_model_cleans_in_python_and_one_that_enlarges_refuses() -> None:
    restorer = restore.load("ffdnet:noise", device="cpu", precision="fp32")
    assert float(restorer.clean(smooth()).mean() - smooth().mean()) / 255 == pytest.approx(NOISE, abs=0.01)
    with pytest.raises(UsageError, match="model 'bicubic' enlarges 4x; use `upscale`"):
        restore.load("bicubic", device="cpu").clean(smooth())
    with pytest.raises(UsageError, match=r"enlarges 4x; use `upscale`, or load it with `scale=1`"):
        restore.load("auto", device="cpu").clean(smooth())


def test_json_says_what_was_found(folder: Path, run: Run) -> None:
    (row,) = run("clean", folder / "jpeg.jpg", "--json").rows
    assert row["choice"] == {
        "model": "ffdnet:jpeg",
        "quality": 40,
        "noise": None,
        "blur": None,
        "beyond": False,
    }
    assert json.dumps(row)
