"""The page of `restore compare` in a real browser, opened as the file that it is.

The tests need Chromium (`apt-get install chromium`) and fail without it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, expect

import restore
from restore.evaluation import Scene, compare, meters
from restore.pages import write_page
from restore.registry import discover

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of an input of 96x64 pixels through two models and a copy of one, with a target."""
    folder = tmp_path_factory.mktemp("page")
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (32, 48, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(blocks).save(folder / "target.png")
    Image.fromarray(blocks).resize((96, 64), Image.Resampling.BICUBIC).save(folder / "photo <i>&.png")
    models = [restore.load(name, device="cpu", precision="fp32") for name in ("bicubic", "srcnn")]
    used = meters(["psnr", "ssim"], discover(), 4)
    found = compare(Scene.read(folder / "photo <i>&.png", folder / "target.png"), models, used)
    perfect = replace(
        found.results[0],
        name="perfect",
        photo=found.pictures[-1].photo,
        values={"psnr": float("inf"), "ssim": 1.0},
    )
    write_page(
        replace(found, pictures=(*found.pictures[:3], perfect, found.pictures[-1])), folder / "page.html"
    )
    return folder / "page.html"


def test_details_are_shown_below_the_pictures(opened: Open) -> None:
    page = opened()
    (damage, *results) = page.locator("figure").all()
    assert "visible degradations: " in damage.inner_text()
    assert all(not result.locator("small").all() for result in results)
    assert "options" not in page.locator("#values").inner_text()


def value(page: Page) -> float:
    return float(page.evaluate("document.getElementById('slider').value"))


def zoom(page: Page) -> str:
    return page.locator("#percent").inner_text()


def drawn(page: Page, selector: str) -> Any:
    """(H, W, 4) pixels of a canvas."""
    page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )  # it has drawn
    address = page.locator(selector).evaluate("canvas => canvas.toDataURL('image/png')")
    with Image.open(BytesIO(b64decode(address.partition(",")[2]))) as image:
        return np.array(image.convert("RGBA"))


def test_the_mouse_moves_the_line_by_its_handle_only(opened: Open) -> None:
    page = opened()
    box = page.locator("#slider").bounding_box()
    assert box
    assert value(page) == 50
    middle, row = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
    page.mouse.move(middle, row)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, row, steps=4)
    page.mouse.up()
    assert value(page) == pytest.approx(25, abs=2)
    assert page.locator("#slider").get_attribute("aria-valuenow") in {"24", "25", "26"}
    page.mouse.click(box["x"] + box["width"] * 0.7, row)
    assert value(page) == pytest.approx(25, abs=2)


def test_arrows_move_the_line_and_with_shift_the_picture(opened: Open) -> None:
    page = opened()
    page.locator("#slider").focus()
    page.keyboard.down("ArrowLeft")
    expect(page.locator("#slider")).not_to_have_attribute("aria-valuenow", "50")
    page.keyboard.up("ArrowLeft")
    assert value(page) < 50
    for _ in range(5):
        page.keyboard.press("+")
    before, line = drawn(page, "canvas#first"), value(page)
    page.keyboard.press("Shift+ArrowDown")
    assert not np.array_equal(drawn(page, "canvas#first"), before)
    assert value(page) == line


def test_zoom_and_place_are_those_of_every_picture(opened: Open) -> None:
    page = opened()
    fitting = zoom(page)
    tile = page.locator("#tiles canvas").nth(1)
    tile.scroll_into_view_if_needed()
    tile.hover()
    page.mouse.wheel(0, -400)
    expect(page.locator("#percent")).not_to_have_text(fitting)
    # The copy of the target is drawn as the target is, wherever one looks.
    page.select_option("#left", label="perfect")
    page.select_option("#right", label="Target")
    for move in ("n", "+", "Shift+ArrowLeft", "1"):
        page.keyboard.press(move)
        assert np.array_equal(drawn(page, "canvas#first"), drawn(page, "canvas#second"))
        assert np.array_equal(
            drawn(page, "figure:nth-child(4) canvas"), drawn(page, "figure:nth-child(5) canvas")
        )
    page.keyboard.press("0")
    expect(page.locator("#percent")).to_have_text(fitting)


