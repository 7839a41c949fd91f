"""What all entries of the registry have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass

from restore.errors import EntryError

__all__ = ["Extra", "Named"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Named:
    """What every entry of the registry has: a name that the command line can carry, and a summary."""

    name: str
    summary: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise EntryError(
                f"the name {self.name!r} is not usable: begin with a lowercase letter or digit and go on "
                "with lowercase letters, digits, '-', '_' or '.'"
            )
        if not self.summary.strip():
            raise EntryError(f"'{self.name}' has no summary: say in one line what it is")


@dataclass(frozen=True)
class Extra:
    """An optional dependency of a plugin: without `module` the plugin is unavailable, not broken."""

    module: str
    """Import name that must be found, such as ``spandrel``."""
    install: str
    """The command that installs it, such as ``pip install 'restorekit[spandrel]'``."""
