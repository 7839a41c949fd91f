"""Training on pairs of files, alone and mixed with images that a degradation makes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from PIL import Image

from restore.checkpoint import latest_checkpoint
from restore.config import Source, TrainingConfig, resolve, resolve_again, write_toml
from restore.data import (
    CountedSampler,
    DegradedFiles,
    ImageCache,
    Mixture,
    Patches,
    Sample,
    batches,
    check_alignment,
    find_augmentations,
    find_degradation,
    find_pairs,
)
from restore.data.alignment import offset
from restore.data.mixture import counts
from restore.errors import DataError, RestoreError, TrainingError, UsageError
from restore.images import read_levels
from restore.levels import to_values
from restore.registry import Registry, discover
from restore.resizing import imresize
from restore.training import Monitor, train
from restore.training.setup import set_up

Configure = Callable[..., TrainingConfig]
Draw = Callable[..., Path]


@pytest.fixture
def reduce(photos: Path) -> Callable[..., Path]:
    """Make a folder of the photos, reduced by taking one of each 4x4 pixels."""

    def make(folder: Path, name: str = "{}.png", shift: int = 0) -> Path:
        for file in sorted(photos.rglob("*.png")):
            with Image.open(file) as image:
                pixels = np.asarray(image)
            height, width = (side // 4 * 4 for side in pixels.shape[:2])
            small = np.roll(pixels, shift, 1)[:height:4, :width:4]
            place = folder / file.relative_to(photos).with_name(name.format(file.stem))
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(small).save(place)
        return folder

    return make


@pytest.fixture
def lr(reduce: Callable[..., Path], tmp_path: Path) -> Path:
    return reduce(tmp_path / "lr", "{}x4.png")


def weights(run: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.glob("*.safetensors")}


def interrupt_after(step: int) -> Monitor:
    def see(line: dict[str, Any]) -> None:
        if line["step"] == step and "steps" in line:
            os.kill(os.getpid(), signal.SIGINT)

    return Monitor(log=see)


def paired(photos: Path, lr: Path, seed: int = 3, **more: Any) -> Patches:
    partners, _ = find_pairs(photos, lr, 4)
    large = [file for file in partners if file.name != "tiny.png"]
    return Patches(large, 32, DegradedFiles([partners[file] for file in large], 4), seed=seed, **more)


def same(left: Sample, right: Sample) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


# Pairs -----------------------------------------------------------------------------------------------


def test_both_images_of_a_pair_are_cut_at_the_same_place(photos: Path, lr: Path) -> None:
    data = paired(photos, lr)
    for index in range(20):
        degraded, target, conditions = data[index]
        assert degraded.shape == (3, 8, 8)
        assert torch.equal(degraded, target[:, ::4, ::4])
        assert conditions.shape == (0,)
    assert len({data[index].target.sum().item() for index in range(20)}) > 10


def test_gray_transparent_and_16_bit_files_are_pairs_too(tmp_path: Path, draw: Draw) -> None:
    targets, degraded = tmp_path / "hr", tmp_path / "small"
    degraded.mkdir()
    with Image.open(draw(targets / "a.png", 35, 38)) as image:
        gray = np.asarray(image.convert("L"))
        image.convert("RGBA").save(targets / "b.png")
    Image.fromarray(gray).save(targets / "a.png")
    Image.fromarray(gray[:36:4, :32:4].astype(np.uint16) * 257).save(degraded / "a.png")
    with Image.open(targets / "b.png") as image:
        Image.fromarray(np.asarray(image)[:36:4, :32:4]).save(degraded / "b.png")
    partners, sizes = find_pairs(targets, degraded, 4)
    assert set(sizes.values()) == {(35, 38)}
    data = Patches(list(partners), 32, DegradedFiles(list(partners.values()), 4), seed=0)
    assert all(torch.equal(data[index].degraded, data[index].target[:, ::4, ::4]) for index in range(8))


def test_the_cache_counts_both_files(photos: Path, lr: Path) -> None:
    cache = ImageCache(10**6)
    data = paired(photos, lr, cache=cache)
    for index in range(3):
        assert data[index]
    assert set(cache.images) == {*data.files, *data.degraded}
    assert cache.size == sum(image.numel() for image in cache.images.values())


@pytest.mark.parametrize(
    "form",
    ["{}", "{}x4", "{}_x4", "{}-x4", "{}x4m", "{}x4d", "{}_LR", "{}_lr", "{}_LRBI_x4", "{}_LR_x4", "{}_LR4"],
)
def test_the_names_of_the_usual_data_sets_are_found(
    photos: Path, tmp_path: Path, reduce: Callable[..., Path], form: str
) -> None:
    partners, _ = find_pairs(photos, reduce(tmp_path / "lr", f"{form}.png"), 4)
    assert {target.stem: degraded.stem for target, degraded in partners.items()} == {
        stem: form.format(stem) for stem in ("a", "b", "c", "tiny")
    }


def test_the_suffix_of_a_target_may_be_replaced(tmp_path: Path, draw: Draw) -> None:
    target = draw(tmp_path / "hr" / "Canon_001_HR.png", 32, 32)
    degraded = draw(tmp_path / "lr" / "Canon_001_LR4.png", 8, 8)
    assert find_pairs(tmp_path / "hr", tmp_path / "lr", 4)[0] == {target: degraded}


def test_missing_partners_are_counted_and_the_tried_names_listed(photos: Path, lr: Path) -> None:
    for name in ("ax4.png", "bx4.png"):
        (lr / name).unlink()
    with pytest.raises(DataError) as caught:
        find_pairs(photos, lr, 4)
    sentence = str(caught.value)
    assert "there is no degraded image for the target 'a.png'; tried a.png, ax4.png, a_x4.png" in sentence
    assert "; in all, 2 targets have none; rename the degraded images like their targets" in sentence


def test_partners_of_the_wrong_size_are_counted_and_the_first_named(
    photos: Path, tmp_path: Path, reduce: Callable[..., Path]
) -> None:
    with pytest.raises(
        DataError,
        match=r"a\.png: the degraded image has 16x12 pixels, but at scale 2 its target needs 32x24; "
        r"in all, 4 images have a wrong size",
    ):
        find_pairs(photos, reduce(tmp_path / "lr"), 2)


# Mixtures --------------------------------------------------------------------------------------------


def mixture(photos: Path, lr: Path, seed: int = 7) -> Mixture:
    registry = discover()
    noisy = find_degradation("bicubic+noise", registry, 4)
    augmentations = find_augmentations(["turn", "mixup"], registry)
    files = [photos / "a.png", photos / "b.png"]
    made = Patches(files, 32, noisy, seed=11, augmentations=augmentations)
    return Mixture([paired(photos, lr), made], [3, 1], seed)


def test_every_source_has_its_share_and_gives_its_samples_in_order(photos: Path, lr: Path) -> None:
    data = mixture(photos, lr)
    places = [data.place(index) for index in range(3000)]
    for source, share in ((0, 750), (1, 250)):
        assert [own for each, own in places if each == source] == list(range(3 * share))
        for block in range(3):
            assert sum(each == source for each, _ in places[1000 * block : 1000 * (block + 1)]) == share
    first, second = (tuple(each for each, _ in places[start : start + 1000]) for start in (0, 1000))
    assert first != second
    assert places[:50] != [mixture(photos, lr, seed=8).place(index) for index in range(50)]


def test_a_sample_of_a_mixture_depends_on_its_index_alone(photos: Path, lr: Path) -> None:
    expected = [mixture(photos, lr)[index] for index in range(12)]
    backwards = mixture(photos, lr)
    assert all(same(backwards[index], expected[index]) for index in reversed(range(12)))
    for workers, ranks in ((0, 1), (2, 1), (1, 2)):
        for rank in range(ranks):
            sampler = CountedSampler(1, 3, 4, rank, ranks)
            found = [
                Sample(*each)
                for batch in batches(mixture(photos, lr), sampler, workers)
                for each in zip(*batch, strict=True)
            ]
            assert all(
                same(sample, expected[index])
                for sample, index in zip(found, [each for step in sampler for each in step], strict=True)
            )


def test_shares_add_up_and_none_is_empty() -> None:
    assert counts([0.2, 0.3, 0.5]) == [200, 300, 500]
    tiny = counts([1e6, *[1e-6] * 20])
    assert (sum(tiny), min(tiny), max(tiny)) == (1000, 1, 980)


# Alignment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [(0, 0), (8, 0), (-4, 12), (2, 2), (0, -20)])
def test_a_known_offset_is_found(x: int, y: int) -> None:
    target = to_values(read_levels(Path(__file__).parents[2] / "examples" / "astronaut.jpg")[None])
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    degraded = imresize(target.roll((y, x), (-2, -1)), (64, 64)) + 0.02 * noise
    found = offset(degraded, target)
    assert (found.x, found.y) == pytest.approx((x / 4, y / 4), abs=0.1)
    assert found.is_clear
    assert found.correlation > 0.9


def test_flat_images_have_no_clear_offset() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert not offset(flat, torch.full((1, 3, 64, 64), 0.5)).is_clear


def test_misaligned_pairs_and_other_scenes_are_named(tmp_path: Path) -> None:
    picture = to_values(read_levels(Path(__file__).parents[2] / "examples" / "astronaut.jpg")[None])
    pairs = []
    for number, shift in enumerate((0, 0, 4, 12)):
        place = tmp_path / f"{number}.png", tmp_path / f"{number}x4.png"
        for file, image in zip(place, (picture, imresize(picture.roll(shift, -1), (64, 64))), strict=True):
            pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(file)
        pairs.append(place)
    (shifted,) = check_alignment(pairs, 4)
    assert (
        "2 of 4 degraded images that were checked are shifted against their targets, most of all" in shifted
    )
    assert f"'{pairs[3][1]}': by +3.00 input pixels to the right and +0.00 down" in shifted
    with Image.open(pairs[0][1]) as small:
        flipped = small.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    flipped.save(pairs[0][1])
    other = check_alignment(pairs, 4)[-1]
    assert "1 of 4 degraded images that were checked do not look like their targets" in other
    assert f"least of all '{pairs[0][1]}'" in other
    assert check_alignment(pairs[1:2], 4) == []


# Runs ------------------------------------------------------------------------------------------------

MIX = [
    pytest.param({}, id="pairs"),
    pytest.param(
        {
            "loss": "l1-toy",
            "optimizer": "soap",
            "precision": "fp16",
            "workers": 1,
            "augmentations": ["mixup", "cutblur"],
        },
        id="pairs, mixed patches, soap, float16",
    ),
    pytest.param(
        {
            "loss": "kinds",
            "optimizer": "schedule-free",
            "schedule": "constant",
            "warmup_discriminator": 0,
            "mixed": True,
        },
        id="pairs and made inputs, every kind of term, schedule-free",
    ),
    pytest.param(
        {
            "loss": "l1-toy",
            "adversary": {"steps": 2, "fresh": True},
            "augmentations": ["cutmix", "turn"],
            "accumulate": 2,
            "workers": 1,
            "mixed": True,
        },
        id="pairs and made inputs, mixed patches, fresh batches in parts",
    ),
]


def with_sources(photos: Path, lr: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a run on pairs alone, or on pairs and made inputs."""
    if not changes.pop("mixed", False):
        return {"degraded": [lr], **changes}
    sources = [
        {"data": [photos], "degraded": [lr], "weight": 2},
        {"data": [photos], "degradation": "bicubic+noise", "degradation_options": {"noise": {"sigma": 9}}},
    ]
    return {"data": [], "source": sources, **changes}


