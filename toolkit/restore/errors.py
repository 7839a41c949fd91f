"""Everything that can go wrong, as one tree.

::

    RestoreError                  something failed; exit code 1
    ├── UsageError                the request itself is wrong; exit code 2
    │   ├── UnknownNameError      no plugin provides that name
    │   ├── OptionsError          an option is unknown, missing or has a wrong value
    │   └── DataError             a folder of images cannot be used
    ├── PluginError               one plugin is broken; the others go on
    │   ├── PluginImportError     it raised while it was imported
    │   ├── ContractVersionError  it was written for another version of the contract
    │   ├── HookError             a hook is misspelt, unmarked, missing, or raised
    │   ├── EntryError            an entry is malformed
    │   ├── DuplicateEntryError   two plugins claim one name
    │   └── DuplicatePluginError  two distributions claim one entry point
    ├── ImageError                an image file cannot be read or written
    ├── WeightsError              a weights file is damaged or belongs to something else
    └── TrainingError             a run cannot start, go on or be resumed

A message is one sentence for the person at the keyboard: what was wrong, with which value, and what
to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ContractVersionError",
    "DataError",
    "DuplicateEntryError",
    "DuplicatePluginError",
    "EntryError",
    "HookError",
    "ImageError",
    "OptionsError",
    "PluginError",
    "PluginImportError",
    "RestoreError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "WeightsError",
    "first_line",
    "in_one_line",
    "nearest",
]


class RestoreError(Exception):
    """The root: catch this to catch everything that `restore` raises on purpose."""

    exit_code = 1


class UsageError(RestoreError):
    """The request itself is wrong: repeating it cannot help."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """No plugin provides that name."""

    __str__ = Exception.__str__  # KeyError would print the sentence in quotation marks


class OptionsError(UsageError):
    """An option is unknown, missing or has a wrong value."""


class DataError(UsageError):
    """A folder of images cannot be used."""


class PluginError(RestoreError):
    """One plugin is broken."""


class PluginImportError(PluginError):
    """A plugin raised while it was imported."""


class ContractVersionError(PluginError):
    """A plugin was written for another version of the contract."""


class HookError(PluginError):
    """A hook is misspelt, unmarked or missing, or raised when it was called."""


class EntryError(PluginError):
    """An entry is malformed."""


class DuplicateEntryError(PluginError):
    """Two plugins claim one name."""


class DuplicatePluginError(PluginError):
    """Two distributions claim one entry point."""


class ImageError(RestoreError):
    """An image file cannot be read or written."""


class WeightsError(RestoreError):
    """A weights file is damaged or belongs to something else."""


class TrainingError(RestoreError):
    """A run cannot start, go on or be resumed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The sentence `Did you mean 'x'?` with a leading space, or nothing when no known word is close."""
    guess = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{guess[0]}'?" if guess else ""


def first_line(error: Exception) -> str:
    """The first two lines with content: libraries put their advice in the lines below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def in_one_line(error: BaseException) -> str:
    """All that an error says, on one line."""
    return " ".join(str(error).split())
