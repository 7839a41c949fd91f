"""Links resolve, commands parse, and the reference documents every command, option, field and hook."""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generated
import pytest
import torch
from pages import PAGES, ROOT, TUTORIALS, Block, anchors, blocks, links
from safetensors import safe_open

from restore import hookspecs, interfaces
from restore.config import TrainingConfig, resolve
from restore.registry import discover
from restore.training import train

Configure = Callable[..., TrainingConfig]

REFERENCE = ROOT / "docs" / "reference"
COMMANDS = dict(generated.walk())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_resolve(page: Any) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), f"'{link}' is not https"
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"'{link}' does not exist"
        if anchor:
            text = target.read_text(encoding="utf-8")
            assert anchor in anchors(text), f"'{link}' has no such heading"


def commands() -> list[tuple[Block, list[str]]]:
    """Return each call of the program in all blocks of all pages."""
    return [
        (block, words[words.index("restore") :])
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for words in block.commands
        if "restore" in words
    ]


@pytest.mark.parametrize(("block", "words"), commands(), ids=str)
def test_a_command_on_a_page_parses(block: Block, words: list[str]) -> None:
    name = " ".join(words[:3]) if words[1] == "plugin" else " ".join(words[:2])
    assert name in COMMANDS, f"{block}: no command '{name}'"
    arguments = words[len(name.split()) :]
    for end in ("|", "<", ">"):  # shell syntax
        arguments = arguments[: arguments.index(end)] if end in arguments else arguments
    COMMANDS[name].make_context(name, list(arguments))  # raises for unknown options


HOW_TO = ROOT / "docs" / "how-to"
BLOCKS_RUN = {ROOT / "README.md", HOW_TO / "use-in-python.md", HOW_TO / "write-a-degradation.md", *TUTORIALS}

PYTHON = [
    block for page in PAGES if page not in BLOCKS_RUN for block in blocks(page) if block.language == "python"
]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_the_imports_of_a_python_block_that_is_not_run_work(block: Block) -> None:
    lines = ast.parse(block.text).body
    imports: list[ast.stmt] = [line for line in lines if isinstance(line, ast.Import | ast.ImportFrom)]
    assert imports
    exec(compile(ast.Module(imports, []), str(block), "exec"), {})  # noqa: S102


CONFIGURATIONS = [
    block
    for page in PAGES
    for block in blocks(page)
    if block.language == "toml" and re.search(r"^loss = ", block.text, re.MULTILINE)
]


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_a_training_configuration_on_a_page_is_valid(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block.text, encoding="utf-8")
    resolve(file, [], {})


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        assert command.help, f"'{name}' has no help"
        section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"'{name}' has no section"
        for parameter in command.params:
            assert parameter.help, f"'{name}' has {parameter.opts} without help"
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert re.search(rf"^- `.*(?<![\w-]){re.escape(flag)}(?![\w-])", section[1], re.MULTILINE), (
                    name,
                    flag,
                )


def test_every_field_of_the_configuration_is_in_the_reference() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    for name, field in TrainingConfig.model_fields.items():
        assert field.description, f"'{name}' has no description"
        entry = re.search(rf"^- `{name}`: (.+)\. \*\((.+); (.+)\)\*$", page, re.MULTILINE)
        assert entry, f"'{name}' has no entry"
        assert entry[1].lower() == field.description.lower()


def test_every_hook_is_in_the_reference_with_its_return_type() -> None:
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "restore_spec")]
    assert len(hooks) >= 7
    for name in hooks:
        assert f"## {name}\n" in page
        assert (inspect.getdoc(getattr(hookspecs, name)) or "nothing") in page
        entry = generated.entries()[name]
        _, _, fields = page.partition(f"### {entry.__name__}\n")
        for field in dataclasses.fields(entry):
            assert f"- `{field.name}: " in fields


def test_the_reference_of_hooks_has_every_class_of_the_contract_and_describes_every_field() -> None:
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    for name in interfaces.__all__:
        if isinstance(getattr(interfaces, name), type):
            assert f"### {name}\n" in page
    undescribed = re.findall(r"^- `\w+: [^`]*`(?: \(optional\))?$", page, re.MULTILINE)
    assert undescribed == []


@pytest.mark.parametrize("page", generated.PAGES, ids=lambda page: page.name)
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated.fill(text) == text, "run: python docs/generated.py"


def test_every_extra_is_once_on_the_page_about_installing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| extra \|.*?\n\n", page, re.DOTALL)
    listed = re.findall("`([a-z0-9]+)`", "".join(row.split("|")[1] for row in table.strip().splitlines()))
    assert sorted(listed) == sorted(project["optional-dependencies"])


def test_the_size_on_the_page_about_installing_is_that_of_the_packages() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    stated = re.search(r"itself and its weights take (\d+) MB", page)
    assert stated
    packages = [ROOT / "toolkit" / "restore", *(ROOT / "plugins").glob("*/restore_*")]
    files = [file for package in packages for file in package.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files if file.suffix != ".pyc")
    assert size / 1e6 == pytest.approx(int(stated[1]), abs=1)


def test_every_public_name_on_the_python_page_has_a_docstring() -> None:
    page = (REFERENCE / "python.md").read_text(encoding="utf-8")
    modules = re.findall(r"automodule:: (\S+)", page)
    assert {"restore.interfaces", "restore.testing", "restore.pages", "restore.evaluation"} <= set(modules)
    for name in modules:
        module = importlib.import_module(name)
        for public in module.__all__:
            thing = getattr(module, public)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert inspect.getdoc(thing), f"{name}.{public} has no docstring"


def test_a_mark_with_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        generated.fill("<!-- generated: nonsense -->\n<!-- /generated -->")


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        COMMANDS["restore train"].make_context("restore train", ["--nonsense"])


def test_the_files_of_a_run_are_those_in_the_reference(configure: Configure, photos: Path) -> None:
    run = photos.parent / "run"
    train(configure(val=[photos], keep=["best:psnr"], steps=2), discover(), run)
    page = (REFERENCE / "file-formats.md").read_text(encoding="utf-8")
    table = page.partition("<!-- run -->")[2].partition("<!-- /run -->")[0]
    patterns = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    files = {file.relative_to(run).as_posix() for file in run.rglob("*") if file.is_file()}
    for pattern in patterns:
        assert fnmatch.filter(files, pattern), f"no file matches {pattern}"
    assert [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns)] == []
    with safe_open(run / "generator.safetensors", "pt") as weights:
        card = json.loads(weights.metadata()["restore"])
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float32}  # noqa: SIM118
    for key in card:
        assert f"`{key}`" in page.partition("## Weights")[2]
    for line in map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines()):
        for key in line.keys() - {"l1"}:
            assert f"`{key}`" in page, f"log.jsonl has '{key}'"