@pytest.mark.parametrize("changes", MIX)
def test_a_run_on_pairs_that_was_resumed_equals_one_that_never_stopped(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, lr: Path, changes: dict[str, Any]
) -> None:
    watched = {
        "val": [photos],
        "val_degraded": [lr],
        "validate_every": 2,
        "keep": ["best:dark"],
        "patience": 9,
    }
    config = configure(**with_sources(photos, lr, **changes), **watched, seed=2)
    whole = train(config, toys, tmp_path / "whole")
    train(config, toys, tmp_path / "halted", monitor=interrupt_after(3))
    moved = tmp_path / "moved"
    lr.rename(moved)
    again = resolve_again(
        tmp_path / "halted", None, [], with_sources(photos, moved, **changes) | {"val_degraded": [moved]}
    )
    resumed = train(again, toys, tmp_path / "halted", resume=True)
    assert weights(tmp_path / "halted") == weights(tmp_path / "whole")
    assert len(weights(tmp_path / "halted")) == 2
    assert (resumed.best, resumed.metrics) == (whole.best, whole.metrics)
    assert resolve(tmp_path / "halted" / "config.toml", [], {}) == again
    assert resolve(tmp_path / "whole" / "config.toml", [], {}) == config


def test_a_run_is_not_resumed_with_other_degraded_images(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, lr: Path, reduce: Callable[..., Path]
) -> None:
    config = configure(degraded=[lr], val=[photos], val_degraded=[lr], keep=["best:psnr"], steps=2)
    train(config, toys, tmp_path / "run")
    other = reduce(tmp_path / "other", shift=1)
    for changes, kind in (
        ({"degraded": [other]}, "training"),
        ({"degraded": []}, "training"),
        ({"val_degraded": [other]}, "validation"),
        ({"val_degraded": []}, "validation"),
    ):
        with pytest.raises(TrainingError, match=f"the {kind} images are not those"):
            train(config.model_copy(update=changes), toys, tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="a resumed run keeps its settings: `source` is"):
        resolve_again(tmp_path / "run", None, [f"source=['data={photos},degraded={lr}']"], {})


