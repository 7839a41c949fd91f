"""The output of `restore plugin new` is a plugin that installs, passes its own tests, trains and upscales."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from restore.checkpoint import read_card
from restore.cli import main
from restore.errors import UsageError
from restore.registry import DISABLE, Registry
from restore.scaffold import name_of, write

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution that the command writes."""
    folder = tmp_path_factory.mktemp("new")
    command = [sys.executable, "-m", "restore", "plugin", "new", "Sharp_Eye", "--dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    place = Path(done.stdout.strip())
    assert place == folder / "restore-sharp-eye"
    assert "restore plugin check sharp-eye" in done.stderr
    return place


@pytest.fixture(scope="module")
def run(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a module in a new environment, into which the wheel is installed without a network.

    The environment also has the packages of the current one on its path; pip ignores them.
    """
    built = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=distribution, check=True, capture_output=True)
    (wheel,) = built.glob("restore_sharp_eye-0.1.0-py3-none-any.whl")
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    environment = {**os.environ, DISABLE: ""}
    environment.pop("PYTHONPATH", None)

    def call(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(python), "-m", *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    call("pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    current = sysconfig.get_path("purelib")
    (own / "current.pth").write_text(f"import site; site.addsitedir({current!r})\n")
    return call


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_passes_its_own_tests(run: Run, distribution: Path) -> None:
    done = run("pytest", distribution, "-p", "no:cacheprovider", "-q")
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_all_checks_of_the_command_pass(run: Run) -> None:
    found = rows(run("restore", "plugin", "check", "--scale", "2", "--json").stdout)
    assert {row["plugin"] for row in found} == {"sharp-eye"}
    assert [row for row in found if not row["passed"]] == []
    claims = {row["check"].partition(": ")[2] for row in found}
    assert {
        "is active",
        "keeps shape",
        "halo is exact",
        "tiles equal the whole",
        "passes gradients",
        "saves and loads",
        "is deterministic",
        "traced equals plain",
        "options are documented",
        "loss is a scalar",
        "gives logits",
        "names exist",
    } <= claims


def test_it_trains_and_upscales_as_in_its_readme(run: Run, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["--steps", "2", "--batch-size", "2", "--patch-size", "32", "--device", "cpu"]
    changes = ["--set", "model_options.width=8", "--set", "sharp-eye-loss.epsilon=0.01"]
    changes += ["--set", "adversary.width=4", "--set", "workers=0"]
    chosen = ["--model", "sharp-eye", "--loss", "sharp-eye", "--data", photos, "--run", folder]
    run("restore", "train", *chosen, *options, *changes)
    weights = folder / "generator.safetensors"
    card = read_card(weights)
    assert (card.model, card.objective, card.steps) == ("sharp-eye", "sharp-eye", 2)
    assert card.options == {"width": 8, "blocks": 4}
    result = tmp_path / "large.png"
    chosen = ["--model", f"sharp-eye:{weights}", "--device", "cpu", "-o", result]
    run("restore", "upscale", photos / "a.png", *chosen)
    with Image.open(result) as image:
        assert image.size == (256, 192)


def test_every_file_has_the_new_name_and_none_the_old(distribution: Path) -> None:
    files = [file for file in distribution.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"pyproject.toml", "README.md", "plugin.py", "test_sharp_eye.py"}
    for file in files:
        text = file.read_text()
        assert "my-method" not in text + str(file)
        assert "my_method" not in text + str(file)
    project = tomllib.loads((distribution / "pyproject.toml").read_text())["project"]
    assert project["name"] == "restore-sharp-eye"
    assert project["entry-points"] == {"restore.plugins": {"sharp-eye": "restore_sharp_eye.plugin"}}


@pytest.mark.parametrize(
    ("text", "name", "package"),
    [
        ("my-method", "my-method", "restore_my_method"),
        ("My.Method_2", "my-method-2", "restore_my_method_2"),
        ("restore-sharp", "sharp", "restore_sharp"),
        ("4x", "4x", "restore_4x"),
        ("class", "class", "restore_class"),
    ],
)
def test_a_name_becomes_a_distribution_and_a_package(
    text: str, name: str, package: str, toys: Registry
) -> None:
    plugin = name_of(text, toys)
    assert (plugin, plugin.package) == (name, package)
    assert plugin.distribution == f"restore-{name}"
    assert package.isidentifier()


@pytest.mark.parametrize("text", ["", "a b", "-a", "a-", "../a", "größer", "a/b", "restore-", "a'b"])
def test_an_invalid_name_is_refused(text: str, toys: Registry) -> None:
    with pytest.raises(UsageError, match="is not a valid name for a plugin; use letters a to z and digits"):
        name_of(text, toys)


@pytest.mark.parametrize("text", ["enhancenet", "mse", "pat", "PSNR", "baselines"])
def test_an_existing_name_is_refused(text: str, toys: Registry) -> None:
    with pytest.raises(UsageError, match=f"'{text.lower()}' already.*choose another name"):
        name_of(text, toys)


def test_an_existing_folder_is_not_changed(tmp_path: Path, toys: Registry) -> None:
    name = name_of("mine", toys)
    place = write(name, tmp_path / "deep")
    (place / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="exists already; set `dir` to another folder"):
        write(name, tmp_path / "deep")
    assert (place / "README.md").read_text() == "mine"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["restore-mine"]


def test_an_unwritable_folder_is_an_error_of_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["restore", "plugin", "new", "mine", "--dir", str(tmp_path / "file")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: ")
    assert "choose another folder" in sentence