def test_at_one_to_one_the_pixels_are_those_of_the_result(opened: Open, file: Path) -> None:
    page = opened()
    page.select_option("#right", label="Target")
    page.click("#one")
    expect(page.locator("#percent")).to_have_text("100%")
    shown = drawn(page, "canvas#second")
    solid = np.argwhere(shown[..., 3] == 255)
    (top, left), (bottom, right) = solid.min(0), solid.max(0) + 1
    with Image.open(file.parent / "target.png") as target:
        assert (bottom - top, right - left) == (target.height, target.width)
        assert np.array_equal(shown[top:bottom, left:right, :3], np.array(target))


def test_any_two_pictures_can_be_chosen_and_swapped(opened: Open) -> None:
    page = opened()
    assert page.locator("#left option").all_inner_texts() == [
        "Input",
        "bicubic",
        "srcnn",
        "perfect",
        "Target",
    ]
    before = drawn(page, "canvas#first")
    page.select_option("#left", label="Target")
    assert page.locator("#tag-left").inner_text() == "Target"
    assert page.locator("figure:nth-child(5) .badge.a").is_visible()
    assert not np.array_equal(drawn(page, "canvas#first"), before)
    page.select_option("#right", label="Input")
    page.keyboard.press("Escape")
    page.click("#swap")
    assert (page.locator("#tag-left").inner_text(), page.locator("#tag-right").inner_text()) == (
        "Input",
        "Target",
    )


def test_regions_are_offered_and_shown(opened: Open) -> None:
    page = opened()
    buttons = page.locator("#regions button")
    assert buttons.count() == 6
    assert buttons.nth(0).get_attribute("aria-pressed") == "true"
    before = drawn(page, "figure:nth-child(2) canvas")
    buttons.nth(3).click()
    assert buttons.nth(3).get_attribute("aria-pressed") == "true"
    assert not np.array_equal(drawn(page, "figure:nth-child(2) canvas"), before)
    assert page.locator(".mark.now:visible").inner_text() == "4"


def test_values_are_shown_and_the_best_is_marked(opened: Open) -> None:
    page = opened()
    rows = page.locator("#values tr").all_inner_texts()
    assert rows[0].split("\t") == ["model", "psnr (dB)", "ssim", "seconds"]
    assert [row.split("\t")[0] for row in rows[1:]] == ["bicubic", "srcnn", "perfect"]
    assert rows[3].split("\t")[1:3] == ["equal", "1.0000"]
    assert page.locator("#values .best").all_inner_texts() == ["equal", "1.0000"]
    assert "4 px shaved" in page.locator("#notes").inner_text()
    assert page.locator("h1").inner_text() == "photo <i>&.png"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) > 0.5) == (scheme == "light")
    for selector in ("h1", "#facts", "#notes p", "th", "td", "footer p", "td.best"):
        ink = page.locator(selector).first.evaluate("element => getComputedStyle(element).color")
        assert contrast(ink, ground) >= 4.5, selector


def luminance(color: str) -> float:
    """Relative luminance of ``rgb(r, g, b)`` as the Web Content Accessibility Guidelines define it."""
    levels = torch.tensor([float(part) for part in color[4:-1].split(",")]) / 255
    linear = torch.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ torch.tensor([0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_phone_shows_it_without_scrolling_sideways(opened: Open) -> None:
    page = opened(width=360, height=740, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    box = page.locator("#slider").bounding_box()
    assert box
    assert box["width"] > 320
    page.touchscreen.tap(box["x"] + 60, box["y"] + 100)  # the detail goes there
    assert page.locator("#regions button[aria-pressed=true]").count() == 0
    assert page.evaluate("document.getElementById('first').width") == pytest.approx(2 * box["width"], abs=2)


def test_every_control_is_reached_by_the_keyboard_with_a_visible_focus(opened: Open) -> None:
    page = opened()
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        element = "document.activeElement"
        reached.append(page.evaluate(f"{element}.id || {element}.textContent"))
        ring = (
            f"getComputedStyle({element}.closest('#slider') ? document.getElementById('stage') : {element})"
        )
        assert page.evaluate(f"{ring}.outlineStyle") == "solid", reached[-1]
    assert reached == ["left", "swap", "right", "out", "in", "fit", "one", "slider", *"123456"]
