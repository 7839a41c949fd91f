"""Errors and messages as the command line shows them."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from restore.cli import console, main
from restore.cli.errors import Command, exit_code, in_options, sentence
from restore.errors import ImageError, UsageError

OPTIONS = {"max_pixels": "--max-pixels", "existing": "--existing", "check": "--check"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("raise `max_pixels`", "raise --max-pixels"),
        ("set `existing` to 'overwrite'", "set --existing to 'overwrite'"),
        ("pass `existing='overwrite'`", "pass --existing overwrite"),
        ("pass `check=True`", "pass --check"),
        ("`ema` is no option of this command", "`ema` is no option of this command"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
    ],
)
def test_parameters_become_the_options_of_the_command(text: str, shown: str) -> None:
    assert in_options(text, OPTIONS) == shown


def test_only_the_command_line_names_its_options() -> None:
    """In the text of the core and the plugins; those of torchrun and srun have no other name."""
    root = Path(__file__).parents[2]
    others = {"--nproc-per-node", "--ntasks-per-node", "--upgrade"}
    found = {
        (str(file.relative_to(root)), flag)
        for folder in ("toolkit/restore", "plugins")
        for file in (root / folder).rglob("*.py")
        if not {"cli", "template", "tests"} & set(file.relative_to(root).parts)
        for text in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
        for flag in re.findall(r"(?<![-\w])--[a-z][a-z-]+", text.value)
        if flag not in others
    }
    assert found == set()


def test_an_error_is_one_line_with_its_file_first() -> None:
    error = ImageError("not an image", path="a\nb.txt", hint="omit it")
    assert sentence(error) == "a\\nb.txt: not an image; omit it"
    assert (exit_code(error), exit_code(UsageError("wrong"))) == (1, 2)


def test_a_running_command_lends_its_options_to_the_messages_of_the_core() -> None:
    app = typer.Typer()

    @app.command(cls=Command)
    def shrink(image: str, *, limit: int = 3, assign: list[str] = typer.Option([], "--set")) -> None:  # noqa: B008 (an option of typer)
        console.message("`image` is over `limit`; see `assign`, `set`, `sets` and `other`")

    result = CliRunner().invoke(app, ["a.png", "--limit", "2", "--set", "a=1"])
    assert result.stderr == "image is over --limit; see --set, --set, --set and `other`\n"


def test_a_missing_file_is_named_with_exit_code_and_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["restore", "info", "no\x1bsuch"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "no\\x1bsuch" in line
