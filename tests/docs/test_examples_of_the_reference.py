"""Names of the Python reference without a runnable example: the list may only get shorter."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "python.md"

WITHOUT = {
    "ContractVersionError",
    "DuplicateEntryError",
    "DuplicatePluginError",
    "EntryError",
    "HookError",
    "PluginImportError",
    "compare",
    "evaluate",
    "opened_checks",
    "set_metric_checks",
}


def documented() -> Iterator[Any]:
    """The classes and functions of the page."""
    for directive, target in re.findall(r"auto(module|class|function):: (\S+)", PAGE.read_text("utf-8")):
        if directive == "module":
            module = importlib.import_module(target)
            yield from (getattr(module, name) for name in module.__all__)
        else:
            home, name = target.rsplit(".", 1)
            yield getattr(importlib.import_module(home), name)


def has_example(named: Any) -> bool:
    """Whether the docstring of a function or class, or of a method of the class, has an example."""
    methods = [value for name, value in vars(named).items() if not name.startswith("_")]
    parts = [named, *methods] if inspect.isclass(named) else [named]
    return any(">>> " in (part.__doc__ or "") for part in parts)


def test_every_documented_name_has_an_example_but_those_listed() -> None:
    named = {each for each in documented() if isinstance(each, type | FunctionType)}
    assert len(named) >= 200
    without = {each.__qualname__ for each in named if not has_example(each)}
    assert without == WITHOUT, "give new names an example, and remove from the list those that have one"