def test_a_validation_uses_the_given_inputs(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, lr: Path
) -> None:
    made = train(configure(steps=1, val=[photos], degraded=[lr]), toys, tmp_path / "made")
    given = train(
        configure(steps=1, val=[photos], val_degraded=[lr], degraded=[lr]), toys, tmp_path / "given"
    )
    assert made.metrics.keys() == given.metrics.keys()
    assert made.metrics != given.metrics


def test_a_run_warns_of_misaligned_pairs_at_its_start_only(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, reduce: Callable[..., Path]
) -> None:
    config = configure(degraded=[reduce(tmp_path / "lr", shift=8)], steps=1)
    said: dict[bool, list[str]] = {False: [], True: []}
    for resume, sentences in said.items():
        train(config, toys, tmp_path / "run", resume=resume, monitor=Monitor(message=sentences.append))
    assert sum("are shifted against their targets" in sentence for sentence in said[False]) == 1
    assert "3 pairs of files" in said[False][0]
    assert not any("shifted" in sentence for sentence in said[True])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"degraded": ["lr", "lr"]}, "`degraded` has 2 folders for 1 of `data`; give one for each"),
        ({"val_degraded": ["lr"]}, "`val_degraded` has 1 folders for 0 of `val`; give one for each"),
        ({"degraded": ["nowhere"]}, "nowhere: there is no such folder"),
        ({"source": [{"data": ["photos"]}]}, "`data` and `source` are both given"),
        ({"data": []}, "there are no training images; set `data` or `source`"),
        (
            {"data": [], "source": [{"data": ["photos"], "degraded": ["lr"], "degradation": "bicubic"}]},
            "a source has degraded images in 'lr' and the degradation 'bicubic'; omit one of them",
        ),
        ({"degraded": ["lr"], "scale": 2}, "no degraded image for the target 'a.png'; tried a.png, ax2.png"),
        (
            {"model": "ffdnet", "model_options": {}, "degraded": ["photos"], "scale": 1},
            "takes the number 'sigma', which files of degraded images do not have; omit `degraded`",
        ),
        ({"val": ["photos"], "val_degraded": ["photos"]}, "at scale 4 its target needs 16x12"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused_before_the_first_step(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    lr: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RestoreError) as caught:
        train(configure(**changes), toys, tmp_path / "run")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# The configuration -----------------------------------------------------------------------------------


def test_a_source_is_a_table_or_one_line_of_text(tmp_path: Path) -> None:
    file = tmp_path / "given.toml"
    table = {"data": ["a", "b"], "degraded": ["c", "d"], "weight": 3}
    file.write_text(tomli_w.dumps({"loss": "l1", "source": [table, {"data": ["e"], "degradation": "photo"}]}))
    lines = ["data=a,data=b,degraded=c,degraded=d,weight=3", "data=e,degradation=photo"]
    config = resolve(None, [], {"loss": "l1", "source": lines})
    assert config == resolve(file, [], {})
    assert config.source == [
        Source(data=[Path("a"), Path("b")], degraded=[Path("c"), Path("d")], weight=3),
        Source(data=[Path("e")], degradation="photo"),
    ]
    write_toml(config, tmp_path / "config.toml")
    assert resolve(tmp_path / "config.toml", [], {}) == config
    assert "a" not in str(config.settings["source"]).replace("data", "").split("'")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("photos", "a source in one line is KEY=VALUE,KEY=VALUE"),
        ("data=a,wieght=3", "has no option 'source.0.wieght'"),
        ("data=a,weight=0", "should be greater than 0"),
        ("degraded=a", "needs a value for 'source.0.data'"),
    ],
)
def test_a_wrong_source_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(None, [], {"loss": "l1", "source": [text]})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_have_to_agree_do_not_include_folders(
    toys: Registry, configure: Configure, photos: Path, lr: Path
) -> None:
    settings = set_up(configure(**with_sources(photos, lr, mixed=True)), toys).own_settings
    assert str(photos) not in str(settings)
    assert [source["weight"] for source in settings["source"]] == [2, 1]


def test_fingerprints_of_pairs_and_of_plain_images_differ(
    toys: Registry, configure: Configure, photos: Path, lr: Path
) -> None:
    def print_of(**changes: Any) -> str:
        return set_up(configure(**changes), toys).images.fingerprint

    assert len({print_of(), print_of(degraded=[lr]), print_of(**with_sources(photos, lr, mixed=True))}) == 3


def test_the_checkpoint_of_a_run_has_its_best_weights(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    train(configure(steps=1, val=[photos], keep=["best:psnr"]), toys, tmp_path / "run")
    checkpoint, _ = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert checkpoint.state["best"]["found"]["psnr"]["step"] == 1
    assert checkpoint.tensors["best-psnr"].keys() == checkpoint.tensors["average"].keys()
