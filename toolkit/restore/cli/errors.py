"""Errors and messages as the command line shows them.

The core names parameters of the Python interface in backticks; here they become the options of the running
command::

    set `existing` to 'overwrite'     ->  set --existing to 'overwrite'
    pass `tile=256`                   ->  pass --tile 256
    pass `check=True`                 ->  pass --check
    `ema` is 2                        ->  `ema` is 2, when the command has no such option
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperOption

from restore.errors import RestoreError, escaped, in_one_line

__all__ = ["Command", "exit_code", "in_options", "sentence"]

_PARAMETER = re.compile(r"`(?P<name>[a-z_]+)(?:=(?P<value>[^`]+))?`")

_options: dict[str, str] = {}
"""Parameter -> option of the command that runs, such as ``{"max_pixels": "--max-pixels"}``."""


class Command(TyperCommand):
    """A command whose messages name its options."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        _options.clear()
        _options.update(_names(self.params))
        return super().invoke(ctx)


def sentence(error: Exception) -> str:
    """What to print for an error, on one line.

    >>> sentence(RestoreError("not an image", path="notes.txt", hint="pass an image"))
    'notes.txt: not an image; pass an image'
    >>> sentence(OSError(28, "No space left on device", "a.png"))
    'a.png: No space left on device; free some space, or choose another folder'
    """
    if isinstance(error, RestoreError):
        return in_options(str(error))
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return escaped(f"{name}{error.strerror or error}; free some space, or choose another folder")
    return escaped(
        f"unexpected {type(error).__name__}: {in_one_line(error)}; check the installation with 'restore "
        f"doctor', then run again with 'restore --debug' and report it"
    )


def exit_code(error: Exception) -> int:
    """The exit code of a command that ends with `error`: 2 for wrong usage, else 1."""
    return error.exit_code if isinstance(error, RestoreError) else 1


def in_options(text: str, options: Mapping[str, str] = _options) -> str:
    """`text` on one line, control characters escaped, with options in place of parameters in backticks.

    Args:
        text: a message.
        options: parameter -> option; those of the running command when omitted.

        >>> in_options("reduce `batch_size` or `ema`", {"batch_size": "--batch-size"})
        'reduce --batch-size or `ema`'
        >>> in_options("pass `check=True` or `tile=256`", {"check": "--check", "tile": "--tile"})
        'pass --check or --tile 256'
    """

    def option(match: re.Match[str]) -> str:
        flag, value = options.get(match["name"]), match["value"]
        if flag is None:
            return match[0]
        return flag if value in (None, "True") else f"{flag} {value.strip(chr(39))}"

    return escaped(_PARAMETER.sub(option, text))


def _names(parameters: Sequence[Any]) -> dict[str, str]:
    """Parameter -> what the command line calls it; a repeatable option also by its plural."""
    names = {}
    for parameter in parameters:
        if not isinstance(parameter, TyperOption):
            names[parameter.name] = parameter.metavar or parameter.name
            continue
        flag = max(parameter.opts, key=len)
        name = flag.removeprefix("--").replace("-", "_")
        names |= dict.fromkeys([parameter.name, name, *([f"{name}s"] if parameter.multiple else [])], flag)
    return names
