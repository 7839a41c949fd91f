"""Shared fixtures: images, a small model, a toy plugin, a random VGG-19, temporary caches, the command line
in this process, a server."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import restore_adversarial.plugin
import restore_augmentations.plugin
import restore_baselines.plugin
import restore_degradations.plugin
import restore_denoising.plugin
import restore_enhancenet.plugin
import restore_optimization.plugin
from restore.cli import main
from restore.config import TrainingConfig
from restore.registry import DISABLE, GROUP, Plugin, Registry, build
from restore_enhancenet.options import LAYERS

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser, Page
    from served import Server

TOY = Path(__file__).parent / "toolkit" / "toy" / "toy_plugin.py"

if "PYTEST_XDIST_WORKER" in os.environ:  # the default would start one thread per processor in each worker
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for subprocesses

VGG_WIDTHS = (64, 128, 256, 512, 512)


def imported(file: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


Draw = Callable[..., Path]


@pytest.fixture
def draw() -> Draw:
    """Write an image of random blocks with some noise, so that every scale has learnable content."""

    def make(file: Path, width: int, height: int, seed: int = 0) -> Path:
        random = np.random.default_rng(seed)
        blocks = random.integers(20, 236, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)
        pixels = blocks[:height, :width] + random.integers(-20, 20, (height, width, 3))
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
        return file

    return make


Damage = Callable[[Path], None]


@pytest.fixture
def damage() -> Damage:
    """Damage the middle of an image file, which only decoding detects."""

    def spoil(file: Path) -> None:
        content = file.read_bytes()
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes(100) + content[middle + 100 :])

    return spoil


@pytest.fixture
def photos(tmp_path: Path, draw: Draw) -> Path:
    """A folder of four images, one of them in a subfolder and one too small for a patch of 32 pixels."""
    folder = tmp_path / "photos"
    draw(folder / "a.png", 64, 48, 1)
    draw(folder / "b.png", 53, 70, 2)
    draw(folder / "deep" / "c.png", 64, 64, 3)
    draw(folder / "tiny.png", 64, 20, 4)
    return folder


Configure = Callable[..., TrainingConfig]


@pytest.fixture
def configure(photos: Path) -> Configure:
    """Make the configuration of a short run; any field can be set."""

    def make(**changes: Any) -> TrainingConfig:
        values: dict[str, Any] = {
            "data": [photos],
            "loss": "l1",
            "steps": 6,
            "batch_size": 2,
            "patch_size": 32,
            "lr": 1e-3,
            "warmup": 2,
            "model_options": {"width": 8, "blocks": 1},
            "device": "cpu",
            "devices": 1,
            "nodes": 1,
            "precision": "fp32",
            "workers": 0,
            "log_every": 1,
            "checkpoint_every": 2,
        }
        return TrainingConfig.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def toys() -> Registry:
    """The included plugins, and a toy plugin with a gated discriminator and losses that fail."""
    boxed = [
        Plugin("adversarial", restore_adversarial.plugin),
        Plugin("augmentations", restore_augmentations.plugin),
        Plugin("baselines", restore_baselines.plugin),
        Plugin("degradations", restore_degradations.plugin),
        Plugin("denoising", restore_denoising.plugin),
        Plugin("enhancenet", restore_enhancenet.plugin),
        Plugin("optimization", restore_optimization.plugin),
    ]
    registry = build([*boxed, Plugin("toy", imported(TOY))])
    assert not registry.problems
    return registry


@pytest.fixture
def toy_site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH in which the toy plugin is installed."""
    folder = tmp_path / "site"
    info = folder / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\ntoy = toy_plugin\n")
    shutil.copy(TOY, folder)
    return folder


