"""Comparisons: what is measured, drawn and refused; test_comparison_page.py opens the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import restore
from restore.errors import UsageError
from restore.evaluation import Crop, Picture, Scene, compare, meters, worst_regions
from restore.images import read
from restore.pages import write_page, write_sheet
from restore.pages.comparison_page import page
from restore.pages.sheet import sheet
from restore.registry import discover

Draw = Callable[..., Path]


@pytest.fixture(scope="module")
def models() -> list[restore.Restorer]:
    return [restore.load(name, device="cpu", precision="fp32") for name in ("bicubic", "srcnn")]


@pytest.fixture
def photo(tmp_path: Path, draw: Draw) -> Path:
    return draw(tmp_path / "photo.png", 60, 44)


@pytest.fixture
def target(tmp_path: Path, draw: Draw) -> Path:
    return draw(tmp_path / "target.png", 240, 176)


def levels(height: int, width: int, value: int = 100) -> torch.Tensor:
    return torch.full((1, 3, height, width), value, dtype=torch.uint8)


def test_the_worst_region_is_where_the_pictures_differ() -> None:
    first, second = levels(600, 800), levels(600, 800)
    second[..., 300:350, 400:450] += 60
    second[..., 100:150, 500:550] += 20
    worst, next_one, *_ = worst_regions([first, second])
    assert worst.side == 50
    assert (worst.left, worst.top) == pytest.approx((400, 300), abs=6)
    assert (next_one.left, next_one.top) == pytest.approx((500, 100), abs=56)
    assert worst.difference == pytest.approx(60, rel=0.2)


def test_with_a_target_what_is_wrong_in_all_pictures_counts_and_regions_do_not_overlap() -> None:
    target = levels(300, 300)
    target[..., 200:260, 30:90] = 250
    target[..., 20:60, 200:240] = 30
    regions = worst_regions([levels(300, 300), levels(300, 300)], target)
    assert (regions[0].left, regions[0].top) == pytest.approx((36, 206), abs=8)
    assert len(regions) == 6
    for index, one in enumerate(regions):
        assert 0 <= one.left <= 300 - one.side
        assert 0 <= one.top <= 300 - one.side
        for other in regions[:index]:
            assert max(abs(one.left - other.left), abs(one.top - other.top)) >= one.side
            assert one.difference <= other.difference


def test_equal_pictures_have_no_region_and_a_single_pixel_has_one() -> None:
    assert worst_regions([levels(60, 60), levels(60, 60)]) == []
    (region,) = worst_regions([levels(1, 1), levels(1, 1, 90)])
    assert (region.left, region.top, region.side, region.difference) == (0, 0, 1, 10)


def test_results_are_those_of_upscale_and_values_those_of_evaluate(
    models: list[restore.Restorer], photo: Path, target: Path
) -> None:
    registry = discover()
    found = compare(Scene.read(photo, target), models, meters(["psnr", "ssim"], registry, 4))
    assert [picture.name for picture in found.pictures] == [
        "Input",
        "bicubic",
        models[1].model.reference,
        "Target",
    ]
    assert found.size == (240, 176)
    for result, model in zip(found.results, models, strict=True):
        expected = model.upscale(read(photo))
        assert torch.equal(result.photo.color, expected.color)
        assert result.seconds
        assert result.seconds > 0
        original = read(target)
        assert result.values == {
            meter.name: meter.measure(expected.color.float() / 255, original.color, gray=False)
            for meter in meters(["psnr", "ssim"], registry, 4)
        }
    assert [meter.name for meter in found.meters] == ["psnr", "ssim"]


def test_a_crop_is_taken_of_input_and_target(
    models: list[restore.Restorer], photo: Path, target: Path
) -> None:
    found = compare(Scene.read(photo, target, Crop.parse("8,4,20,10")), models)
    assert found.size == (80, 40)
    assert torch.equal(found.pictures[0].photo.color, read(photo).color[..., 4:14, 8:28])
    assert torch.equal(found.pictures[-1].photo.color, read(target).color[..., 16:56, 32:112])


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "I;16", "1", "P"])
def test_the_page_holds_every_picture_without_loss(
    models: list[restore.Restorer], tmp_path: Path, mode: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 7, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert("L" if mode == "I;16" else mode)
    (image.convert("I").point(lambda value: value * 257).convert("I;16") if mode == "I;16" else image).save(
        tmp_path / "photo.png"
    )
    found = compare(tmp_path / "photo.png", models[:1])
    embedded = pictures(page(found))
    assert len(embedded) == 2
    for content, picture in zip(embedded, found.pictures, strict=True):
        color = picture.photo.color
        wanted = color if color.dtype == torch.uint8 else (color * 255 + 0.5).to(torch.uint8)
        drawn = np.array(Image.open(BytesIO(content)).convert("RGB"))
        assert np.array_equal(drawn, wanted[0].permute(1, 2, 0).numpy())


def pictures(content: str) -> list[bytes]:
    found = re.findall(r'<script type="text/plain" id="picture-\d+">([^<]*)</script>', content)
    return [base64.b64decode(text) for text in found]


def test_the_page_weighs_less_than_one_and_a_half_of_its_pictures(
    models: list[restore.Restorer], tmp_path: Path
) -> None:
    photo = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
    write_page(compare(Scene.read(photo, crop=Crop(0, 0, 128, 128)), models), tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text("utf-8")
    embedded = pictures(content)
    assert len(embedded) == 3
    assert (tmp_path / "page.html").stat().st_size < 1.5 * sum(map(len, embedded))


def test_the_page_names_no_address(models: list[restore.Restorer], photo: Path) -> None:
    content = page(compare(photo, models))
    addresses = {
        address for address in re.findall(r"https?://[\w./-]+", content) if "www.w3.org" not in address
    }
    assert addresses == set()
    assert "default-src 'none'" in content


def test_no_name_of_a_file_becomes_markup(models: list[restore.Restorer], photo: Path) -> None:
    found = replace(compare(photo, models), title="</title><script>alert(1)</script> & {{data}}")
    hostile = replace(found.pictures[1], name="</script><b>")
    content = page(replace(found, pictures=(found.pictures[0], hostile, *found.pictures[2:])))
    assert "<script>alert" not in content
    assert "</script><b>" not in content
    assert "&amp; {{data}}" in content
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', content, re.DOTALL)
    assert data
    assert json.loads(data[1])["pictures"][1]["name"] == "</script><b>"


def test_the_sheet_shows_each_region_of_each_picture(
    models: list[restore.Restorer], photo: Path, target: Path, tmp_path: Path
) -> None:
    found = compare(Scene.read(photo, target), models)
    write_sheet(found, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.width > 4 * 240
        assert drawn.height > len(found.regions[:4]) * 240
        first = found.regions[0]
        whole = Image.fromarray(found.results[0].photo.color[0].permute(1, 2, 0).numpy())
        box = (first.left, first.top, first.left + first.side, first.top + first.side)
        expected = np.array(whole.resize((240, 240), Image.Resampling.NEAREST, box=box))
        assert contains(np.array(drawn.convert("RGB")), expected)


def contains(picture: NDArray[np.uint8], part: NDArray[np.uint8]) -> bool:
    height, width = part.shape[:2]
    starts = np.argwhere((picture[: -height + 1, : -width + 1] == part[0, 0]).all(-1))
    return any(np.array_equal(picture[y : y + height, x : x + width], part) for y, x in starts)


def test_a_sheet_can_have_long_names_and_no_region(models: list[restore.Restorer], tmp_path: Path) -> None:
    Image.new("RGB", (5, 3), "red").save(tmp_path / "plain.png")
    found = compare(tmp_path / "plain.png", models)
    long = Picture("enhancenet:/a/very/long/path/" * 5, "result", found.results[0].photo, 1.0)
    drawn = sheet(replace(found, pictures=(*found.pictures, long), regions=()))
    assert drawn.width > 4 * 240


def test_models_of_different_scales_or_named_twice_are_refused(
    models: list[restore.Restorer], photo: Path
) -> None:
    twice = restore.load("bicubic", scale=2, device="cpu")
    with pytest.raises(
        UsageError, match=r"'bicubic' enlarges 2x and 'srcnn.*' 4x; compare models of one scale"
    ):
        compare(photo, [twice, models[1]])
    with pytest.raises(UsageError, match="the `model` bicubic is given twice"):
        compare(photo, [models[0], models[0]])
    with pytest.raises(UsageError, match="there is no model"):
        compare(photo, [])


def test_a_picture_too_large_for_a_page_is_refused_before_restoring(
    models: list[restore.Restorer], tmp_path: Path
) -> None:
    Image.new("L", (4097, 2)).save(tmp_path / "long.png")
    with pytest.raises(UsageError, match=r"16388x8 pixels are too large .* such as 0,0,4095,2"):
        compare(tmp_path / "long.png", models)
    Image.new("L", (2500, 2500)).save(tmp_path / "large.png")
    with pytest.raises(UsageError, match="2 pictures of 10000x10000 pixels are too large"):
        compare(tmp_path / "large.png", models)


class Broken(nn.Module):
    """Raises what no part of the toolkit would."""

    def forward(self, image: Tensor) -> Tensor:
        raise ZeroDivisionError("the network divided by zero")


def broken(working: restore.Restorer, reference: str) -> restore.Restorer:
    """`working` with a network that fails."""
    return restore.Restorer(replace(working.model, reference=reference, module=Broken()), device="cpu")


def test_a_model_that_fails_is_reported_and_the_others_are_compared(photo: Path) -> None:
    bicubic = restore.load("bicubic", device="cpu", scale=4)
    found = compare(photo, [broken(bicubic, "mine"), bicubic])
    assert [result.name for result in found.results] == ["bicubic"]
    assert found.failures == {"mine": "ZeroDivisionError: the network divided by zero"}
    assert "the network divided by zero" in page(found)
    with pytest.raises(UsageError, match="no model could restore the image: mine: ZeroDivisionError"):
        compare(photo, [broken(bicubic, "mine")])
