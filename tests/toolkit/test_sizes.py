"""Public functions stay small enough to be read at once, and to be called without counting arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "toolkit" / "restore"
LINES, PARAMETERS = 50, 6

EXCEPTIONS = {
    "batch/running.py run_all": "the public entry point, whose parameters are documented options",
    "data/patches.py Patches.__init__": "each parameter is a choice of the training configuration",
    "evaluation/datasets.py dataset": "where inputs come from, and how they are degraded",
    "images/png.py encoded": "one argument for each kind of metadata that a file can have",
    "images/tiff.py encoded": "one argument for each kind of metadata that a file can have",
    "inference/loading.py load": "the public entry point, whose parameters are documented options",
    "inference/restorer.py Restorer.__init__": "the choices of `load`, which builds it",
    "training/learner.py Learner.__init__": "each parameter is a choice of the training configuration",
    "training/loop.py train": "a run from start to end, to be read from top to bottom",
}


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions and methods with their names; `__init__` counts as public."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node, f"{owner}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            yield f"{owner}{node.name}", node


def is_large(function: ast.FunctionDef) -> bool:
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    parameters = [name for name in names if name not in {"self", "cls"}]
    return (function.end_lineno or 0) - function.lineno >= LINES or len(parameters) > PARAMETERS


def test_public_functions_are_small() -> None:
    """Commands are not counted: each option of theirs is a parameter with its help text."""
    large = {
        f"{file.relative_to(ROOT)} {name}"
        for file in ROOT.rglob("*.py")
        if not {"cli", "template"} & set(file.relative_to(ROOT).parts)
        for name, function in functions(ast.parse(file.read_text(encoding="utf-8")))
        if is_large(function)
    }
    assert large - EXCEPTIONS.keys() == set()


def test_a_function_with_many_lines_or_parameters_is_large() -> None:
    body = "\n".join(f"    x = {index}" for index in range(LINES))
    parameters = ", ".join(f"p{index}" for index in range(PARAMETERS + 1))
    tree = ast.parse(
        f"def long():\n{body}\nclass A:\n    def wide(self, {parameters}): ...\ndef fine(a): ..."
    )
    assert {name for name, each in functions(tree) if is_large(each)} == {"long", "A.wide"}
