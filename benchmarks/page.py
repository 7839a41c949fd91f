"""Measure the loading time and the size of the page of `restore compare`.

::

    python benchmarks/page.py                                  # four results of 2 megapixels
    python benchmarks/page.py photo.jpg --repeats 9 --json

The page is opened from the disk in headless Chromium (`apt-get install chromium`), each time in a new
process. Times are the page's performance marks, from the start of loading.
"""

from __future__ import annotations

import json as json_lib
import platform
import re
import shutil
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from PIL import Image, ImageFilter, ImageOps
from playwright.sync_api import sync_playwright

import restore
from restore.evaluation import Comparison, compare
from restore.images import to_pil
from restore.pages import write_page
from restore.report import plain_table

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
MODELS = ("bicubic", "srcnn", "enhancenet:e")
MARKS = {"stage-drawn": "previews of the two under the slider", "all-drawn": "all images"}


@dataclass(frozen=True)
class Report:
    """The result for one page."""

    pictures: int
    output_megapixels: float
    milliseconds: dict[str, list[float]]
    """Mark -> the time at which it was reached, for each opening."""
    page_bytes: int
    picture_bytes: int
    browser: str
    machine: str


def subject(image: Path | None, folder: Path) -> Path:
    """Return `image`, or the example next to its mirror image, so that results at 4x have 2 megapixels."""
    if image:
        return image
    with Image.open(EXAMPLE) as photo:
        both = Image.new("RGB", (2 * photo.width, photo.height))
        both.paste(photo, (0, 0))
        both.paste(ImageOps.mirror(photo), (photo.width, 0))
    both.save(folder / "subject.png")
    return folder / "subject.png"


def compared(image: Path, models: Sequence[str]) -> Comparison:
    """Compare `models`. For three models, add the sharpened last result as a fourth."""
    found = compare(image, [restore.load(name) for name in models])
    if len(models) != 3:
        return found
    last = found.results[-1]
    sharp = to_pil(last.photo).convert("RGB").filter(ImageFilter.UnsharpMask(2, 80, 0))
    levels = torch.frombuffer(bytearray(sharp.tobytes()), dtype=torch.uint8)
    color = levels.view(1, sharp.height, sharp.width, 3).permute(0, 3, 1, 2)
    extra = replace(last, name="sharpened", photo=replace(last.photo, color=color))
    return replace(found, pictures=(*found.pictures, extra))


def openings(page: Path, repeats: int) -> tuple[dict[str, list[float]], str]:
    """Return the milliseconds of each mark in each opening, and the browser's version."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise SystemExit("error: no Chromium on the path; apt-get install chromium")
    times: dict[str, list[float]] = {mark: [] for mark in MARKS}
    version = ""
    with sync_playwright() as playwright:
        for _ in range(repeats + 1):  # the first one is a warm-up
            browser = playwright.chromium.launch(executable_path=executable)
            version = browser.version
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
            for mark, found in times.items():
                found.append(tab.evaluate(f"performance.getEntriesByName('{mark}')[0].startTime"))
            browser.close()
    return {mark: found[1:] for mark, found in times.items()}, version


def picture_bytes(page: Path) -> int:
    """Return the size of the embedded images before base64."""
    texts = re.findall(r'id="picture-[0-9]+">([^<]*)<', page.read_text("utf-8"))
    return sum(len(b64decode(text)) for text in texts)


def main(
    *,
    image: Annotated[Path | None, typer.Argument(help="Input image. Default: the example, twice.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="NAME[:WEIGHTS]; repeatable.", show_default=", ".join(MODELS)),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Measured openings.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write the page, open it and print medians."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = compared(subject(image, folder), model or MODELS)
        page = folder / "page.html"
        write_page(found, page)
        times, version = openings(page, repeats)
        report = Report(
            len(found.results),
            found.size[0] * found.size[1] / 1e6,
            times,
            page.stat().st_size,
            picture_bytes(page),
            version,
            f"{platform.machine()}, {platform.system()}",
        )
    if json:
        typer.echo(json_lib.dumps(asdict(report)))
        return
    typer.echo(
        f"{report.pictures} results of {report.output_megapixels:.1f} megapixels and their input, "
        f"Chromium {report.browser}, {report.machine}\n"
    )
    rows = [
        [MARKS[mark], f"{median(found):.0f}", f"{min(found):.0f} to {max(found):.0f}"]
        for mark, found in report.milliseconds.items()
    ]
    typer.echo(plain_table(["drawn", "ms", f"of {repeats} openings"], rows))
    ratio = report.page_bytes / report.picture_bytes
    pictures = report.picture_bytes / 1e6
    typer.echo(f"\n{report.page_bytes / 1e6:.2f} MB, {ratio:.3f} times its images ({pictures:.2f} MB)")


if __name__ == "__main__":
    typer.run(main)
