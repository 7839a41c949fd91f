"""What commands import before they do anything, and the table of commands that makes it so little."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from PIL import Image

from restore.cli import app
from restore.cli.commands import COMMANDS, Deferred

PROBE = """
import contextlib, io, sys
from restore.cli import main

with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
sys.stdout.write("\\n".join(sorted(set(sys.modules) - set(before))))
"""
OURS = (
    "restore",
    "restore_adversarial",
    "restore_augmentations",
    "restore_baselines",
    "restore_degradations",
    "restore_denoising",
    "restore_enhancenet",
    "restore_optimization",
    "restore_spandrel",
)


def imported(*arguments: str) -> set[str]:
    """Modules that a command imports in a process of its own, without the standard library."""
    probe = f"import sys; before = list(sys.modules); sys.argv = ['restore', *{list(arguments)}]\n{PROBE}"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not done.stderr
    modules = set(done.stdout.split())
    return {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in OURS}


def others(modules: set[str]) -> set[str]:
    packages = {name.partition(".")[0] for name in modules} - {*OURS, "__main__"}
    return {name for name in packages if not name.startswith(("_sysconfigdata", "_distutils"))}


def test_help_imports_typer_and_five_small_modules() -> None:
    modules = imported("--help")
    assert ours(modules) == {
        "restore",
        "restore.cli",
        "restore.cli.commands",
        "restore.cli.errors",
        "restore.errors",
    }
    assert others(modules) <= {"annotated_doc", "shellingham", "typer"}


def test_list_imports_the_plugins_and_what_describes_entries() -> None:
    modules = imported("list")
    assert {".".join(name.split(".")[:2]) for name in ours(modules) if name.startswith("restore.")} == {
        "restore.choices",
        "restore.cli",
        "restore.errors",
        "restore.files",
        "restore.hookspecs",
        "restore.interfaces",
        "restore.registry",
        "restore.report",
    }
    # typer itself validates the values of options by pydantic.
    assert others(modules) - {"annotated_doc", "shellingham"} == {
        "annotated_types",
        "pluggy",
        "pydantic",
        "pydantic_core",
        "typer",
        "typing_extensions",
        "typing_inspection",
    }


def test_upscaling_imports_nothing_that_serves_training_evaluation_or_pages(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    modules = imported("upscale", str(tmp_path / "a.png"), "--model", "bicubic")
    assert (tmp_path / "a_x4.png").exists()
    packages = {".".join(name.split(".")[:2]) for name in modules}
    assert {"restore.batch", "restore.inference"} <= packages
    parts = ("data", "doctor", "evaluation", "export", "pages", "scaffold", "serve", "testing", "training")
    assert not packages & {f"restore.{part}" for part in parts}
    assert not others(modules) & {
        "dask",
        "distributed",
        "fastapi",
        "jinja2",
        "lightning_fabric",
        "matplotlib",
        "spandrel",
        "tensorboard",
        "torchmetrics",
        "torchvision",
    }


def test_cleaning_does_not_import_the_compiler_of_pytorch(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    modules = imported("clean", str(tmp_path / "a.png"), "--noise", "10")
    assert (tmp_path / "a_clean.png").exists()
    assert not {"torch._dynamo", "torch._inductor"} & modules


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name: str) -> None:
    group = typer.main.get_command(app)
    deferred = group.commands[name]  # type: ignore[attr-defined]  # typer says only that it is a command
    assert isinstance(deferred, Deferred)
    command = deferred.load()
    assert command.name == name
    assert inspect.cleandoc(command.help).partition("\n")[0] == deferred.help
    assert len(deferred.help) <= 66, "the list of commands cuts it on a terminal of 80 columns"


@pytest.mark.parametrize(
    ("line", "word", "completed"),
    [
        ("restore ", "up", ["upscale"]),
        ("restore export ", "--sc", ["--scale"]),
        ("restore plugin ", "ch", ["check"]),
        ("restore plugin check ", "--js", ["--json"]),
    ],
)
def test_the_shell_completes_commands_and_their_options(line: str, word: str, completed: list[str]) -> None:
    words = f"{line}{word}"
    environment = {
        "_RESTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'restore'; from restore.cli import main; main()",
    ]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == completed
