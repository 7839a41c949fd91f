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
from PIL import Image

import restore
from restore.errors import EntryError, UsageError
from restore.estimation import Estimate, JpegEstimate, NoiseEstimate
from restore.hookspecs import hookimpl
from restore.images import read, read_provenance
from restore.inference.choosing import CLEAN, ENLARGE, Row, choose, fingerprint, usable
from restore.interfaces import ModelSpec
from restore.registry import Plugin, Registry, build, discover

Run = Callable[..., Any]

QUALITIES = (None, *range(1, 101))
NOISES = (0.0, 2.0, 3.4, 3.5, 5.9, 6.0, 30.0, 500.0)


def found(quality: int | None = None, noise: float = 0.0) -> Estimate:
    jpeg = None if quality is None else JpegEstimate(quality, True, None, (0, 0), "tables", 1.0)
    return Estimate(jpeg, NoiseEstimate((noise,) * 3, (0.0,) * 3, (0.0,) * 3), None, None)


def textured(width: int = 64, height: int = 48, noise: float = 0.0) -> NDArray[np.uint8]:
    """Smooth levels, with noise on request: ``(H, W, 3)``."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([100 + 20 * np.sin(x / 13 + shift) + 20 * np.sin(y / 9) for shift in range(3)], -1)
    levels = smooth + noise * np.random.default_rng(0).standard_normal(smooth.shape)
    result: NDArray[np.uint8] = np.clip(levels.round(), 0, 255).astype(np.uint8)
    return result


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
@pytest.mark.parametrize("rows", [ENLARGE, CLEAN])
def test_every_image_has_a_model(rows: tuple[Row, ...]) -> None:
    chosen = usable(rows, discover(), None)
    for quality, noise in itertools.product(QUALITIES, NOISES):
        assert choose(found(quality, noise), chosen).model in {
            "",
            *(name for row in chosen for name in row.models),
        }


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
    assert choose(image, usable(ENLARGE, registry, None)).model == enlarging
    assert choose(image, usable(CLEAN, registry, 1)).model == cleaning


def with_weights(toys: Registry, *references: str) -> Registry:
    """The models of the toolkit with some of their weights only."""
    kept = [(reference.partition(":")[0], reference.partition(":")[2]) for reference in references]

    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return [
            replace(spec, weights=tuple(weights for weights in spec.weights if (name, weights.name) in kept))
            for name, spec in toys.models.items()
        ]

    module = ModuleType("some_weights")
    vars(module).update(CONTRACT=2, restore_models=restore_models)
    registry = build([Plugin("some", module)])
    assert not registry.problems
    return registry


def test_only_weights_in_the_registry_are_chosen(
    toys: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo", "jpeg", "noise"):
        Path(name).touch()  # a file of this name is not the weights of this name
    registry = with_weights(toys, "enhancenet:pat")
    assert {row.models for row in usable(ENLARGE, registry, None)} == {("enhancenet:pat",)}
    with pytest.raises(UsageError, match="none of the weights that 'auto' chooses from is installed"):
        usable(CLEAN, registry, 1)


def test_a_scale_beyond_the_weights_is_refused_as_for_the_model() -> None:
    with pytest.raises(UsageError, match=r"cannot work at scale 9: it has weights for 4x"):
        restore.load("auto", scale=9, device="cpu")


def test_the_fingerprint_changes_with_the_rule() -> None:
    assert fingerprint(CLEAN) == fingerprint(list(CLEAN))
    assert fingerprint(CLEAN) != fingerprint(CLEAN[::-1])
    assert fingerprint(CLEAN) != fingerprint((*CLEAN[:-1], Row(("ffdnet:jpeg",))))


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
        "set --model to 'auto'"
    )
    assert len(warnings) == 2
    assert "warning" not in run("upscale", folder, "--model", "enhancenet:photo").stderr


@pytest.mark.usefixtures("photo_weights")
def test_results_may_be_smaller_than_those_of_the_model(folder: Path, run: Run) -> None:
    done = run("upscale", folder / "a.jpg", "--scale", "2")
    assert "enhancenet:photo: the model works at 4x; results are downscaled to 2x" in done.stderr
    with Image.open(folder / "a_x2.jpg") as image:
        assert image.size == (128, 96)


def test_python_enlarges_each_image_with_the_model_that_it_needs(photo_weights: ModuleType) -> None:
    restorer = restore.load("auto", device="cpu", precision="fp32")
    photo = restore.load("enhancenet:photo", device="cpu", precision="fp32")
    pat = restore.load("enhancenet:pat", device="cpu", precision="fp32")
    assert photo_weights.PHOTO
    noisy, good = textured(noise=20), textured()
    assert np.array_equal(restorer.upscale(noisy), photo.upscale(noisy))
    assert np.array_equal(restorer.upscale(good), pat.upscale(good))
