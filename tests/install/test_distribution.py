"""The wheel of this distribution: what it contains and declares."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_the_license_expression_covers_every_component(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    texts = {name: wheel.read(name).decode() for name in wheel.namelist() if "/licenses/" in name}
    assert len(texts) == len(metadata.get_all("License-File", [])) == 2
    assert any("Apache License" in text for text in texts.values())
    assert any("MIT License" in text for text in texts.values())


def test_every_component_of_others_has_its_license_beside_it(wheel: zipfile.ZipFile) -> None:
    """A folder with a license of its own is a component; the expression has to name what it says."""
    beside = [name for name in wheel.namelist() if name.endswith("/LICENSE") and ".dist-info/" not in name]
    assert beside == ["restore/pages/assets/img-comparison-slider/LICENSE"]


def test_the_wheel_contains_the_toolkit_and_its_plugins(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    plugins = {path.name for path in (ROOT / "plugins").glob("*/restore_*")}
    assert tops == {"restore", *plugins}
    assert all(f"{top}/py.typed" in wheel.namelist() for top in tops)


def test_only_libraries_that_every_command_may_need_are_required(metadata: Message) -> None:
    """Those of single features are extras; what a file of others needs must not be installed for all."""
    required = {
        line.split(";")[0].strip(" ").rstrip("0123456789.,<>= ").lower()
        for line in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in line
    }
    optional = {"lightning-fabric", "matplotlib", "onnx", "openvino", "spandrel", "tensorboard"}
    assert not required & (optional | {"torchmetrics", "torchvision"})
