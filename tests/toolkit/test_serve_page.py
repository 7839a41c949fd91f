"""The page of `restore serve` in a real browser, with a real server.

The tests need Chromium (`apt-get install chromium`) and fail without it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from served import Server, encoded, started

import restore

Visit = Callable[..., Page]

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef"  # noqa: S105 - of the test's own server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Open the page; fail on console messages and on requests to other places."""
    contexts, complaints = [], []

    def call(address: str = server.address, width: int = 1100, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(f"{message.text} {message.location}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def only_itself(route: Any) -> None:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

        page.route(lambda url: not url.startswith((address.partition("#")[0], "blob:", "data:")), only_itself)
        page.goto(address)
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return page

    yield call
    for context in contexts:
        context.close()
    assert [
        text for text in complaints if "401 (Unauthorized)" not in text and "422 (Unprocessable" not in text
    ] == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    with Image.open(ROOT / "examples" / "astronaut.jpg") as image:
        image.resize((120, 90)).save(file, quality=40)
    return file


def choose(page: Page, *files: Path) -> None:
    page.locator("#files").set_input_files(files)


def use(page: Page, model: str = "bicubic") -> None:
    page.locator("#settings").get_by_label("Model", exact=True).select_option(model)


def card(page: Page, state: str = "", index: int = 0) -> Any:
    found = page.locator(".card").nth(index)
    if state:
        expect(found).to_have_attribute("data-state", state, timeout=60_000)
    return found


def drop(page: Page, content: bytes, name: str = "dropped.png") -> None:
    page.evaluate(
        """([bytes, name]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          for (const kind of ["dragenter", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true }));
        }""",
        [list(content), name],
    )


def test_a_photo_is_dropped_looked_at_restored_and_downloaded(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    use(page)
    content = encoded(40, 30)
    drop(page, content)
    one = card(page, "ready")
    expect(one.locator(".found")).to_contain_text("40 \u00d7 30 pixels.")
    expect(one.locator(".plan")).to_contain_text("Becomes 160 \u00d7 120 pixels in about")
    one.get_by_role("button", name="Restore dropped.png").click()
    card(page, "done")
    expect(one.locator(".message")).to_contain_text("160 \u00d7 120 pixels")
    expect(page.locator("#status")).to_have_text("dropped.png is restored")
    with page.expect_download() as download:
        one.get_by_role("link", name="Download dropped.png").click()
    assert download.value.suggested_filename == "dropped_x4.png"
    download.value.save_as(tmp_path / "result.png")
    expected = restore.load("bicubic", device="cpu").upscale(content)
    (tmp_path / "expected.png").write_bytes(expected)
    with Image.open(tmp_path / "result.png") as made, Image.open(tmp_path / "expected.png") as wanted:
        assert made.tobytes() == wanted.tobytes()


def test_photos_of_a_folder_and_of_the_clipboard_are_taken(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    use(page)
    (tmp_path / "holiday" / "day").mkdir(parents=True)
    (tmp_path / "holiday" / "a.png").write_bytes(encoded())
    (tmp_path / "holiday" / "day" / "b.png").write_bytes(encoded(seed=1))
    page.locator("#folder").set_input_files(tmp_path / "holiday")
    expect(page.locator(".card h3")).to_have_text(["a.png", "b.png"])
    page.evaluate(
        """(bytes) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        list(encoded(seed=2)),
    )
    expect(page.locator(".card h3")).to_have_text(["a.png", "b.png", "image.png"])
    for index in range(3):
        card(page, "ready", index)


def test_automatic_says_what_it_found_and_chose(visit: Visit, photo: Path) -> None:
    page = visit()
    choose(page, photo)
    one = card(page, "ready")
    expect(one.locator(".found")).to_contain_text("compression marks")
    expect(one.locator(".plan")).to_contain_text("Model: Enlarge photos from the web.", timeout=60_000)


def test_the_settings_of_one_photo_can_be_changed(visit: Visit, photo: Path) -> None:
    page = visit()
    use(page)
    choose(page, photo, photo)
    one, other = card(page, "ready"), card(page, "ready", 1)
    one.get_by_role("button", name="Change photo.jpg").click()
    one.get_by_label("Size", exact=True).select_option("width")
    one.get_by_label("Width", exact=True).fill("333")
    one.get_by_label("Width", exact=True).press("Tab")
    one.get_by_label("File format", exact=True).select_option("png")
    expect(one.locator(".plan")).to_contain_text("Becomes 333 \u00d7 250 pixels")
    expect(other.locator(".plan")).to_contain_text("Becomes 480 \u00d7 360 pixels")
    one.get_by_role("button", name="Restore photo.jpg").click()
    card(page, "done")
    expect(one.get_by_role("link", name="Download")).to_have_attribute(
        "href", "/api/jobs/" + job_of(one) + "/result"
    )
    expect(one.locator(".message")).to_contain_text("333 \u00d7 250 pixels")


def test_a_width_that_is_none_is_refused_before_the_start(visit: Visit, photo: Path) -> None:
    page = visit()
    use(page)
    choose(page, photo)
    one = card(page, "ready")
    one.get_by_role("button", name="Change photo.jpg").click()
    one.get_by_label("Size", exact=True).select_option("width")
    for width in ("-5", "", "2.5"):
        one.get_by_label("Width", exact=True).fill(width)
        one.get_by_label("Width", exact=True).press("Tab")
        expect(one.locator(".plan")).to_have_text("The width must be a whole number from 1 to 65535.")
        expect(one.get_by_role("button", name="Restore photo.jpg")).to_be_disabled()
    one.get_by_label("Width", exact=True).fill("333")
    one.get_by_label("Width", exact=True).press("Tab")
    expect(one.locator(".plan")).to_contain_text("Becomes 333")
    expect(one.get_by_role("button", name="Restore photo.jpg")).to_be_enabled()


def test_a_model_that_was_trained_on_better_photos_is_told_before_the_start(
    visit: Visit, photo: Path
) -> None:
    page = visit()
    use(page, "enhancenet:e")
    choose(page, photo)
    plan = card(page, "ready").locator(".plan")
    expect(plan).to_contain_text(
        "trained on better photos; \u201cAutomatic\u201d suits this one", timeout=60_000
    )
    expect(plan).to_have_class("plan bad")


def job_of(one: Any) -> str:
    return str(one.get_by_role("link").get_attribute("href")).split("/")[3]


def test_the_result_is_compared_under_the_slider(visit: Visit, photo: Path) -> None:
    page = visit()
    use(page)
    choose(page, photo)
    card(page, "ready").get_by_role("button", name="Restore").click()
    card(page, "done").get_by_role("button", name="Compare").click()
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(state="attached")
    expect(frame.locator("#tag-left")).to_have_text("Before")
    expect(frame.locator("#tag-right")).to_have_text("After")
    frame.locator("#slider").focus()
    page.keyboard.down("ArrowLeft")
    expect(frame.locator("#slider")).not_to_have_attribute("aria-valuenow", "50")
    page.keyboard.up("ArrowLeft")
    drawn = frame.locator("canvas#second").evaluate(
        "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    )
    assert drawn > 50, "the picture is drawn"
    page.get_by_role("button", name="Close").click()
    expect(page.locator("iframe")).to_have_count(0)


def test_models_are_tried_on_a_part_and_one_is_used(visit: Visit, photo: Path) -> None:
    page = visit()
    choose(page, photo)
    card(page, "ready").get_by_role("button", name="Try models").click()
    dialog = page.locator("#trial")
    tile = dialog.locator("figure", has_text="Bicubic enlargement, as MATLAB")
    expect(tile.locator("img")).to_have_attribute("src", re.compile("^blob:"), timeout=60_000)
    page.keyboard.press("ArrowRight")
    tile.get_by_role("button", name="Use Bicubic").click()
    expect(dialog).not_to_be_visible()
    expect(card(page).locator(".plan")).to_contain_text("Model: Bicubic.")


def test_a_running_job_shows_progress_and_is_canceled_and_tried_again(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    use(page, "enhancenet:pat")
    file = tmp_path / "large.png"
    file.write_bytes(encoded(500, 500))
    choose(page, file)
    one = card(page, "ready")
    expect(one.locator(".plan")).to_contain_text("Becomes", timeout=60_000)
    one.get_by_role("button", name="Restore").click()
    card(page, "running")
    expect(one.locator("progress")).to_be_visible()
    expect(one.locator(".message")).to_have_text(re.compile(r"^Restoring, (\d+%|which takes about .*)$"))
    one.get_by_role("button", name="Cancel").click()
    card(page, "canceled")
    use(page)
    one.get_by_role("button", name="Try again").click()
    card(page, "done")


def test_models_have_titles_and_sentences_in_place_of_names(visit: Visit) -> None:
    page = visit()
    model = page.locator("#settings").get_by_label("Model", exact=True)
    for option in model.locator("option").all():
        assert ":" not in option.inner_text(), "a reference for the command line"
        model.select_option(str(option.get_attribute("value")))
        expect(page.locator("#settings .purpose")).to_have_text(re.compile(r"^[A-Z].*"))
    assert model.locator("option").count() > 5


def test_files_that_are_not_photos_are_skipped_with_a_message(
    visit: Visit, photo: Path, tmp_path: Path
) -> None:
    page = visit()
    (tmp_path / "notes.txt").write_bytes(b"hello")
    choose(page, photo, tmp_path / "notes.txt")
    said = page.locator("#status")
    expect(said).to_have_text("1 photo added; 1 file skipped: it is not a photo")
    expect(said).not_to_have_class("unseen")
    expect(page.locator(".card")).to_have_count(1)


def test_a_file_that_is_no_photo_says_why(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    file = tmp_path / "<img src=x onerror=alert(1)>.png"
    file.write_bytes(b"hello")
    with page.expect_response("**/api/images"):
        choose(page, file)
    one = card(page, "failed")
    expect(one.locator(".message")).to_have_text(re.compile("^It is not an image"))
    expect(one.locator("h3")).to_have_text(file.name)
    one.get_by_role("button", name="Remove").click()
    expect(page.locator(".card")).to_have_count(0)


def test_all_photos_are_restored_and_downloaded_as_one_archive(
    visit: Visit, photo: Path, tmp_path: Path
) -> None:
    page = visit()
    use(page)
    choose(page, photo, photo, photo)
    for index in range(3):
        card(page, "ready", index)
    page.get_by_role("button", name="Restore all 3").click()
    for index in range(3):
        card(page, "done", index)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == 3
    page.get_by_role("button", name="Remove finished").click()
    expect(page.locator(".card")).to_have_count(0)


def test_after_a_reload_the_jobs_are_there(visit: Visit, photo: Path) -> None:
    page = visit()
    use(page)
    choose(page, photo)
    card(page, "ready").get_by_role("button", name="Restore").click()
    card(page, "done")
    page.reload()
    one = card(page, "done")
    expect(one.locator("h3")).to_have_text("photo.jpg")
    expect(one.get_by_role("button", name="Compare")).to_be_visible()


def test_everything_can_be_reached_by_keyboard_alone(visit: Visit, photo: Path) -> None:
    page = visit()
    use(page)
    choose(page, photo)
    card(page, "ready")
    page.locator("#choose").focus()
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
        )
        if reached[-1] == "Restore photo.jpg":
            break
    assert "Restore photo.jpg" in reached, reached
    page.keyboard.press("Enter")
    card(page, "done")
    expect(page.get_by_role("button", name="Compare")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#compare")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).not_to_be_visible()


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_text_is_readable(visit: Visit, photo: Path, width: int, scheme: str) -> None:
    page = visit(width=width, color_scheme=scheme)
    use(page)
    choose(page, photo)
    card(page, "ready")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(23, 23, 23)") == (scheme == "dark")
    labels = page.evaluate(
        "[...document.querySelectorAll('button, a, select, input')].filter(each => each.offsetParent && "
        "!(each.getAttribute('aria-label') || each.textContent.trim() || each.closest('label'))).length"
    )
    assert labels == 0, "every control has a name"


def test_the_token_is_asked_for_once(visit: Visit, tmp_path: Path, browser: Browser) -> None:
    with started(tmp_path, "--token", TOKEN) as server:
        page = visit(server.address)
        page.get_by_label("Token of this server").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#refused")).to_contain_text("not the token")
        page.get_by_label("Token of this server").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#drop")).to_be_visible()
        page.reload()
        expect(page.locator("#drop")).to_be_visible()
        other = visit(f"{server.address}#token={TOKEN}")
        expect(other.locator("#drop")).to_be_visible()
        assert TOKEN not in other.url
        for each in (page, other):  # they would complain that the server is gone
            each.close()
