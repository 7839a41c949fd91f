"""A new plugin: a whole distribution, copied from the template beside this file.

The template is a plugin that works, called ``my-method``; only its names are changed.
"""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from pathlib import Path

from restore.errors import UsageError
from restore.files import atomic_folder
from restore.registry import KINDS, Registry

__all__ = ["NewPlugin", "name_of", "write"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = "restore-"
_TEMPLATE = "my-method"


class NewPlugin(str):
    """The name of a plugin and of what it brings, such as ``my-method``."""

    __slots__ = ()

    @property
    def distribution(self) -> str:
        """What pip installs, such as ``restore-my-method``."""
        return f"{_PREFIX}{self}"

    @property
    def package(self) -> str:
        """What Python imports, such as ``restore_my_method``."""
        return self.distribution.replace("-", "_")


def name_of(text: str, registry: Registry) -> NewPlugin:
    """Check the name of a plugin that is to be written.

    Args:
        text: as for a distribution (PEP 508): letters and digits, in words parted by ``-``, ``_`` or ``.``.
            A leading ``restore-`` is left away.
        registry: what there is already.

    Raises:
        UsageError: the name is no name, or something that is installed has it.
    """
    name = re.sub(r"[-_.]+", "-", text).lower().removeprefix(_PREFIX)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{text}' cannot be the name of a plugin: use letters a to z and digits, in words parted by "
            f"'-', such as {_TEMPLATE}"
        )
    for kind in KINDS:
        for taken in (name, f"{name}-loss"):
            if taken in registry.catalog(kind):
                owner = registry.catalog(kind).owner(taken).owner
                raise UsageError(
                    f"there is a {kind.name} '{taken}' already, of plugin {owner}: choose a new name"
                )
    if any(status.plugin.name == name for status in registry.plugins):
        raise UsageError(f"there is a plugin '{name}' already: choose a new name")
    return NewPlugin(name)


def write(name: NewPlugin, folder: Path) -> Path:
    """Write the distribution, whole or not at all.

    Args:
        name: from `name_of`.
        folder: where to make the folder of the distribution, called as the distribution.

    Returns:
        The new folder.

    Raises:
        UsageError: it exists already.
        OSError: it cannot be written.
    """
    place = folder / name.distribution
    if place.exists() or place.is_symlink():
        raise UsageError(f"'{place}' exists already: give --dir DIR, or choose another name")
    with as_file(files(__name__) / "template") as template, atomic_folder(place) as new:
        for file in sorted(template.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                copy = new / _renamed(str(file.relative_to(template)), name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(_renamed(file.read_text(encoding="utf-8"), name), encoding="utf-8")
    return place


def _renamed(text: str, name: NewPlugin) -> str:
    return text.replace(_TEMPLATE, name).replace(_TEMPLATE.replace("-", "_"), name.replace("-", "_"))
