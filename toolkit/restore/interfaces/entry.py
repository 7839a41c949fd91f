"""The fields and checks that all entries share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from restore.errors import EntryError

__all__ = ["Extra", "Named"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Named:
    """The fields that every entry has."""

    name: str
    """How users refer to it: lowercase letters, digits, ``-``, ``_`` and ``.``."""
    summary: str
    """What it is, in one line, for ``restore list``."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise EntryError(
                f"the name {self.name!r} is not valid",
                hint="use lowercase letters, digits, '-', '_' and '.', and start with a letter or digit",
            )
        if not self.summary.strip():
            raise EntryError(f"'{self.name}' has no summary", hint="describe it in one line")


@dataclass(frozen=True)
class Extra:
    """An optional dependency of a plugin: without `module` the plugin is unavailable, not broken.

    >>> Extra("spandrel", "pip install 'restorekit[spandrel]'").module
    'spandrel'
    """

    module: str
    """Import name that must be found, such as ``spandrel``."""
    install: str
    """The command that installs it, such as ``pip install 'restorekit[spandrel]'``."""
