"""`restore list` and `restore info` show what is installed, at once: nothing heavy is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from PIL import Image

from restore import hookspecs, registry
from restore.cli import main
from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, Weights, lazy

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


class Result(NamedTuple):
    """What a command did."""

    code: object
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Restore = Callable[..., Result]


@pytest.fixture
def restore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Restore:
    """Run the command in this process, exit code and all."""
    monkeypatch.delenv(registry.DISABLE, raising=False)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["restore", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Result(caught.value.code, captured.out, captured.err)

    return run


def scales() -> list[int]:
    return list(registry.discover().models["enhancenet"].scales or ())


def test_list_shows_each_entry_under_its_kind_with_its_plugin(restore: Restore) -> None:
    listed = restore("list")
    assert (listed.code, listed.err) == (0, "")
    blocks = {block.split()[0]: block.splitlines()[1:] for block in listed.out.split("\n\n")}
    models = {line.split()[0]: line.split()[-1] for line in blocks["models"]}
    assert models["enhancenet"] == "enhancenet"
    assert models["bicubic"] == "baselines"
    (line,) = [line for line in blocks["models"] if line.startswith("enhancenet")]
    assert line.endswith("  enhancenet")
    assert (
        line.removesuffix("enhancenet")
        .rstrip()
        .endswith("  pat (4x), e (2x, 4x), photo (2x, 4x), blurred (4x)")
    )
    assert "mse" in {line.split()[0] for line in blocks["losses"]}
    assert "psnr" in {line.split()[0] for line in blocks["metrics"]}


def test_list_as_json_has_a_row_for_each_entry_and_plugin(restore: Restore) -> None:
    listed = restore("list", "--json")
    assert (listed.code, listed.err) == (0, "")
    found = registry.discover()
    named = {(row["kind"], row["name"]) for row in listed.rows}
    expected = {(kind.name, name) for kind in registry.KINDS for name in found.catalog(kind)}
    assert named == expected | {("plugin", status.plugin.name) for status in found.plugins}
    (row,) = [row for row in listed.rows if (row["kind"], row["name"]) == ("model", "enhancenet")]
    assert (row["plugin"], row["distribution"]) == ("enhancenet", "restorekit")
    assert row["weights"][0] == {"name": "pat", "scale": 4}, "the default comes first"
    assert all(("weights" in row) == (row["kind"] == "model") for row in listed.rows)
    assert row["summary"] == found.models["enhancenet"].summary


def test_info_tells_options_scales_and_source_of_a_model(restore: Restore) -> None:
    shown = restore("info", "enhancenet")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.strip() for line in shown.out.splitlines()]
    assert lines[0].startswith("model enhancenet: ")
    assert any(line.startswith("plugin: enhancenet (restorekit ") for line in lines)
    assert f"scales: {', '.join(map(str, scales()))}" in lines
    width = lines.index("width:")
    assert lines[width + 1 : width + 3] == [
        "default: 64",
        "description: feature maps of each hidden layer",
    ]


def test_info_as_json_has_the_same_for_machines(restore: Restore) -> None:
    shown = restore("info", "enhancenet", "--json")
    assert (shown.code, shown.err) == (0, "")
    (row,) = [row for row in shown.rows if row["kind"] == "model"]
    assert (row["kind"], row["name"], row["plugin"]) == ("model", "enhancenet", "enhancenet")
    assert row["scales"] == scales()
    assert row["options"]["width"]["default"] == 64
    assert "1612.07919" in row["reference"]


def test_info_shows_every_kind_that_has_the_name(restore: Restore) -> None:
    shown = restore("info", "bicubic", "--json")
    assert [row["kind"] for row in shown.rows] == ["model", "degradation"]
    assert [row["scales"] for row in shown.rows if row["kind"] == "model"] == ["any"]
    assert [block.split()[0] for block in restore("info", "bicubic").out.split("\n\n")] == [
        "model",
        "degradation",
    ]


def test_info_shows_what_is_in_a_weights_file(restore: Restore) -> None:
    known = registry.discover().models["enhancenet"].weights
    (weights,) = [each for each in known if (each.name, each.scale) == ("e", 4)]
    for reference in (str(weights.source), f"enhancenet:{weights.source}"):
        (row,) = restore("info", reference, "--json").rows
        assert (row["kind"], row["model"], row["scale"]) == ("weights", "enhancenet", 4)
        assert (row["parameters"], row["sha256"]) == (852_867, weights.sha256)
        assert row["license"] == weights.license
    shown = restore("info", str(weights.source)).out
    assert shown.splitlines()[0] == f"weights {weights.source}"
    assert "  parameters: 852,867" in shown.splitlines()


def test_info_tells_the_recipe_of_an_objective(restore: Restore) -> None:
    (row,) = [row for row in restore("info", "srcnn", "--json").rows if row["kind"] == "objective"]
    options = {"luma": True, "sharpen": False}
    assert row["terms"] == [{"label": "mse", "loss": "mse", "weight": 1.0, "options": options}]
    assert row["adversaries"] == []
    assert row["patch_size"] == registry.discover().objectives["srcnn"].patch_size


def test_info_tells_every_option_that_an_objective_runs_with(restore: Restore) -> None:
    (row,) = restore("info", "pat", "--json").rows
    assert row["terms"][0]["options"] == {
        "layers": {"pool2": 0.2, "pool5": 0.02},
        "relu": True,
        "normalize": True,
        "distance": "mse",
        "sharpen": False,
    }
    assert row["terms"][1]["options"]["patch"] == 16
    (adversary,) = row["adversaries"]
    assert adversary["gate"] == {"PerformanceGate": {"threshold": 0.9}}
    assert adversary["options"] == {"width": 32, "hidden": 1024, "slope": 0.2}
    assert adversary["loss_options"] == {"real_label": 1.0}


def test_info_shows_the_source_and_the_metrics_of_weights(
    restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = lazy("nowhere:build")
    weights = Weights("p", 4, Path("p.safetensors"), "0" * 64, "CC0-1.0", "on noise", {"PSNR": 31.2})

    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return [ModelSpec("sharp", "a model", build=build, halo=build, weights=(weights,))]

    module = SimpleNamespace(CONTRACT=hookspecs.CONTRACT, restore_models=restore_models)
    made = registry.build([registry.Plugin("p", module, "p-dist", "2.1")])
    monkeypatch.setattr(registry, "discover", lambda: made)
    (row,) = restore("info", "sharp", "--json").rows
    assert row["weights"] == [
        {
            "name": "p",
            "scale": 4,
            "source": "p.safetensors",
            "sha256": "0" * 64,
            "license": "CC0-1.0",
            "trained": "on noise",
            "metrics": {"PSNR": 31.2},
        }
    ]
    text = restore("info", "sharp").out
    assert "plugin: p (p-dist 2.1)" in text
    assert "license: CC0-1.0" in text
    assert "PSNR: 31.2" in text


def test_an_unknown_name_is_wrong_usage_answered_with_the_nearest(restore: Restore) -> None:
    result = restore("info", "enhancnet")
    assert result == (
        2,
        "",
        "error: there is no entry 'enhancnet'. Did you mean 'enhancenet'? See 'restore list'\n",
    )


def test_info_of_an_image_file_shows_how_it_is_degraded(restore: Restore, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    with Image.open(ASTRONAUT) as image:
        image.save(file, quality=40)
    shown = restore("info", str(file))
    assert (shown.code, shown.err) == (0, "")
    lines = [line.strip() for line in shown.out.splitlines()]
    assert lines[0] == f"image {file}: 256x256"
    assert lines[1].startswith("compression: JPEG of quality 40, chroma 4:2:0, 8x8 grid at row 0, column 0 ")
    assert lines[-1] == "visible degradations: jpeg"


def test_info_of_an_image_file_as_json_has_every_estimate(restore: Restore) -> None:
    (row,) = restore("info", str(ASTRONAUT), "--json").rows
    assert (row["kind"], row["width"], row["height"]) == ("image", 256, 256)
    assert (row["jpeg"]["quality"], row["jpeg"]["source"]) == (98, "tables")
    assert {"noise", "blur", "enlarged", "degradations"} <= set(row)


def test_info_of_a_file_that_is_no_image_names_it(restore: Restore, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not an image")
    result = restore("info", str(file))
    assert (result.code, result.out) == (1, "")
    assert "notes.txt" in result.err


PROBE = """
import sys
from restore.cli import main

sys.argv[0] = "restore"
try:
    main()
finally:
    heavy = {"torch", "torchvision", "lightning_fabric", "spandrel"} & set(sys.modules)
    sys.stderr.write(f"imported: {sorted(heavy)}")
"""


def imported(*arguments: str) -> tuple[int, str]:
    """Exit code of the command in a process of its own, and the heavy libraries that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.rpartition("imported: ")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "--json"],
        ["info", "enhancenet"],
        ["train", "--help"],
        ["upscale", "--help"],
        ["plugin", "--help"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_to_tell_what_there_is(arguments: list[str]) -> None:
    assert imported(*arguments) == (0, "[]")


def test_the_probe_sees_torch_where_a_command_needs_it(tmp_path: Path) -> None:
    code, heavy = imported("upscale", str(tmp_path / "missing.png"), "--model", "bicubic")
    assert code == 1
    assert "'torch'" in heavy
    assert "'spandrel'" not in heavy


def test_info_takes_a_model_with_its_weights() -> None:
    command = [sys.executable, "-m", "restore", "info", "enhancenet:e", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[0])["name"] == "enhancenet"
