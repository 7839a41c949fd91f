"""A real browser for the tests of pages; they fail where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "the tests of pages need Chromium on the path: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found)
        yield chromium
        chromium.close()


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Open]:
    """Opens the `file` of the test; in the end nothing was said on the console, and no other place was asked."""
    contexts, complaints = [], []

    def call(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport=ViewportSize(width=width, height=height), **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def only_itself(route: Any) -> None:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

        page.route(lambda url: not url.startswith((file.parent.as_uri(), "data:")), only_itself)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return page

    yield call
    for context in contexts:
        context.close()
    assert complaints == []
