"""The parts of the reference that the program itself says, as Markdown: commands, configuration, hooks.

A page marks the place with ``<!-- generated: commands -->``; `fill` puts the part there when the site is
built, so that it cannot differ from the program. What follows up to ``<!-- /generated -->`` is for readers of
the page itself, and goes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import typer
import typer.main
from pydantic.fields import FieldInfo

from restore import hookspecs
from restore.cli import app
from restore.cli.commands import Deferred
from restore.config import TrainingConfig
from restore.registry import KINDS

__all__ = ["PARTS", "commands", "configuration", "entries", "entry_names", "fill", "hooks", "walk"]

_MARK = re.compile(r"<!-- generated: (\w+) -->(?:.*?<!-- /generated -->)?", re.DOTALL)


def fill(page: str) -> str:
    """`page` with its generated parts.

    Raises:
        KeyError: a mark names a part that there is not.
    """
    return _MARK.sub(lambda mark: PARTS[mark[1]](), page)


def walk() -> Iterator[tuple[str, Any]]:
    """Each command of the program with its whole name, such as ``restore plugin new``."""
    yield from _walk("restore", typer.main.get_command(app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    command = command.load() if isinstance(command, Deferred) else command
    yield name, command
    for short, each in getattr(command, "commands", {}).items():
        yield from _walk(f"{name} {short}", each)


def commands() -> str:
    """A section for each command: usage, what it does, every argument and option."""
    return "\n\n".join(_command(name, command) for name, command in walk())


def _command(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {name}", f"```text\n{name} {usage}\n```", _told(command.help or "")]
    parts.append(f"```{{program}} {name}\n```")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record:  # hidden ones have none
            left, meaning = record
            meaning = re.sub(r"\[([^][]*)\]$", r"*\1*", _told(meaning))  # its default or limits
            parts.append(f"````{{option}} {left}\n{meaning}\n````")
    return "\n\n".join(parts)


def _told(text: str) -> str:
    """What the program says in plain text, with its options as code."""
    return re.sub(r"(?<![\w-])(--[a-z][\w-]*)", r"`\1`", inspect.cleandoc(text))


def configuration() -> str:
    """Each field of a training's configuration: type, default, meaning with its unit."""
    return "\n\n".join(_field(name, field) for name, field in TrainingConfig.model_fields.items())


def _field(name: str, field: FieldInfo) -> str:
    meaning = str(field.description)
    return (
        f"````{{confval}} {name}\n:type: {_type(field)}\n:default: {_default(field)}\n\n"
        f"{meaning[0].upper()}{meaning[1:]}.\n````"
    )


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _type(field: FieldInfo) -> str:
    shown = str(field.annotation) if get_args(field.annotation) else getattr(field.annotation, "__name__", "")
    shown = re.sub(r"Annotated\[(\w+), .*?\]\)\]", r"\1", re.sub(r"\b(typing|pathlib|_local)\.", "", shown))
    limits = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in _SIGNS.items()
        if hasattr(limit, name)
    ]
    return ", ".join([f"`{shown}`", *limits])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none, it has to be given"
    if field.default_factory is not None:
        return "computed, see below"
    return "left out" if field.default is None else f"`{field.default!r}`".replace("'", '"')


def entries() -> dict[str, type[Any]]:
    """Each hook and the class of what it returns."""
    return {kind.hook: kind.entry for kind in KINDS}


def hooks() -> str:
    """A section for each hook: what it brings, and the class of its entries with all fields."""
    parts = []
    for name, entry in entries().items():
        function = getattr(hookspecs, name)
        parts += [
            f"## {name}",
            f"```python\n@hookimpl\ndef {name}() -> Sequence[{entry.__name__}]: ...\n```",
            inspect.cleandoc(function.__doc__ or ""),
            f"```{{eval-rst}}\n.. autoclass:: restore.interfaces.{entry.__name__}\n```",
        ]
    return "\n\n".join(parts)


def entry_names() -> str:
    """The classes that are described beside their hooks, and so nowhere else."""
    return ", ".join(entry.__name__ for entry in entries().values())


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "entry_names": entry_names,
    "hooks": hooks,
}
