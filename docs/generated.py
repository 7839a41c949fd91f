"""Write generated parts of pages, such as the reference of all commands: ``python docs/generated.py``.

The parts stand between ``<!-- generated: NAME -->`` and ``<!-- /generated -->``, as Markdown that can be read
in the repository. A test fails when they differ from the program.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, get_args

import typer
import typer.main
from pydantic.fields import FieldInfo

from restore import hookspecs, interfaces
from restore.cli import app
from restore.cli.commands import Deferred
from restore.config import TrainingConfig
from restore.inference.rules import rule as rule_of
from restore.registry import KINDS, discover

__all__ = ["PAGES", "PARTS", "commands", "configuration", "entries", "fill", "hooks", "rule", "walk"]

REFERENCE = Path(__file__).parent / "reference"
PAGES = (
    *(REFERENCE / name for name in ("command-line.md", "configuration.md", "hooks.md")),
    REFERENCE.with_name("explanation") / "choosing-a-model.md",
)
"""The pages with generated parts."""

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def fill(page: str) -> str:
    """Return the text of a page with its generated parts as they have to be.

    Raises:
        KeyError: a mark has an unknown name.
    """
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", page)


def walk() -> Iterator[tuple[str, Any]]:
    """Yield each command of the program with its full name, such as ``restore plugin new``."""
    yield from _walk("restore", typer.main.get_command(app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    command = command.load() if isinstance(command, Deferred) else command
    yield name, command
    for short, each in getattr(command, "commands", {}).items():
        yield from _walk(f"{name} {short}", each)


def commands() -> str:
    """Return a section for each command: usage, description, arguments and options."""
    return "\n\n".join(_command(name, command) for name, command in walk())


def _command(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    records = [parameter.get_help_record(context) for parameter in command.params]  # None: hidden
    options = "\n".join(f"- `{left}`: {_meaning(text)}" for left, text in filter(None, records))
    parts = [f"## {name}", f"```text\n{name} {usage}\n```", _prose(command.help or ""), options]
    return "\n\n".join(filter(None, parts))


def _meaning(text: str) -> str:
    """The help of an option with its default and limits in italics, all on one line."""
    return re.sub(r"\s*\[([^][]*)\]$", r" *(\1)*", _prose(" ".join(text.split())))


def _prose(text: str) -> str:
    """Help text as Markdown, with options and addresses of files as code."""
    return re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"`\1`", inspect.cleandoc(text)).replace("*", r"\*")


def configuration() -> str:
    """Return an entry for each field of the training configuration: type, limits, default, meaning."""
    return "\n".join(_field(name, field) for name, field in TrainingConfig.model_fields.items())


def _field(name: str, field: FieldInfo) -> str:
    meaning = str(field.description)
    return f"- `{name}`: {meaning[0].upper()}{meaning[1:]}. *({_type(field)}; {_default(field)})*"


def _type(field: FieldInfo) -> str:
    shown = str(field.annotation) if get_args(field.annotation) else getattr(field.annotation, "__name__", "")
    shown = re.sub(r"\b(typing|pathlib|_local|restore\.config\.training)\.", "", shown)
    shown = re.sub(r"Annotated\[(\w+), .*?\]\)\]", r"\1", shown)
    limits = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in _SIGNS.items()
        if hasattr(limit, name)
    ]
    return ", ".join([f"`{shown}`", *limits])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "computed"
    return "default: none" if field.default is None else f"default: `{field.default!r}`".replace("'", '"')


def entries() -> dict[str, type[Any]]:
    """Return the class of the entries that each hook returns."""
    return {kind.hook: kind.entry for kind in KINDS}


def hooks() -> str:
    """Return a section for each hook: its description, and the class of its entries with all fields."""
    parts = []
    for name, entry in entries().items():
        parts += [
            f"## {name}",
            f"```py\n@hookimpl\ndef {name}() -> Sequence[{entry.__name__}]: ...\n```",
            _docstring(getattr(hookspecs, name)),
            f"### {entry.__name__}",
            _docstring(entry),
            "\n".join(_attributes(entry)),
        ]
    parts += ["## What entries consist of"]
    for name in interfaces.__all__:
        thing = getattr(interfaces, name)
        if isinstance(thing, type) and thing not in entries().values():
            parts += [f"### {name}", _docstring(thing), "\n".join(_members(thing))]
    return "\n\n".join(filter(None, parts))


def _members(thing: type[Any]) -> Iterator[str]:
    """The fields of a dataclass, or the attributes and methods of a protocol."""
    if dataclasses.is_dataclass(thing):
        yield from _attributes(thing)
        return
    own, meanings = inspect.get_annotations(thing), _attribute_docstrings(thing)
    for name in (name for name in own if name in meanings):
        kind = getattr(own[name], "__forward_arg__", own[name])
        yield textwrap.indent(f"- `{name}: {kind}`: {meanings[name]}", "  ")[2:]
    for name, method in vars(thing).items() if Protocol in thing.__bases__ else ():
        if inspect.isfunction(method) and (name == "__call__" or not name.startswith("_")):
            shown = str(inspect.signature(method)).replace("'", "")
            yield textwrap.indent(f"- `{name}{shown}`: {_docstring(method)}", "  ")[2:]


def _attributes(entry: type[Any]) -> Iterator[str]:
    meanings = _attribute_docstrings(entry)
    for field in dataclasses.fields(entry):
        optional = (
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        )
        meaning = meanings.get(field.name, "")
        note = " (optional)" if optional else ""
        text = f"- `{field.name}: {field.type}`{note}" + (f": {meaning}" if meaning else "")
        yield textwrap.indent(text, "  ")[2:]


def _attribute_docstrings(entry: type[Any]) -> dict[str, str]:
    """Field -> the string below it in the source, that of a parent class where its own has none."""
    if not entry.__module__.startswith("restore."):
        return {}
    (node,) = ast.parse(inspect.getsource(entry)).body
    body = node.body if isinstance(node, ast.ClassDef) else []
    return _attribute_docstrings(entry.__bases__[0]) | {
        field.target.id: _markdown(inspect.cleandoc(text.value.value))
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def rule() -> str:
    """Return the tables by which ``auto`` chooses among the weights of the toolkit's own plugins."""
    parts = []
    for command, scale in (("restore upscale", None), ("restore clean", 1)):
        rows = rule_of(discover(), scale)
        columns = {
            "JPEG quality": [_from(row.quality) for row in rows],
            "noise": [_below(row.noise) for row in rows],
            "blur": [_below(row.blur) for row in rows],
            "model": [f"`{row.model}`" if row.model else "unchanged" for row in rows],
        }
        decisive = {name: cells for name, cells in columns.items() if set(cells) != {"any"}}
        lines = [list(decisive), ["---"] * len(decisive), *zip(*decisive.values(), strict=True)]
        parts += [f"`{command}`:", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts)


def _from(quality: int) -> str:
    return "any" if quality == 1 else f"{quality} to 100, or no JPEG"


def _below(limit: float) -> str:
    return "any" if math.isinf(limit) else f"below {limit:g}"


def _docstring(thing: Any) -> str:
    return _markdown(inspect.getdoc(thing) or "")


def _markdown(text: str) -> str:
    """A docstring as Markdown: literals in single backticks, literal blocks and examples fenced."""
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)
    text = re.sub(
        r"::\n\n((?:    .*(?:\n|$)|\n)+)", lambda block: f":\n\n{_fenced('py', block[1])}\n\n", text
    )
    example = r"^(?:Example:\n)?((?: *>>> .*)(?:\n.+)*)"
    return re.sub(example, lambda block: _fenced("pycon", block[1]), text, flags=re.MULTILINE).strip()


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{textwrap.dedent(code).strip()}\n```"


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "hooks": hooks,
    "rule": rule,
}
"""Name of a mark -> what writes the part."""


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
