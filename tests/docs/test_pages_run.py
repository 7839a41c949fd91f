"""The README, the tutorials and the Python guide run as written, on small images."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pages import ROOT, TUTORIALS, blocks
from PIL import Image
from shell import Shell

from restore.hookspecs import CONTRACT

Draw = Callable[..., Path]

INSTALLS = {"install-and-upscale", "install-and-test", "installs"}
"""Marks of the blocks that install packages from the index; `.ci/run` runs one of them, tests do not."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small images are slower with several threads, and much slower when tests run in parallel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for subprocesses
    yield
    torch.set_num_threads(before)


@pytest.fixture
def desk(tmp_path: Path, draw: Draw) -> Path:
    """A folder with the files that the pages name, as small generated images."""
    draw(tmp_path / "photo.jpg", 48, 36)
    draw(tmp_path / "scan.png", 24, 16)
    draw(tmp_path / "scans" / "one.tif", 24, 16)
    draw(tmp_path / "holiday" / "day" / "sea.jpg", 24, 16)
    draw(tmp_path / "examples" / "astronaut.jpg", 24, 16)
    for number in range(4):
        draw(tmp_path / "photos" / f"{number}.jpg", 152, 140, number)
    draw(tmp_path / "coco" / "large.jpg", 400, 390)
    draw(tmp_path / "coco" / "other.jpg", 384, 420, 1)
    draw(tmp_path / "held-out" / "one.png", 64, 80, 9)
    for number, name in enumerate(("baby.png", "bird.png")):
        pair(draw(tmp_path / "Set5" / "HR" / name, 64, 48, number), tmp_path / "Set5" / "LR" / name)
    pair(draw(tmp_path / "original.png", 64, 48), tmp_path / "small.png")
    return tmp_path


def pair(target: Path, degraded: Path) -> None:
    degraded.parent.mkdir(exist_ok=True)
    with Image.open(target) as image:
        image.reduce(4).save(degraded)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_written(
    page: Path, desk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(desk, capfd, monkeypatch)
    for block in blocks(page):
        if block.mark not in INSTALLS:
            shell.do(block)


def test_the_python_guide_runs(
    desk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(desk, capfd, monkeypatch)
    for block in blocks(ROOT / "docs" / "how-to" / "use-in-python.md"):
        shell.do(block)
    with Image.open(desk / "from-server.jpg") as image:
        assert image.size == (192, 144)


def short(words: list[str]) -> list[str]:
    """Shorten trainings to two small steps."""
    if words[:2] != ["restore", "train"]:
        return words
    if "--resume" in words:
        return [*words, "--steps", "3"]
    words = [
        ("2" if before == "--steps" else word) for before, word in zip(["", *words], words, strict=False)
    ]
    steps = [] if "--steps" in words else ["--steps", "2"]
    return [*words, *steps, "--batch-size", "2", "--patch-size", "32"]


def test_the_guide_to_degradations_runs(
    desk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorten(words: list[str]) -> list[str]:
        is_check = words[:3] == ["restore", "plugin", "check"]
        return [*words, "--scale", "1"] if is_check else short(words)

    shell = Shell(desk, capfd, monkeypatch, shorten)
    for block in blocks(ROOT / "docs" / "how-to" / "write-a-degradation.md"):
        shell.do(block)
    assert (desk / "inputs" / "0.png").is_file()


def test_the_readme_runs(
    desk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples" / "restore-espcn", desk / "examples" / "restore-espcn")
    shell = Shell(desk, capfd, monkeypatch, short)
    first, *others = blocks(ROOT / "README.md")
    shell.do(first)
    shutil.rmtree(desk / "restore-my-method")  # a later section creates it again
    for block in others:
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.mark not in INSTALLS:
            shell.do(block)
    assert shell.names["CONTRACT"] == CONTRACT


def test_only_installation_blocks_are_skipped() -> None:
    skipped = [
        block for page in (ROOT / "README.md", *TUTORIALS) for block in blocks(page) if block.mark in INSTALLS
    ]
    for block in skipped:
        first = block.text.split()[0]
        assert first == "python3", f"{block} is marked as an installation but starts with {first}"
    assert len(skipped) == 3
