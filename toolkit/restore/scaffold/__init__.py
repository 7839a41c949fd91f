"""Creation of a new plugin as a complete distribution.

The template in this package is a working plugin, ``my-method``; only its name is replaced.
"""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from pathlib import Path

from restore.errors import UsageError, escaped
from restore.files import atomic_folder
from restore.registry import KINDS, Registry

__all__ = ["NewPlugin", "name_of", "write"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = "restore-"
_TEMPLATE = "my-method"


class NewPlugin(str):
    """Name of a plugin and of its entries, such as ``my-method``."""

    __slots__ = ()

    @property
    def distribution(self) -> str:
        """Name for pip, such as ``restore-my-method``."""
        return f"{_PREFIX}{self}"

    @property
    def package(self) -> str:
        """Name for Python's import, such as ``restore_my_method``."""
        return self.distribution.replace("-", "_")


def name_of(text: str, registry: Registry) -> NewPlugin:
    """Validate and normalize the name of a new plugin.

    Args:
        text: a name as for a distribution (PEP 508): letters and digits, in words separated by ``-``, ``_``
            or ``.``. A leading ``restore-`` is removed.
        registry: the installed plugins.

    Raises:
        UsageError: the name is not valid, or is used by an installed plugin or entry.
    """
    name = re.sub(r"[-_.]+", "-", text).lower().removeprefix(_PREFIX)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{escaped(text)}' is not a valid name for a plugin",
            hint=f"use letters a to z and digits, in words separated by '-', such as {_TEMPLATE}",
        )
    for kind in KINDS:
        for taken in (name, f"{name}-loss"):
            if taken in registry.catalog(kind):
                owner = registry.catalog(kind).owner(taken).owner
                raise UsageError(
                    f"there is a {kind.name} '{taken}' already, of plugin {owner}", hint="choose another name"
                )
    if any(status.plugin.name == name for status in registry.plugins):
        raise UsageError(f"there is a plugin '{name}' already", hint="choose another name")
    return NewPlugin(name)


def write(name: NewPlugin, folder: Path) -> Path:
    """Write the distribution. When this fails, nothing is left behind.

    Args:
        name: from `name_of`.
        folder: parent of the new folder, which gets the name of the distribution.

    Returns:
        The new folder.

    Raises:
        UsageError: the new folder exists already.
        OSError: it cannot be written.
    """
    place = folder / name.distribution
    if place.exists() or place.is_symlink():
        raise UsageError(
            "exists already", path=place, hint="set `dir` to another folder, or choose another name"
        )
    with as_file(files(__name__) / "template") as template, atomic_folder(place) as new:
        for file in sorted(template.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                copy = new / _renamed(str(file.relative_to(template)), name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(_renamed(file.read_text(encoding="utf-8"), name), encoding="utf-8")
    return place


def _renamed(text: str, name: NewPlugin) -> str:
    return text.replace(_TEMPLATE, name).replace(_TEMPLATE.replace("-", "_"), name.replace("-", "_"))
