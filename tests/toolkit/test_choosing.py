"""The rule of ``auto``, and `restore upscale` with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import restore
from restore.errors import EntryError, UsageError
from restore.estimation import BlurEstimate, Estimate, JpegEstimate, NoiseEstimate
from restore.hookspecs import hookimpl
from restore.images import read, read_provenance
from restore.inference.choosing import RuleRow, choose
from restore.inference.rules import fingerprint, removing, rule
from restore.interfaces import ModelSpec, Task, Weights
from restore.registry import Plugin, Registry, build, discover

Run = Callable[..., Any]

QUALITIES = (None, *range(1, 101))
NOISES = (0.0, 2.0, 3.4, 3.5, 5.9, 6.0, 30.0, 500.0)
BLURS = (0.0, 0.5, 3.0)


def found(quality: int | None = None, noise: float = 0.0, blur: float = 0.0) -> Estimate:
    jpeg = None if quality is None else JpegEstimate(quality, True, None, (0, 0), "tables", 1.0)
    level = NoiseEstimate((noise,) * 3, (0.0,) * 3, (0.0,) * 3)
    return Estimate(jpeg, level, BlurEstimate(blur, confidence=0.8), None)


def textured(width: int = 64, height: int = 48, noise: float = 0.0) -> NDArray[np.uint8]:
    """Smooth levels, with noise on request: ``(H, W, 3)``."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([100 + 20 * np.sin(x / 13 + shift) + 20 * np.sin(y / 9) for shift in range(3)], -1)
    levels = smooth + noise * np.random.default_rng(0).standard_normal(smooth.shape)
    result: NDArray[np.uint8] = np.clip(levels.round(), 0, 255).astype(np.uint8)
    return result


