"""`restore publish` describes a run as the catalog of the community wants it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from restore.config import TrainingConfig, resolve
from restore.errors import UsageError
from restore.publishing import About, record
from restore.registry import discover
from restore.training import train

Configure = Callable[..., TrainingConfig]
REGISTRY = discover()
ABOUT = About("some-author", "CC-BY-4.0", ("https://example.org/4x-net.safetensors",))

INTEGER, TEXT, LIST, FLAG = int, str, list, bool
PROPERTIES: Mapping[str, tuple[type, bool]] = {
    "name": (TEXT, True), "author": (TEXT, True), "tags": (LIST, True), "description": (TEXT, True),
    "license": (TEXT, False), "date": (TEXT, True), "architecture": (TEXT, True), "size": (LIST, False),
    "scale": (INTEGER, True), "inputChannels": (INTEGER, True), "outputChannels": (INTEGER, True),
    "resources": (LIST, True), "dataset": (TEXT, False), "datasetSize": (INTEGER, False),
    "trainingIterations": (INTEGER, False), "trainingEpochs": (INTEGER, False),
    "trainingBatchSize": (INTEGER, False), "trainingHRSize": (INTEGER, False), "trainingOTF": (FLAG, False),
    "pretrainedModelG": (TEXT, False), "pretrainedModelD": (TEXT, False), "images": (LIST, True),
}  # fmt: skip
"""Of ``MODEL_PROPS`` in OpenModelDB's src/lib/model-props.ts: type, and whether it is required."""

IDENTIFIER = r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*"


def check(model: Mapping[str, Any]) -> None:
    """The rules of OpenModelDB's validator."""
    assert model.keys() <= PROPERTIES.keys()
    for name, (kind, required) in PROPERTIES.items():
        value = model.get(name)
        if value is None:
            assert not required, f"{name} is missing"
            continue
        assert type(value) is kind, f"{name} is {value!r}"
        if isinstance(value, int) and kind is INTEGER:
            assert value >= 1
    assert 1 <= model["scale"] <= 16
    assert re.fullmatch(IDENTIFIER, model["author"])
    assert model["tags"]
    assert all(re.fullmatch(IDENTIFIER, tag) for tag in model["tags"])
    assert model["description"] == model["description"].strip()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", model["date"])
    if model.get("pretrainedModelG") is not None:
        assert re.fullmatch(rf"\d+x-{IDENTIFIER}", model["pretrainedModelG"])
    assert model["resources"]
    for resource in model["resources"]:
        assert resource["platform"] == "pytorch"
        assert resource["type"] in ("pth", "safetensors")
        assert resource["size"] >= 1
        assert re.fullmatch(r"[0-9a-f]{64}", resource["sha256"])
        assert resource["urls"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps on JPEGs."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("runs")
    (folder / "photos").mkdir()
    for number in range(2):
        Image.linear_gradient("L").convert("RGB").save(folder / "photos" / f"{number}.png")
    config = TrainingConfig.model_validate(
        {
            "model": "spandrel.compact",
            "model_options": {"num_feat": 8, "num_conv": 1},
            "scale": 2,
            "loss": "l1",
            "data": [folder / "photos"],
            "val": [folder / "photos"],
            "degradation": "bicubic+jpeg",
            "degradation_options": {"jpeg": {"quality": 50}},
            "steps": 2,
            "batch_size": 2,
            "patch_size": 16,
            "workers": 0,
            "device": "cpu",
        }
    )
    train(config, REGISTRY, folder / "mine")
    return folder / "mine"


def test_a_record_is_accepted_by_the_catalog(run: Path) -> None:
    found = record(run, REGISTRY, ABOUT).to_json()
    check(json.loads(json.dumps(found)))
    assert (found["name"], found["scale"], found["architecture"]) == ("2x-mine", 2, "spandrel.compact")
    assert (found["trainingIterations"], found["trainingBatchSize"], found["trainingHRSize"]) == (2, 2, 16)
    assert (found["dataset"], found["datasetSize"], found["trainingOTF"]) == ("photos", 2, True)
    assert found["tags"] == ["general-upscaler", "jpeg"]
    assert "Degradation: bicubic+jpeg (jpeg.quality=50)" in found["description"]
    assert "Started from: random weights" in found["description"]
    weights = (run / "generator.safetensors").read_bytes()
    (resource,) = found["resources"]
    assert (resource["size"], resource["sha256"]) == (len(weights), hashlib.sha256(weights).hexdigest())
    assert "pretrainedModelG" not in found


def test_a_record_lists_the_degradation_of_each_source_and_the_options_of_the_model(
    run: Path, tmp_path: Path
) -> None:
    photos = [run.parent / "photos"]
    noise = {"data": photos, "degradation": "bicubic+noise", "degradation_options": {"noise": {"sigma": 9}}}
    given = resolve(run / "config.toml", [], {}).model_dump() | {
        "data": [],
        "val": [],
        "source": [noise, {"data": photos, "degradation": "bicubic+jpeg"}],
        "degradation": "bicubic",
        "degradation_options": {},
    }
    train(TrainingConfig.model_validate(given), REGISTRY, tmp_path / "mixed")
    found = record(tmp_path / "mixed", REGISTRY, ABOUT).to_json()
    assert found["tags"] == ["denoise", "general-upscaler", "jpeg"]
    assert "Degradation: bicubic+jpeg, bicubic+noise (noise.sigma=9)" in found["description"]
    assert "Options: num_feat=8, num_conv=1" in found["description"]


def test_the_command_writes_it_and_says_what_is_missing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from restore.cli import main

    monkeypatch.setattr("sys.argv", ["restore", "publish", str(run), "-o", str(tmp_path / "record.json")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "note: the catalog also asks for author, license, url" in printed.err
    written = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert written["author"] == "unknown"
    assert written["license"] is None


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        (About("two words"), "does not accept author = 'two words'"),
        (About(urls=("ftp://example.org",)), "does not accept resources.0.urls.0"),
        (About(tags=("no tag!",)), "does not accept tags.0"),
    ],
)
def test_what_the_catalog_would_refuse_is_refused(run: Path, about: About, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        record(run, REGISTRY, about)
    assert sentence in str(caught.value)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no run here: config\.toml is missing"):
        record(tmp_path, REGISTRY, ABOUT)


def test_the_model_that_the_run_started_from_is_named(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "generator.safetensors").write_bytes((run / "generator.safetensors").read_bytes())
    text = (run / "config.toml").read_text(encoding="utf-8")
    init = 'init = "spandrel:networks/2x_Some_Compact.pth"\n'
    (copy / "config.toml").write_text(init + text, encoding="utf-8")
    found = record(copy, REGISTRY, ABOUT).to_json()
    check(found)
    assert found["pretrainedModelG"] == "2x-Some-Compact"
