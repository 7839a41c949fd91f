"""What sample i is follows from (seed, i) alone, and a patch is degraded as its whole image would be."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restore.data import (
    CountedSampler,
    Degradation,
    ImageCache,
    Patches,
    Sample,
    batches,
    check_images,
    cut_off_images,
    find_augmentations,
    find_images,
    fingerprint,
    matches,
    pairs,
    usable,
)
from restore.degradation import bicubic, crop_to_multiple
from restore.errors import DataError, ImageError, OptionsError
from restore.images import read
from restore.registry import discover

Draw = Callable[..., Path]
Damage = Callable[[Path], None]


def shrink(scale: int, release: str = "current") -> Degradation:
    def degrade(target: Tensor, _: torch.Generator) -> Tensor:
        return bicubic(target, scale, release=release)  # type: ignore[arg-type]

    return Degradation(degrade, scale, margin=4 * scale)


KEEP = Degradation(lambda target, _: target)
ADD_NOISE = Degradation(lambda target, generator: target + torch.rand(target.shape, generator=generator))


def patches(photos: Path, *, seed: int = 5, degradation: Degradation = KEEP, cache_bytes: int = 0) -> Patches:
    files, _ = usable(check_images(find_images([photos])), 32)
    return Patches(files, 32, degradation, seed=seed, cache=ImageCache(cache_bytes))


def same(left: Sequence[Sample], right: Sequence[Sample]) -> bool:
    return all(torch.equal(a, b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True))


def test_images_are_found_below_a_folder_in_order_and_hidden_ones_are_not(photos: Path, draw: Draw) -> None:
    draw(photos / ".hidden.png", 40, 40)
    draw(photos / ".cache" / "e.png", 40, 40)
    (photos / "folder.png").mkdir()
    (photos / "notes.txt").touch()
    names = [file.relative_to(photos).as_posix() for file in find_images([photos])]
    assert names == ["a.png", "b.png", "deep/c.png", "tiny.png"]


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing: there is no such folder"):
        find_images([tmp_path / "missing"])
    with pytest.raises(DataError, match=f"{tmp_path}: there is no image in this folder"):
        find_images([tmp_path])


def test_images_smaller_than_the_patch_are_set_aside(photos: Path) -> None:
    large, small = usable(check_images(find_images([photos])), 32)
    assert [file.name for file in large] == ["a.png", "b.png", "c.png"]
    assert [file.name for file in small] == ["tiny.png"]
    with pytest.raises(
        DataError, match="none of the 4 images has 65 pixels on both sides, the largest has 64"
    ):
        usable(check_images(find_images([photos])), 65)


def test_an_image_that_cannot_be_read_is_named_at_once(photos: Path) -> None:
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(content[:-200])
    with pytest.raises(DataError, match=r"^.*b\.png: it is damaged or cut short"):
        usable(check_images(find_images([photos])), 32)


def test_images_that_cannot_be_read_are_counted_and_the_first_are_named_with_their_reasons(
    photos: Path, draw: Draw
) -> None:
    for index in range(5):
        file = draw(photos / f"broken: {index}.jpg", 40, 40)
        file.write_bytes(file.read_bytes()[:-90] if index else b"")
    with pytest.raises(DataError) as caught:
        check_images(find_images([photos]))
    sentence = str(caught.value)
    assert sentence.startswith("5 of 9 images cannot be read: ")
    assert f"{photos}/broken: 0.jpg (" in sentence
    assert f"{photos}/broken: 2.jpg (" in sentence
    assert "broken: 3.jpg" not in sentence
    assert sentence.endswith(") and 2 more; replace them, or remove them from the folder")


def test_checked_images_come_with_their_sizes(photos: Path) -> None:
    sizes = check_images(find_images([photos]))
    assert {file.name: size for file, size in sizes.items()} == {
        "a.png": (64, 48),
        "b.png": (53, 70),
        "c.png": (64, 64),
        "tiny.png": (64, 20),
    }


def test_the_fingerprint_is_that_of_the_contents_in_their_order(
    photos: Path, tmp_path: Path, draw: Draw
) -> None:
    files = find_images([photos])
    before = fingerprint(files)
    assert fingerprint(files) == before
    assert fingerprint(files[::-1]) != before
    shutil.copytree(photos, tmp_path / "elsewhere")
    assert fingerprint(find_images([tmp_path / "elsewhere"])) == before
    content, status = files[0].read_bytes(), files[0].stat()
    files[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert files[0].stat().st_size == status.st_size
    assert fingerprint(files) != before


def test_a_file_is_read_again_for_the_fingerprint_only_when_its_stamp_has_changed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, read_files = find_images([photos]), list[Any]()
    digest = hashlib.file_digest

    def counted(file: Any, algorithm: str) -> Any:
        read_files.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = fingerprint(files)
    assert sorted(read_files) == ["a.png", "b.png", "c.png", "tiny.png"]
    os.utime(files[1])
    assert fingerprint(files) == first
    assert read_files[4:] == ["b.png"]


def test_images_that_are_cut_off_are_found_again_after_they_were_replaced(photos: Path, draw: Draw) -> None:
    content = draw(photos / "d.jpg", 256, 256).read_bytes()
    files = find_images([photos])
    assert cut_off_images(files) == []
    (photos / "d.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    assert cut_off_images(files) == [photos / "d.jpg"]
    (photos / "d.jpg").write_bytes(content)
    assert cut_off_images(files) == []


def test_a_fingerprint_of_names_and_sizes_as_version_0_1_had_it_still_matches(photos: Path) -> None:
    files = find_images([photos])
    lines = sorted(f"{file.name} {file.stat().st_size}" for file in files)
    former = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    assert matches(former, files, fingerprint(files))
    assert not matches(former, files[1:], fingerprint(files[1:]))


def test_a_sample_follows_from_seed_and_index_alone(photos: Path) -> None:
    data = patches(photos, degradation=ADD_NOISE)
    first = [data[index] for index in range(12)]
    other = patches(photos, degradation=ADD_NOISE, cache_bytes=10**6)
    assert same(first, [other[index] for index in reversed(range(12))][::-1])
    assert not same(first, [patches(photos, degradation=ADD_NOISE, seed=6)[index] for index in range(12)])
    assert not same(first[:6], first[6:])


def test_each_image_is_used_once_before_any_is_used_again(photos: Path) -> None:
    data = patches(photos)
    epochs = [[data.files[data.number(3 * epoch + index)].name for index in range(3)] for epoch in range(8)]
    assert all(sorted(epoch) == ["a.png", "b.png", "c.png"] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize(("scale", "release"), [(2, "current"), (3, "older"), (4, "current"), (4, "older")])
def test_a_patch_is_degraded_as_its_whole_image_would_be(
    tmp_path: Path, draw: Draw, scale: int, release: str
) -> None:
    file = draw(tmp_path / "odd.png", 61, 47)
    degradation, side = shrink(scale, release), 4 * scale
    data = Patches([file], side, degradation, seed=0)
    target = crop_to_multiple(read(file).color, scale)
    degraded = degradation(target, torch.Generator()).image
    places = product(range(target.shape[-2] // scale - 3), range(target.shape[-1] // scale - 3))
    crops = {
        (y, x): target[0, :, y * scale : y * scale + side, x * scale : x * scale + side] for y, x in places
    }
    seen = set()
    for index in range(60):
        small, large, _ = data[index]
        (place,) = [place for place, crop in crops.items() if torch.equal(crop, large)]
        assert torch.equal(small, degraded[0, :, place[0] : place[0] + 4, place[1] : place[1] + 4])
        seen.add(place)
    rows, columns = ({place[axis] for place in seen} for axis in (0, 1))
    last = max(crops)
    assert {0, last[0]} <= rows, "the first and the last rows were never drawn"
    assert {0, last[1]} <= columns, "the first and the last columns were never drawn"


def test_patches_come_in_all_six_orders_of_the_channels_and_the_input_with_its_target(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (32, 32), (10, 20, 30)).save(file)
    shuffle = find_augmentations(["channel-shuffle"], discover())
    orders = set()
    for index in range(60):
        degraded, target, _ = Patches([file], 32, KEEP, seed=0, augmentations=shuffle)[index]
        assert torch.equal(degraded, target)
        orders.add(tuple(int(level) for level in (target[:, 0, 0] * 255).round()))
    assert orders == set(permutations((10, 20, 30)))


def test_patches_come_in_all_eight_turns_and_the_input_turns_with_its_target(
    tmp_path: Path, draw: Draw
) -> None:
    turn = find_augmentations(["turn"], discover())
    data = Patches([draw(tmp_path / "a.png", 8, 8)], 8, KEEP, seed=0, augmentations=turn)
    turns = set()
    for index in range(64):
        degraded, target, _ = data[index]
        assert torch.equal(degraded, target)
        turns.add(target.numpy().tobytes())
    assert len(turns) == 8


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_what_is_seen(photos: Path, workers: int) -> None:
    load = partial(batches, patches(photos, degradation=ADD_NOISE), CountedSampler(3, 9, 2))
    assert same(list(load(workers=0)), list(load(workers=workers)))


def test_signals_do_not_end_the_processes_that_load(photos: Path) -> None:
    data, sampler = patches(photos), CountedSampler(0, 40, 1)
    loaded = batches(data, sampler, workers=1)
    first = next(loaded)
    for worker in multiprocessing.active_children():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid or 0, number)
    assert same([first, *loaded], list(batches(data, sampler)))


def test_a_run_that_goes_on_sees_what_it_would_have_seen(photos: Path) -> None:
    data = patches(photos)
    whole = list(batches(data, CountedSampler(0, 6, 2)))
    assert same(whole[4:], list(batches(data, CountedSampler(4, 6, 2))))
    assert len(CountedSampler(4, 6, 2)) == 2
    assert not list(batches(data, CountedSampler(6, 6, 2)))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_processes_share_the_samples_of_each_step(ranks: int) -> None:
    shares = [list(CountedSampler(2, 5, 4, rank, ranks)) for rank in range(ranks)]
    steps = [[index for share in step for index in share] for step in zip(*shares, strict=True)]
    assert steps == [[8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_turns_out_to_be_damaged_is_named_in_one_sentence(
    photos: Path, damage: Damage, workers: int
) -> None:
    damage(photos / "b.png")
    data = patches(photos)
    with pytest.raises(ImageError, match=r"b\.png: it is damaged") as caught:
        list(batches(data, CountedSampler(0, 3, 1), workers=workers))
    assert "\n" not in str(caught.value)


def test_the_cache_drops_what_was_used_longest_ago(photos: Path) -> None:
    a, b, c = usable(check_images(find_images([photos])), 32)[0]
    cache = patches(photos, cache_bytes=3 * 64 * 64 + 3 * 53 * 70 + 100).cache
    for file in (a, b, a, c):
        cache.read(file)
    assert list(cache.images) == [a, c]
    assert cache.size == sum(image.numel() for image in cache.images.values()) <= cache.limit
    first = cache.images[a]
    assert cache.read(a) is first
    assert torch.equal(cache.read(c).float() / 255, read(c).color[0])


def test_the_cache_counts_the_memory_that_its_images_take(tmp_path: Path, photos: Path) -> None:
    with Image.open(photos / "a.png") as image:
        image.convert("L").save(tmp_path / "gray.png")
        image.convert("RGBA").save(tmp_path / "alpha.png")
    cache = patches(photos, cache_bytes=10**6).cache
    for name, channels in (("gray.png", 1), ("alpha.png", 4)):
        before = cache.size
        cache.read(tmp_path / name)
        assert cache.size - before == channels * 64 * 48


def test_an_image_larger_than_the_cache_is_not_kept(photos: Path) -> None:
    a, b, _ = usable(check_images(find_images([photos])), 32)[0]
    cache = patches(photos, cache_bytes=3 * 64 * 48).cache
    cache.read(a)
    cache.read(b)
    assert list(cache.images) == [a]


def test_whole_images_come_with_their_degraded_versions_and_gray_ones_are_told(
    tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "color.png", 33, 18)
    Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20)).save(tmp_path / "gray.png")
    color, gray = pairs(tmp_path, shrink(4))
    assert (color.name, color.gray, gray.name, gray.gray) == ("color.png", False, "gray.png", True)
    assert color.target.shape == (1, 3, 16, 32)
    assert gray.degraded.shape == (1, 3, 3, 5)
    assert torch.equal(color.target, crop_to_multiple(read(tmp_path / "color.png").color, 4))


def test_a_target_smaller_than_the_scale_is_named(tmp_path: Path, draw: Draw) -> None:
    draw(tmp_path / "speck.png", 3, 9)
    with pytest.raises(DataError, match=r"speck\.png: 3x9 pixels are too few for a scale of 4"):
        list(pairs(tmp_path, shrink(4)))


@pytest.mark.parametrize(
    "name",
    ["a.png", "a.bmp", "ax4.png", "ax4.bmp", "a_x4.png", "ax4m.png", "a_LR.png", "a_lr.png", "a_LRBI_x4.png"],
)
def test_degraded_images_are_found_by_the_names_of_the_usual_data_sets(
    tmp_path: Path, draw: Draw, name: str
) -> None:
    draw(tmp_path / "targets" / "deep" / "a.png", 32, 24)
    draw(tmp_path / "degraded" / "deep" / "aa.png", 8, 6)
    draw(tmp_path / "degraded" / "deep" / "ax2.png", 8, 6)
    wanted = draw(tmp_path / "degraded" / "deep" / name, 8, 6)
    (pair,) = pairs(tmp_path / "targets", shrink(4), tmp_path / "degraded")
    assert pair.degraded_file == wanted
    assert torch.equal(pair.degraded, read(wanted).color)


def test_a_target_without_a_degraded_image_is_refused_with_the_names_that_were_tried(
    tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "targets" / "a.png", 32, 24)
    draw(tmp_path / "degraded" / "b.png", 8, 6)
    with pytest.raises(
        DataError, match=r"no degraded image for the target 'a\.png'; tried a\.png, ax4\.png, .*_LR"
    ):
        list(pairs(tmp_path / "targets", shrink(4), tmp_path / "degraded"))
    for suffix in ("bmp", "tif"):
        draw(tmp_path / "degraded" / f"a.{suffix}", 8, 6)
    with pytest.raises(DataError, match=r"a\.bmp and a\.tif are both named after the target 'a\.png'"):
        list(pairs(tmp_path / "targets", shrink(4), tmp_path / "degraded"))


def test_a_mix_gets_another_sample_that_follows_from_seed_and_index(photos: Path) -> None:
    mixed = find_augmentations(["mixup"], discover())
    data = patches(photos, degradation=ADD_NOISE)
    data.augmentations = mixed
    again = patches(photos, degradation=ADD_NOISE, cache_bytes=10**6)
    again.augmentations = mixed
    samples = [data[index] for index in range(6)]
    assert same(samples, [again[index] for index in reversed(range(6))][::-1])
    assert not same(samples, [patches(photos, degradation=ADD_NOISE)[index] for index in range(6)])


def test_an_augmentation_changes_its_share_of_the_samples(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (10, 20, 30)).save(file)
    half = {"channel-shuffle": {"probability": 0.5}}
    data = Patches(
        [file], 8, KEEP, seed=0, augmentations=find_augmentations(["channel-shuffle"], discover(), half)
    )
    kept = sum(bool(data[index].target[0, 0, 0] * 255 < 11) for index in range(600))
    assert kept / 600 == pytest.approx(0.5 + 0.5 / 3, abs=0.06)  # two of the six orders begin with red


def test_options_of_an_augmentation_that_is_not_used_are_refused() -> None:
    with pytest.raises(OptionsError, match="given for 'mixup', which is not used"):
        find_augmentations(["turn"], discover(), {"mixup": {"alpha": 1}})
