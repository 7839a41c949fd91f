"""The page of an evaluation, of plain data; in a real browser, which the tests need."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page
from torch import Tensor

import restore
from restore.evaluation import Measured, Meter, Result, Row, Scene
from restore.images import Photo, read
from restore.pages import EvaluatedImage, evaluation_page, write_evaluation
from restore.pages.plots import curves, distribution, scatter, ticks

Open = Callable[..., Page]

PROTOCOL = {"inputs": "MATLAB bicubic 1/4", "psnr": "luma", "perceptual": "VGG-19"}


def never(restored: Tensor, target: Tensor, *, gray: bool) -> float:
    raise AssertionError("nothing is measured for a page")


METERS = (
    Meter("psnr", never, "luma", "dB", 2, "higher"),
    Meter("perceptual", never, "VGG-19", digits=None, better="lower"),
)


def row(model: str, psnr: tuple[float, ...], distance: float, seconds: float = 0.5) -> Row:
    """A row over images of two megapixels together."""
    images = tuple(
        Measured(
            f"{'abc'[index]}.png",
            Path("target"),
            None,
            (1000, 1000),
            {"psnr": value, "perceptual": distance},
            seconds / len(psnr),
        )
        for index, value in enumerate(psnr)
    )
    return Row(model, "Set<2>", 4, images, {}, PROTOCOL)


ROWS = (
    row("bicubic", (27.0, 29.0), 0.24),
    row("sharp", (26.5, 28.5), 0.09, 10.0),
    row("mean", (30.25, 32.25), 0.15, 2.0),
)


def result(*rows: Row) -> Result:
    return Result(rows or ROWS, METERS, "bicubic")


def svgs(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314


def test_the_table_shows_values_differences_and_the_best() -> None:
    page = evaluation_page(result())
    assert '<td class="best" data-value="31.25">31.25<small>+3.25 (+3.25 to +3.25)</small></td>' in page
    assert (
        '<td class="best" data-value="0.09">0.09000<small>-0.1500 (-0.1500 to -0.1500)</small></td>' in page
    )
    assert page.count('class="best"') == 2
    assert "Set&lt;2&gt;" in page
    assert "Set<2>" not in page
    assert "MATLAB bicubic 1/4" in page


def test_images_that_a_model_failed_to_restore_are_named() -> None:
    first, *others = ROWS
    assert "Left out" not in evaluation_page(result())
    failed = replace(first, failures={"<d>.png": "damaged"})
    assert "not every model restored them: &lt;d&gt;.png." in evaluation_page(result(failed, *others))


def test_rows_of_different_protocols_share_no_table() -> None:
    first, second, third = ROWS
    other = replace(third, protocol=PROTOCOL | {"inputs": "PIL Lanczos 1/4"})
    assert evaluation_page(result()).count("<table>") == 1
    assert evaluation_page(result(first, second, other)).count("<table>") == 2


def test_perception_is_drawn_against_distortion() -> None:
    tradeoff, *spread = svgs(evaluation_page(result()))
    assert len(spread) == 2
    assert tradeoff.get("aria-label", "").startswith("perceptual")
    centers = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in tradeoff.iter("circle")]
    bicubic, sharp, mean = centers
    assert sharp[0] < bicubic[0] < mean[0]  # more PSNR to the right
    assert sharp[1] > mean[1] > bicubic[1]  # less distance below
    assert [text.text for text in tradeoff.iter("text") if text.get("class") == "name"] == [
        "bicubic",
        "sharp",
        "mean",
    ]


def test_a_distribution_has_a_dot_for_each_image_and_leaves_out_what_is_not_finite() -> None:
    (drawn,) = svgs(distribution({"one": [1.0, 2.0, 4.0], "<two>": [3.0, math.inf, math.nan]}, "psnr (dB)"))
    assert len(list(drawn.iter("circle"))) == 4
    assert len(list(drawn.iter("rect"))) == 1
    (empty,) = svgs(distribution({"one": []}, "psnr"))
    assert not list(empty.iter("circle"))
    (single,) = svgs(scatter({"one": (1.0, 1.0), "none": (math.nan, 0.0)}, "x", "y"))
    assert len(list(single.iter("circle"))) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([28.0, 31.25], [28, 29, 30, 31, 32]),
        ([0.09, 0.24], [0.05, 0.1, 0.15, 0.2, 0.25]),
        ([0.0, 1.0], [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ([-3.0, 4.0], [-4, -2, 0, 2, 4]),
    ],
)
def test_marks_are_round_and_enclose_the_values(values: list[float], expected: list[float]) -> None:
    assert ticks(values) == pytest.approx(expected)


def test_marks_are_labeled_with_equally_many_decimals() -> None:
    (drawn,) = svgs(scatter({"one": (0.021, 1.0), "two": (0.034, 1.0)}, "x", "y"))
    labels = [text.text for text in drawn.iter("text") if text.get("class") == "mark"]
    assert {"0.020", "0.025", "0.030", "0.035"} <= set(labels)


@pytest.mark.parametrize("values", [[], [5.0], [0.0, 0.0], [1e-9, 2e-9], [-1e12, 1e12]])
def test_marks_are_found_for_any_values(values: list[float]) -> None:
    marks = ticks(values)
    assert len(marks) >= 2
    assert marks == sorted(set(marks))
    assert all(marks[0] <= value <= marks[-1] for value in values)


def test_missing_values_are_dashes() -> None:
    nothing = replace(ROWS[0], images=())
    assert evaluation_page(result(nothing)).count("<td>-</td>") == 3  # two metrics and the speed
    perfect = row("bicubic", (math.inf,), 0.0)
    assert 'data-value="1e999">inf</td>' in evaluation_page(result(perfect))


def test_names_that_are_no_text_are_shown_escaped() -> None:
    strange = replace(ROWS[0], model="a\x1b[31m\udcff", data="new\nline")
    page = evaluation_page(Result((strange,), METERS, strange.model))
    page.encode()
    assert r"a\x1b[31m\udcff" in page
    assert r"new\nline" in page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    photo = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
    models = [restore.load("bicubic", device="cpu", scale=2)]
    small = Photo(read(photo).color[..., ::2, ::2])
    images = [
        EvaluatedImage("Set<2>", name, lambda: Scene(small, read(photo)))
        for name in ("a & b.png", "sub/c.png")
    ]
    images += [
        EvaluatedImage("Set<2>", "wrong\n.png", lambda: Scene(small, small)),
        EvaluatedImage("Set<2>", "missing.png", lambda: Scene(small, read(folder / "missing.png"))),
        EvaluatedImage("Set<2>", f"{'long' * 70}.png", lambda: Scene(small, read(photo))),
    ]
    wrong, missing, long = write_evaluation(result(), folder / "page.html", images, models)
    assert wrong.startswith(r"Set<2>: wrong\n.png: there is no comparison: the target has 128x128 pixels")
    assert "there is no such file" in missing
    assert "there is no comparison: OSError: " in long
    return folder / "page.html"


def test_a_click_on_a_title_sorts_the_table(opened: Open, file: Path) -> None:
    page = opened()
    models = page.locator("tbody th")
    assert models.all_inner_texts() == ["bicubic", "sharp", "mean"]
    page.get_by_role("button", name="psnr").click()
    assert models.all_inner_texts() == ["sharp", "bicubic", "mean"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert models.all_inner_texts() == ["mean", "bicubic", "sharp"]


def test_a_thumbnail_opens_the_comparison_of_its_image(opened: Open, file: Path) -> None:
    page = opened(color_scheme="dark")
    assert page.locator(".gallery span").all_inner_texts() == ["a & b.png", "sub/c.png"]
    assert (
        page.locator(".gallery img").first.evaluate(
            "async image => (await image.decode(), image.naturalWidth)"
        )
        == 200
    )
    page.locator(".gallery a").first.click()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.locator("h1").inner_text() == "a & b.png"


def test_a_phone_shows_the_report_without_scrolling_sideways(opened: Open, file: Path) -> None:
    page = opened(width=360, height=740, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_curve_goes_through_the_mean_of_each_strength() -> None:
    (drawn,) = svgs(curves({"one": [(20, 4.0), (10, 1.0), (10, 3.0), (30, math.inf)]}, "quality", "psnr"))
    assert len(list(drawn.iter("circle"))) == 3
    line = [path.get("d", "") for path in drawn.iter("path") if path.get("class") == "line"][-1]
    heights = {float(circle.get("cx", "")): float(circle.get("cy", "")) for circle in drawn.iter("circle")}
    (first_x, first_y), (second_x, second_y) = (map(float, part.split()) for part in line[1:].split("L"))
    assert [first_x, second_x] == sorted(heights)
    lower, upper = sorted(
        float(circle.get("cy", "")) for circle in drawn.iter("circle") if circle.get("cx") == f"{first_x}"
    )
    assert first_y == pytest.approx((lower + upper) / 2, abs=0.1)
    assert second_y == pytest.approx(heights[second_x], abs=0.1)


def test_metrics_are_drawn_over_drawn_strengths_alone() -> None:
    def degraded(quality: float, index: int) -> Measured:
        image = ROWS[0].images[index]
        return replace(image, parameters={"jpeg.quality": quality, "blur.angle": quality / 100})

    images = tuple(degraded(quality, index) for index, quality in enumerate((30.0, 60.0)))
    page = evaluation_page(result(replace(ROWS[0], images=images, degradation="blur+jpeg")))
    assert page.count("over jpeg.quality, by model") == 2
    assert "blur.angle" not in page
    assert "over jpeg.quality" not in evaluation_page(result())
