"""Functions stay small enough to be read at once and called without counting arguments; one class a name."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "toolkit" / "restore"
LINES, PARAMETERS = 50, 6

MANY_PARAMETERS = {
    "batch/running.py run_all": "the public entry point, whose parameters are documented options",
    "data/patches.py Patches.__init__": "each parameter is a choice of the training configuration",
    "evaluation/datasets.py dataset": "where inputs come from, and how they are degraded",
    "images/png.py encoded": "one argument for each kind of metadata that a file can have",
    "images/tiff.py encoded": "one argument for each kind of metadata that a file can have",
    "inference/loading.py load": "the public entry point, whose parameters are documented options",
    "inference/restorer.py Restorer.__init__": "the choices of `load`, which builds it",
    "training/learner.py Learner.__init__": "each parameter is a choice of the training configuration",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Modules of the core by their paths; the template of a new plugin is no part of it."""
    for file in sorted(ROOT.rglob("*.py")):
        if "template" not in file.relative_to(ROOT).parts:
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods with their names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{owner}{node.name}", node
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from functions(node, f"{owner}{node.name}.")


def is_long(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return (function.end_lineno or 0) - function.lineno >= LINES


def is_wide(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}]) > PARAMETERS


def is_public(name: str) -> bool:
    return not any(part.startswith("_") and part != "__init__" for part in name.split("."))


def test_no_function_or_command_is_long() -> None:
    long = [f"{file} {name}" for file, tree in sources() for name, each in functions(tree) if is_long(each)]
    assert long == []


def test_public_functions_have_few_parameters() -> None:
    """Commands are not counted: each option of theirs is a parameter with its help text."""
    wide = {
        f"{file} {name}"
        for file, tree in sources()
        if not file.startswith("cli/")
        for name, each in functions(tree)
        if is_public(name) and is_wide(each)
    }
    assert wide == MANY_PARAMETERS.keys()


def test_a_class_name_has_one_meaning() -> None:
    classes = Counter(
        node.name
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_a_function_with_many_lines_or_parameters_is_found() -> None:
    body = "\n".join(f"    x = {index}" for index in range(LINES))
    parameters = ", ".join(f"p{index}" for index in range(PARAMETERS + 1))
    tree = ast.parse(
        f"def long():\n{body}\nclass A:\n    def wide(self, {parameters}): ...\ndef fine(a): ..."
    )
    assert {name for name, each in functions(tree) if is_long(each)} == {"long"}
    assert {name for name, each in functions(tree) if is_wide(each)} == {"A.wide"}