def checkered() -> Image.Image:
    """Squares of 23 pixels with sharp edges."""
    y, x = np.mgrid[:192, :192] // 23
    return Image.fromarray(np.where((x + y) % 2, 170, 80).astype(np.uint8)).convert("RGB")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good image, a noisy one, and two compressed ones."""
    (tmp_path / "in").mkdir()
    Image.fromarray(textured()).save(tmp_path / "in" / "good.png")
    Image.fromarray(textured(noise=15)).save(tmp_path / "in" / "noisy.png")
    Image.fromarray(textured()).save(tmp_path / "in" / "a.jpg", quality=50)
    Image.fromarray(textured()).save(tmp_path / "in" / "b.jpg", quality=70)
    return tmp_path / "in"


def models(done: Any) -> dict[str, str]:
    return {Path(row["source"]).name: row["choice"]["model"] for row in done.rows}


# The rule


@pytest.mark.usefixtures("photo_weights")
@pytest.mark.parametrize("scale", [None, 1, 2])
def test_every_image_has_a_model(scale: int | None) -> None:
    rows = rule(discover(), scale)
    chosen = {choose(found(*kind), rows).model for kind in itertools.product(QUALITIES, NOISES, BLURS)}
    assert chosen == {row.model for row in rows}  # and no row is there for nothing


@pytest.mark.usefixtures("photo_weights")
@pytest.mark.parametrize(
    ("quality", "noise", "enlarging", "cleaning"),
    [
        (None, 0, "enhancenet:pat", ""),
        (91, 3.4, "enhancenet:pat", ""),
        (90, 0, "enhancenet:photo", "ffdnet:jpeg"),
        (10, 3.4, "enhancenet:photo", "ffdnet:jpeg"),
        (None, 5, "enhancenet:pat", "ffdnet:noise"),
        (95, 25, "enhancenet:photo", "ffdnet:noise"),
        (50, 25, "enhancenet:photo", "ffdnet:jpeg+ffdnet:noise"),
    ],
)
def test_the_rule_is_the_one_in_the_documentation(
    quality: int | None, noise: float, enlarging: str, cleaning: str
) -> None:
    registry = discover()
    image = found(quality, noise)
    assert choose(image, rule(registry)).model == enlarging
    assert choose(image, rule(registry, 1)).model == cleaning


def weights(name: str, task: Task | None, quality: int = 100, noise: float = 0, scale: int = 4) -> Weights:
    return Weights(
        name,
        scale,
        "none",
        "0" * 64,
        "none",
        "not at all",
        lowest_quality=quality,
        highest_noise=noise,
        task=task,
    )


CLEAN = weights("clean", "enlarge")
PHONE = weights("phone", "enlarge", quality=30, noise=12)
SOFT = replace(PHONE, name="soft", highest_blur=1.5)
JPEG = weights("jpeg", "deblock", quality=5, scale=1)
NOISE = weights("noise", "denoise", noise=75, scale=1)


def registry_of(toys: Registry, *known: Weights) -> Registry:
    """A registry of one model with these weights, which is called ``any``."""

    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return [replace(toys.models["enhancenet"], name="any", scales=None, weights=known)]

    module = ModuleType("some_weights")
    vars(module).update(CONTRACT=2, restore_models=restore_models)
    registry = build([Plugin("some", module)])
    assert not registry.problems
    return registry


@pytest.mark.parametrize(
    ("quality", "noise", "with_phone", "without"),
    [
        (None, 0, "any:clean", "any:clean"),
        (60, 0, "any:phone", "any:jpeg+any:clean"),
        (60, 11, "any:phone", "any:jpeg+any:noise+any:clean"),
        (20, 0, "any:jpeg+any:clean", "any:jpeg+any:clean"),
        (None, 25, "any:noise+any:clean", "any:noise+any:clean"),
        (20, 25, "any:jpeg+any:noise+any:clean", "any:jpeg+any:noise+any:clean"),
    ],
)
def test_weights_are_chosen_by_what_they_declare(
    toys: Registry, quality: int | None, noise: float, with_phone: str, without: str
) -> None:
    image = found(quality, noise)
    known = (weights("other", None, quality=1, noise=200), PHONE, JPEG, NOISE, CLEAN)
    assert choose(image, rule(registry_of(toys, *known))).model == with_phone
    assert (
        choose(image, rule(registry_of(toys, *(one for one in known if one is not PHONE)))).model == without
    )


@pytest.mark.parametrize(
    ("quality", "noise", "blur", "with_soft", "without"),
    [
        (60, 0, 0.0, "any:phone", "any:phone"),
        (60, 0, 1.3, "any:soft", "any:phone"),
        (60, 11, 4.0, "any:soft", "any:phone"),
        (None, 0, 0.0, "any:clean", "any:clean"),
        (None, 0, 1.3, "any:soft", "any:clean"),
        (20, 0, 1.3, "any:jpeg+any:clean", "any:jpeg+any:clean"),
    ],
)
def test_blur_counts_where_weights_were_trained_on_it(
    toys: Registry, quality: int | None, noise: float, blur: float, with_soft: str, without: str
) -> None:
    image = found(quality, noise, blur)
    known = (SOFT, PHONE, JPEG, NOISE, CLEAN)
    assert choose(image, rule(registry_of(toys, *known))).model == with_soft
    assert choose(image, rule(registry_of(toys, *known[1:]))).model == without


@pytest.mark.parametrize(
    ("limits", "image", "model"),
    [
        ((100, 0, 1.5), (None, 0, 1.3), "soft"),
        ((100, 0, 1.5), (60, 0, 1.3), "phone"),  # soft is not for compression
        ((50, 8, 1.5), (None, 0, 1.3), "soft"),
        ((50, 8, 1.5), (40, 0, 1.3), "phone"),
        ((100, 12, 1.5), (None, 8, 0), "phone"),  # soft is not for sharp images
        ((30, 0, 1.5), (60, 0, 0), "phone"),
        ((30, 12, 0.5), (60, 0, 0), "soft"),  # blur that cannot be seen: equal to phone, and the first
    ],
)
def test_weights_for_blur_are_for_blurred_images_within_their_limits(
    toys: Registry, limits: tuple[int, float, float], image: tuple[int | None, float, float], model: str
) -> None:
    quality, noise, blur = limits
    soft = replace(SOFT, lowest_quality=quality, highest_noise=noise, highest_blur=blur)
    rows = rule(registry_of(toys, soft, PHONE, CLEAN))
    assert choose(found(*image), rows).model == f"any:{model}"


def test_of_weights_for_blur_those_trained_on_the_least_that_suffices_are_chosen(toys: Registry) -> None:
    softer = replace(SOFT, name="softer", highest_blur=3.0)
    rows = rule(registry_of(toys, softer, SOFT, PHONE, CLEAN))
    chosen = [choose(found(60, 0, blur), rows).model for blur in (0.5, 1.3, 1.6, 4.0)]
    assert chosen == ["any:phone", "any:soft", "any:softer", "any:softer"]


@pytest.mark.parametrize(
    ("known", "blur", "model"),
    [
        ((SOFT, PHONE, CLEAN), 0, "phone"),
        ((SOFT, PHONE, CLEAN), 3, "soft"),
        ((SOFT, CLEAN), 0, "soft"),
        ((SOFT, CLEAN), 3, "soft"),
    ],
)
def test_beyond_all_weights_blur_decides_between_those_of_the_most_degraded_images(
    toys: Registry, known: tuple[Weights, ...], blur: float, model: str
) -> None:
    assert choose(found(5, 80, blur), rule(registry_of(toys, *known))).model == f"any:{model}"


def test_what_was_found_is_said_in_words() -> None:
    rows = (RuleRow("any:clean", quality=91, noise=6, blur=1), RuleRow("any:soft"))
    sentences = [
        choose(found(*kind), rows).sentence for kind in ((None, 0, 2), (40, 9, 2), (40, 0, 2), (40, 9), ())
    ]
    assert sentences == [
        "blur of 2: any:soft",
        "JPEG of quality 40 with noise of 9 and blur of 2: any:soft",
        "JPEG of quality 40 with blur of 2: any:soft",
        "JPEG of quality 40 with noise of 9: any:soft",
        "no visible noise or compression: any:clean",
    ]


def test_an_image_beyond_all_weights_has_those_of_the_most_degraded_images(toys: Registry) -> None:
    assert choose(found(5, 80), rule(registry_of(toys, CLEAN, PHONE))).model == "any:phone"
    assert choose(found(5, 80), rule(registry_of(toys, CLEAN))).model == "any:clean"


def test_of_two_that_suit_the_one_trained_on_less_is_chosen_and_of_equal_ones_the_first(
    toys: Registry,
) -> None:
    heavy, second = replace(PHONE, name="heavy", highest_noise=50), replace(PHONE, name="second")
    rows = rule(registry_of(toys, heavy, PHONE, second, CLEAN))
    assert choose(found(60, 10), rows).model == "any:phone"
    assert choose(found(60, 30), rows).model == "any:heavy"


def test_weights_of_another_scale_are_not_chosen(toys: Registry) -> None:
    registry = registry_of(toys, CLEAN, replace(PHONE, scale=2))
    assert {row.model for row in rule(registry)} == {"any:clean"}
    assert {row.model for row in rule(registry, 2)} == {"any:clean", "any:phone"}


def test_of_weights_for_equal_images_those_of_the_wanted_scale_come_first(toys: Registry) -> None:
    exact, exact_at_2 = weights("exact", None), weights("exact", "enlarge", scale=2)
    registry = registry_of(toys, CLEAN, exact, exact_at_2, PHONE)
    assert {row.model for row in rule(registry, 2)} == {"any:exact", "any:phone"}
    assert {row.model for row in rule(registry, 3)} == {"any:clean", "any:phone"}
    assert rule(registry) == rule(registry, 4) == rule(registry, 3)


@pytest.mark.parametrize(
    ("known", "scale", "words"),
    [
        ((JPEG, NOISE), None, "none of the weights that 'auto' chooses from can enlarge"),
        ((CLEAN, JPEG), 1, "none of the weights that 'auto' chooses from can remove noise"),
        ((CLEAN, NOISE), 1, "none of the weights that 'auto' chooses from can remove compression"),
    ],
)
def test_a_rule_without_weights_for_its_task_is_refused(
    toys: Registry, known: tuple[Weights, ...], scale: int | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        rule(registry_of(toys, *known), scale)


def test_what_is_removed_by_force_needs_weights_for_it(toys: Registry) -> None:
    assert removing({"quality": 40}, registry_of(toys, JPEG)) == ("any:jpeg", {"any.quality": 40})
    with pytest.raises(UsageError, match="can remove noise"):
        removing({"sigma": 15}, registry_of(toys, JPEG))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"task": "enlarge", "scale": 1}, "of scale 1 cannot have the task 'enlarge'"),
        ({"task": "denoise", "scale": 4}, "of scale 4 cannot have the task 'denoise'"),
        ({"task": "enlarge", "lowest_quality": None}, "need limits by which they are chosen"),
        ({"highest_blur": -1.0}, "cannot have a highest_blur of -1.0"),
        ({"highest_blur": float("nan")}, "cannot have a highest_blur of nan"),
    ],
)
def test_a_task_that_cannot_be_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(EntryError, match=words):
        replace(weights("some", None), **wrong)


def test_a_scale_beyond_the_weights_is_refused_as_for_the_model() -> None:
    with pytest.raises(UsageError, match=r"cannot work at scale 9: it has weights for 2x, 4x"):
        restore.load("auto", scale=9, device="cpu")


def test_the_fingerprint_changes_with_the_rule() -> None:
    rows = (RuleRow("", 91, 3.5), RuleRow("ffdnet:jpeg"))
    assert fingerprint(rows) == fingerprint(list(rows))
    assert fingerprint(rows) != fingerprint(rows[::-1])
    assert fingerprint(rows) != fingerprint((rows[0], RuleRow("ffdnet:noise")))


def test_no_model_can_be_called_auto() -> None:
    with pytest.raises(EntryError, match="cannot be called 'auto'"):
        ModelSpec("auto", "a model", build=lambda *_: None, halo=lambda *_: 0)  # type: ignore[arg-type]  # never called


# The command


@pytest.mark.usefixtures("photo_weights")
def test_each_image_of_a_folder_is_enlarged_with_the_model_that_it_needs(folder: Path, run: Run) -> None:
    done = run("upscale", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert models(done) == {
        "good.png": "enhancenet:pat",
        "noisy.png": "enhancenet:photo",
        "a.jpg": "enhancenet:photo",
        "b.jpg": "enhancenet:photo",
    }
    results = folder.with_name("in_x4")
    for name, model in models(done).items():
        made = read_provenance(results / name)
        assert made is not None
        assert made.model == model
        assert dict(made.settings)["chosen by"].startswith("auto ")
    with Image.open(results / "a.jpg") as image:
        assert image.size == (256, 192)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert f"note: {folder}/: 2 JPEG of quality 50 to 70: enhancenet:photo" in notes
    assert len(notes) == 3


@pytest.mark.usefixtures("photo_weights")
def test_a_good_image_is_equal_to_the_result_of_the_model(folder: Path, run: Run) -> None:
    assert run("upscale", folder / "good.png").returncode == 0
    named = run("upscale", folder / "good.png", "--model", "enhancenet:pat", "-o", folder / "named.png")
    assert named.returncode == 0
    assert torch.equal(read(folder / "good_x4.png").color, read(folder / "named.png").color)


@pytest.mark.usefixtures("photo_weights")
def test_what_exists_is_judged_by_image(folder: Path, run: Run) -> None:
    assert run("upscale", folder).returncode == 0
    assert {row["status"] for row in run("upscale", folder, "--json").rows} == {"skipped"}
    Image.fromarray(textured(noise=20)).save(folder / "good.png")
    done = run("upscale", folder, "--json")
    assert [row["choice"]["model"] for row in done.rows if row["status"] == "done"] == ["enhancenet:photo"]
    named = run("upscale", folder, "--model", "enhancenet:photo", "--json")
    assert {row["status"] for row in named.rows} == {"done"}


@pytest.mark.usefixtures("photo_weights")
def test_a_dry_run_shows_the_model_of_each_image(folder: Path, run: Run) -> None:
    done = run("upscale", folder, "--dry-run")
    assert [line.rpartition("MiB  ")[2] for line in done.stdout.splitlines()] == [
        "JPEG of quality 50: enhancenet:photo",
        "JPEG of quality 70: enhancenet:photo",
        "no visible noise or compression: enhancenet:pat",
        next(line.rpartition("MiB  ")[2] for line in done.stdout.splitlines() if "noisy" in line),
    ]
    assert not folder.with_name("in_x4").exists()


@pytest.mark.usefixtures("photo_weights")
def test_a_named_model_is_used_and_a_warning_names_what_it_was_not_trained_on(folder: Path, run: Run) -> None:
    done = run("upscale", folder, "--model", "enhancenet:pat")
    assert done.returncode == 0
    for name in ("good.png", "a.jpg"):
        made = read_provenance(folder.with_name("in_x4") / name)
        assert made is not None
        assert made.model == "enhancenet:pat"
        assert "chosen by" not in dict(made.settings)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings[0] == (
        f"warning: {folder}/: 2 JPEG of quality 50 to 70: enhancenet:pat was trained on better images; "
        "use the model 'auto'"
    )
    assert len(warnings) == 2
    assert "warning" not in run("upscale", folder, "--model", "enhancenet:photo").stderr


@pytest.mark.usefixtures("photo_weights")
def test_results_may_be_smaller_than_those_of_the_model(folder: Path, run: Run) -> None:
    done = run("upscale", folder / "a.jpg", "--scale", "2")
    assert "enhancenet:photo: the model works at 4x; results are downscaled to 2x" in done.stderr
    with Image.open(folder / "a_x2.jpg") as image:
        assert image.size == (128, 96)


@pytest.mark.usefixtures("photo_weights")
def test_a_blurred_photo_is_enlarged_with_weights_for_blur(folder: Path, run: Run) -> None:
    blurred = checkered().filter(ImageFilter.GaussianBlur(2))
    checkered().save(folder / "sharp.png")
    blurred.save(folder / "soft.png")
    blurred.save(folder / "soft.jpg", quality=60)
    done = run("upscale", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert {name: model for name, model in models(done).items() if name.startswith("s")} == {
        "sharp.png": "enhancenet:pat",
        "soft.png": "enhancenet:blurred",
        "soft.jpg": "enhancenet:blurred",
    }
    (soft,) = [row["choice"] for row in done.rows if row["source"].endswith("soft.jpg")]
    assert soft["blur"] == pytest.approx(2, abs=0.3)
    assert soft["quality"] == 60
    cleaned = run("clean", folder / "soft.png", "--json")
    assert [row["choice"]["model"] for row in cleaned.rows] == [""]  # blur alone is no reason to clean


def test_python_enlarges_each_image_with_the_model_that_it_needs(photo_weights: ModuleType) -> None:
    restorer = restore.load("auto", device="cpu", precision="fp32")
    photo = restore.load("enhancenet:photo", device="cpu", precision="fp32")
    pat = restore.load("enhancenet:pat", device="cpu", precision="fp32")
    assert photo_weights.PHOTO
    noisy, good = textured(noise=20), textured()
    assert np.array_equal(restorer.upscale(noisy), photo.upscale(noisy))
    assert np.array_equal(restorer.upscale(good), pat.upscale(good))


# Measuring


@pytest.fixture
def pairs(folder: Path) -> tuple[Path, Path]:
    """Inputs that need different models, and targets of four times their size."""
    targets = folder.with_name("targets")
    targets.mkdir()
    for file in folder.iterdir():
        with Image.open(file) as image:
            image.resize((image.width * 4, image.height * 4)).save(targets / f"{file.stem}.png")
    return folder, targets


CHOSEN = {
    "a.png": "enhancenet:photo",
    "b.png": "enhancenet:photo",
    "good.png": "enhancenet:pat",
    "noisy.png": "enhancenet:photo",
}


@pytest.mark.usefixtures("photo_weights")
def test_an_evaluation_chooses_for_each_image_as_upscale_does(pairs: tuple[Path, Path], run: Run) -> None:
    inputs, targets = pairs
    models = [part for name in ("auto", "enhancenet:pat", "enhancenet:photo") for part in ("--model", name)]
    page = inputs.with_name("page.html")
    done = run("evaluate", *models, "--data", targets, "--degraded", inputs, "--json", "--report", page)
    assert done.returncode == 0, done.stderr
    auto, *named = done.rows
    assert (auto["model"], auto["scale"], auto["cost"]) == ("auto", 4, None)
    assert auto["settings"]["rule"].startswith("auto ")
    assert {image["name"]: image["choice"]["model"] for image in auto["images"]} == CHOSEN
    values = {(row["model"], one["name"]): one["values"] for row in named for one in row["images"]}
    for image in auto["images"]:
        assert image["values"] == values[CHOSEN[image["name"]], image["name"]]
    assert {image["choice"] for row in named for image in row["images"]} == {None}
    (compared,) = page.with_name("page_images").rglob("a.png.html")
    assert "JPEG of quality 50: enhancenet:photo" in compared.read_text("utf-8")


@pytest.mark.usefixtures("photo_weights")
def test_the_table_of_an_evaluation_says_what_was_chosen(pairs: tuple[Path, Path], run: Run) -> None:
    inputs, targets = pairs
    done = run("evaluate", "--model", "auto", "--data", f"big={targets}", "--degraded", inputs)
    assert "auto on big: 2 JPEG of quality 50 to 70: enhancenet:photo" in done.stdout
    assert "auto on big: 1 without visible noise or compression: enhancenet:pat" in done.stdout


@pytest.mark.usefixtures("photo_weights")
def test_an_evaluation_at_scale_1_leaves_good_images_unchanged(folder: Path, run: Run) -> None:
    inputs = ("--data", folder, "--degraded", folder, "--scale", 1)
    (row,) = run("evaluate", "--model", "auto", *inputs, "--json").rows
    chosen = {image["name"]: image["choice"]["model"] for image in row["images"]}
    assert chosen["good.png"] == ""
    assert chosen["a.jpg"] == "ffdnet:jpeg"
    psnr = {image["name"]: image["values"]["psnr"] for image in row["images"]}
    assert psnr["good.png"] is None  # infinite
    assert psnr["a.jpg"] is not None


@pytest.mark.usefixtures("photo_weights")
def test_a_comparison_says_what_was_chosen_for_the_image(folder: Path, run: Run) -> None:
    page = folder.with_name("page.html")
    done = run("compare", folder / "a.jpg", "--model", "auto", "--model", "enhancenet:pat", "-o", page)
    assert done.returncode == 0, done.stderr
    assert "JPEG of quality 50: enhancenet:photo" in page.read_text("utf-8")


def test_options_of_a_model_cannot_be_given_to_auto(folder: Path, run: Run) -> None:
    for command in (("evaluate", "--data", folder), ("compare", folder / "good.png")):
        done = run(*command, "--model", "auto", "--set", "auto.width=8")
        assert done.returncode == 2
        assert "options belong to a model, and 'auto' chooses one" in done.stderr
