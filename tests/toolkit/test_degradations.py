"""Degradations by name: chains, their labels, margins and counted randomness."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from restore.data import Degradation, find_degradation, generator_of, pairs
from restore.errors import OptionsError, UnknownNameError, UsageError
from restore.images import Photo, write
from restore.registry import discover

REGISTRY = discover()


def image(height: int = 64, width: int = 64, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_a_chain_divides_the_size_once_and_reports_what_each_element_drew() -> None:
    chain = find_degradation("blur+bicubic+noise+jpeg", REGISTRY, 4)
    result = chain(image(), generator_of(1, 0))
    assert result.image.shape == (1, 3, 16, 16)
    assert {"blur.blur", "noise.sigma", "jpeg.quality"} <= result.parameters[0].keys()


def test_the_second_of_two_equal_elements_has_options_of_its_own() -> None:
    options = {"jpeg": {"quality": 90}, "jpeg#2": {"quality": "20:30"}}
    chain = find_degradation("jpeg+bicubic+jpeg", REGISTRY, 2, options)
    drawn = chain(image(), generator_of(1, 0)).parameters[0]
    assert drawn["jpeg.quality"] == 90
    assert 20 <= float(drawn["jpeg#2.quality"]) <= 30


@pytest.mark.parametrize("label", ["jpeg", "chain"])
def test_a_number_in_place_of_options_is_refused(label: str) -> None:
    with pytest.raises(OptionsError, match="takes options by name, not 5"):
        find_degradation("bicubic+jpeg", REGISTRY, 2, {label: 5})


def test_each_image_of_a_batch_gets_its_own_draw() -> None:
    chain = find_degradation("noise+jpeg", REGISTRY, 1)
    drawn = chain(image(batch=4), generator_of(1, 0)).parameters
    assert len({each["noise.sigma"] for each in drawn}) == 4


def test_equal_seeds_and_indices_give_equal_images_and_others_do_not() -> None:
    chain = find_degradation("blur+bicubic+noise+jpeg", REGISTRY, 2)
    first, again, other = (chain(image(), generator_of(3, index)).image for index in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_shuffled_chain_applies_its_elements_in_every_order() -> None:
    options = {"chain": {"order": "shuffled"}, "noise": {"sigma": 20}, "quantize": {"bits": 1}}
    chain = find_degradation("noise+quantize", REGISTRY, 1, options)
    results = [chain(image(), generator_of(1, index)).image for index in range(20)]
    binary = {bool(((result == 0) | (result == 1)).all()) for result in results}
    assert binary == {True, False}  # quantized last, or noisy last


@pytest.mark.parametrize(
    ("name", "scale", "words"),
    [("bicubic+lanczos", 4, "two elements"), ("noise+jpeg", 4, "no element"), ("noise", 2, "no element")],
)
def test_a_chain_in_which_not_exactly_one_element_resizes_is_refused(
    name: str, scale: int, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        find_degradation(name, REGISTRY, scale)


def test_at_scale_one_nothing_has_to_resize() -> None:
    assert find_degradation("noise", REGISTRY, 1)(image(), generator_of(1, 0)).image.shape[-1] == 64


def test_options_for_an_element_that_is_not_there_are_refused() -> None:
    with pytest.raises(OptionsError, match=r"no element 'jpeg#2'; it has bicubic, jpeg"):
        find_degradation("bicubic+jpeg", REGISTRY, 4, {"jpeg#2": {"quality": 3}})
    with pytest.raises(OptionsError, match="qualty"):
        find_degradation("bicubic+jpeg", REGISTRY, 4, {"jpeg": {"qualty": 3}})
    with pytest.raises(UnknownNameError, match="no degradation 'jpg'"):
        find_degradation("bicubic+jpg", REGISTRY, 4)


def test_margins_after_the_reduction_count_as_many_times_as_the_scale() -> None:
    options = {"blur": {"sigma": 1}, "jpeg": {"subsampling": "4:4:4"}}
    before = find_degradation("blur+bicubic", REGISTRY, 4, {"blur": options["blur"]}).margin
    alone = find_degradation("bicubic", REGISTRY, 4).margin
    after = find_degradation("bicubic+jpeg", REGISTRY, 4, {"jpeg": options["jpeg"]}).margin
    assert before == alone + 4
    assert after == alone + 8 * 4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bicubic", {}),
        ("lanczos", {}),
        ("blur+resize", {"blur": {"sigma": 1.5}, "resize": {"method": "lanczos"}}),
        ("blur+resize", {"blur": {"sigma": 2, "kind": "disk"}, "resize": {"method": "area"}}),
        (
            "resize+jpeg",
            {
                "resize": {"method": "area"},
                "jpeg": {"quality": 40, "subsampling": "4:4:4", "grid": "aligned"},
            },
        ),
        (
            "resize+jpeg",
            {
                "resize": {"method": "area"},
                "jpeg": {"quality": 40, "subsampling": "4:2:0", "grid": "aligned"},
            },
        ),
    ],
)
def test_a_crop_with_its_margin_is_degraded_as_a_part_of_its_image(
    name: str, options: dict[str, dict[str, object]]
) -> None:
    scale = 4
    degradation = find_degradation(name, REGISTRY, scale, options)
    margin = -(-degradation.margin // 64) * 64  # so that the crop begins on a block of 16 result pixels
    whole = image(64 + 2 * margin, 128 + 2 * margin).double()
    of_whole = degradation(whole, generator_of(1, 0)).image
    start = margin - -(-degradation.margin // 64) * 64
    crop = whole[..., start : start + 64 + 2 * margin, start : start + 64 + 2 * margin]
    of_crop = degradation(crop, generator_of(1, 0)).image
    low, high = margin // scale, margin // scale + 16
    difference = (of_whole[..., low:high, low:high] - of_crop[..., low:high, low:high]).abs().max()
    assert float(difference) < 1e-5


def test_a_plain_function_of_version_1_of_the_contract_is_a_degradation() -> None:
    result = Degradation(lambda target, _: target / 2)(image(batch=3), generator_of(0, 0))
    assert torch.equal(result.image, image(batch=3) / 2)
    assert result.parameters == ({}, {}, {})


def test_an_evaluated_image_is_degraded_equally_in_every_run_and_among_other_images(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(Photo(image()), tmp_path / f"{name}.png")
    options = {"noise": {"sigma": 20}}
    first, again = (
        list(pairs(tmp_path, find_degradation("bicubic+noise", REGISTRY, 2, options))) for _ in range(2)
    )
    assert all(torch.equal(one.degraded, two.degraded) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0].degraded, first[1].degraded)
    (tmp_path / "a.png").unlink()
    fewer = list(pairs(tmp_path, find_degradation("bicubic+noise", REGISTRY, 2, options)))
    assert torch.equal(fewer[0].degraded, first[1].degraded)
    assert first[0].parameters["noise.sigma"] == 20
