"""The site builds without warnings, and its pages are valid in a browser without network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT
from playwright.sync_api import Browser, Page, expect

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as CONTRIBUTING says, in a temporary folder; warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder / "html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Visit]:
    """Open a page; fail on console messages, script errors and requests that leave the site."""
    contexts, problems = [], []

    def call(name: str, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))

        def refuse(route: Any) -> None:
            problems.append(f"{page.url} requested {route.request.url}")
            route.abort()

        page.route(lambda url: not url.startswith((site.as_uri(), "data:")), refuse)
        page.goto(f"{site.as_uri()}/{name}")
        return page

    yield call
    for context in contexts:
        context.close()
    assert problems == []


def names(site: Path) -> list[str]:
    return sorted(file.relative_to(site).as_posix() for file in site.rglob("*.html"))


def test_each_page_is_built_and_linked_from_the_home_page(site: Path) -> None:
    expected = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in ROOT.glob("docs/**/*.md")}
    assert {page.as_posix() for page in expected} <= set(names(site))
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in expected:
        assert page.name == "index.html" or f'href="{page.as_posix()}"' in home


BACKGROUND = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "() => [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"


@pytest.mark.parametrize("width", [1280, 390])
def test_each_page_fits_the_window_and_follows_the_color_scheme(site: Path, visit: Visit, width: int) -> None:
    page = visit("index.html", width)
    for name in names(site):
        page.goto(f"{site.as_uri()}/{name}")
        assert page.evaluate(TOO_WIDE) <= 0, f"{name} is wider than {width} pixels"
        assert page.evaluate(BROKEN) == [], name
        page.emulate_media(color_scheme="light")
        assert min(page.evaluate(BACKGROUND)) > 200, name
        page.emulate_media(color_scheme="dark")
        assert max(page.evaluate(BACKGROUND)) < 60, name


@pytest.mark.parametrize(
    ("words", "title"),
    [("halo overlap", "Exact tiling"), ("check-map", "Command line"), ("adversary gate", "The gate")],
)
def test_searching_finds_the_page(visit: Visit, words: str, title: str) -> None:
    page = visit("tutorials/first-photo.html")
    page.get_by_placeholder("Search").fill(words)
    page.get_by_placeholder("Search").press("Enter")
    expect(page.locator("#search-results li a").filter(has_text=title).first).to_be_visible()
