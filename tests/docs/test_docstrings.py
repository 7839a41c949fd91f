"""The examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import restore

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


PURE = "degradation", "fusion", "logits", "metrics", "resizing", "tiling"


def test_pure_functions_entries_and_ways_in_have_examples() -> None:
    pure = [
        function
        for module in (importlib.import_module(f"restore.{name}") for name in PURE)
        for function in (getattr(module, public) for public in module.__all__)
        if inspect.isfunction(function)
    ]
    interfaces = importlib.import_module("restore.interfaces")
    entries = [getattr(interfaces, name) for name in interfaces.__all__ if name.endswith("Spec")]
    testing = importlib.import_module("restore.testing")
    ways_in = [restore.load, restore.Restorer.upscale, restore.discover, testing.model_checks]
    public = [*pure, *entries, *ways_in]
    assert len(pure) >= 15
    assert len(entries) >= 11
    assert [each.__qualname__ for each in public if ">>> " not in (inspect.getdoc(each) or "")] == []