@pytest.fixture
def photo_weights(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """Install the plugin of `toy/photo_plugin.py` in the place of those whose models it changes."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(TOY.with_name("photo_plugin.py"), site)
    info = site / "photos-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: photos\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[restore.plugins]\nphotos = photo_plugin\n")
    monkeypatch.setenv(DISABLE, "denoising,enhancenet")
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield importlib.import_module("photo_plugin")
    del sys.modules["photo_plugin"]


RandomVgg19 = Callable[..., Path]


def random_vgg19(file: Path, last: str = "pool5") -> Path:
    """Write random weights with torchvision's names, up to the layer `last`."""
    generator = torch.Generator().manual_seed(0)
    tensors, index, channels = {}, 0, 3
    for layer in LAYERS[: LAYERS.index(last) + 1]:
        if layer.startswith("conv"):
            width = VGG_WIDTHS[int(layer[4]) - 1]
            weight = torch.empty(width, channels, 3, 3)
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
            tensors[f"features.{index}.weight"] = weight.half()
            tensors[f"features.{index}.bias"] = 0.1 * torch.rand(width, generator=generator).half()
            channels = width
        index += 2 if layer.startswith("conv") else 1
    if file.suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file)
    return file


@pytest.fixture(name="random_vgg19")
def _random_vgg19() -> RandomVgg19:
    """The function `random_vgg19` as a fixture."""
    return random_vgg19


@pytest.fixture(scope="session", autouse=True)
def vgg19(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """VGG-19 with random weights in the place where losses look for it, so that tests download nothing."""
    folder = tmp_path_factory.mktemp("vgg19")
    file = random_vgg19(folder / "vgg19.safetensors")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RESTORE_VGG19", str(file))
        environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield file


@pytest.fixture
def random_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of LPIPS and DISTS with random weights in the place of torchvision's downloads."""

    def network(layers: Callable[[], Any]) -> Callable[..., Any]:
        def build(weights: Any = None) -> Any:
            torch.manual_seed(0)
            return SimpleNamespace(features=layers())

        return build

    def alexnet() -> Any:
        from torchvision.models import AlexNet

        return AlexNet(num_classes=1).features

    def vgg16() -> Any:
        from torchvision.models.vgg import cfgs, make_layers

        return make_layers(cfgs["D"])

    # By name: importing torchvision takes seconds, and most tests do not need it.
    monkeypatch.setattr("torchvision.models.alexnet", network(alexnet))
    monkeypatch.setattr("torchvision.models.vgg16", network(vgg16))
    monkeypatch.setattr("torchmetrics.functional.image.dists.vgg16", network(vgg16))


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; tests that need it fail without it."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "the tests of pages need Chromium on the path: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found)
        yield chromium
        chromium.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Open]:
    """Open the `file` of the test; fail on console messages and on requests to other places."""
    contexts, complaints = [], []

    def call(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
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


@dataclass(frozen=True)
class Done:
    """The output and exit code of a command."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The objects that --json printed."""
        return [json.loads(line) for line in self.stdout.splitlines()]


Run = Callable[..., Done]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the CPU in this process: starting another takes seconds."""

    def call(command: str, *arguments: object, cwd: Path | None = None, debug: bool = False) -> Done:
        start = ["restore", *(["--debug"] if debug else []), command, "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [*start, *map(str, arguments)])
        if cwd:
            monkeypatch.chdir(cwd)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def upscale(run: Run) -> Run:
    """Run `restore upscale` with the bicubic model."""
    return partial(run, "upscale", "--model", "bicubic")


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    """Three targets, one of them grayscale, one no multiple of four."""
    folder = tmp_path / "targets"
    folder.mkdir()
    random = np.random.default_rng(0)
    slope = np.add.outer(np.arange(48), np.arange(60))[..., None]
    smooth = slope + random.integers(0, 40, (48, 60, 3))
    Image.fromarray(smooth.astype(np.uint8)).save(folder / "a.png")
    Image.fromarray(smooth.astype(np.uint8)[:47, :59]).save(folder / "b.png")
    Image.fromarray(smooth.astype(np.uint8)[..., 0]).save(folder / "gray.png")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`restore serve` with low limits of an upload."""
    from served import started

    with started(tmp_path_factory.mktemp("serve"), "--max-upload", 1, "--max-pixels", 100_000) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found
