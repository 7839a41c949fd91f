"""The examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "toolkit", *sorted((ROOT / "plugins").iterdir()))


def modules() -> list[str]:
    """Names of the modules with examples. By their text, so that nothing is imported to collect tests."""
    return [
        ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for source in SOURCES
        for file in sorted(source.rglob("*.py"))
        if "template" not in file.parts and ">>> " in file.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried, "the examples stand where doctest does not look for them"
    assert failed == 0, "see the captured output"


def test_the_public_interfaces_have_examples() -> None:
    assert {
        "restore.errors",
        "restore.interfaces.models",
        "restore.interfaces.options",
        "restore.registry.discovery",
        "restore.registry.entries",
    } <= set(modules())
