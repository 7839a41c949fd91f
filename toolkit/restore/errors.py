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
    │   ├── HookError             a hook is misspelled, unmarked, missing, or raised
    │   ├── EntryError            an entry is malformed
    │   ├── DuplicateEntryError   two plugins claim one name
    │   └── DuplicatePluginError  two distributions claim one entry point
    ├── ImageError                an image file cannot be read or written
    ├── WeightsError              a weights file is damaged or belongs to something else
    └── TrainingError             a run cannot start, go on or be resumed

Every error carries its parts: `problem` (what went wrong, with the value), `path` (the file or folder
concerned, if any) and `hint` (what to do next). ``str(error)`` joins them into one sentence.

Core and plugins do not know the command line. They name a parameter of the Python interface in backticks,
as in ``hint="set `existing` to 'overwrite'"``, and the command line shows the option of that name.

    >>> error = ImageError("not an image", path="holiday/notes.txt", hint="omit it")
    >>> str(error)
    'holiday/notes.txt: not an image; omit it'
    >>> error.problem, error.hint
    ('not an image', 'omit it')
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import Any

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
    "escaped",
    "first_line",
    "in_one_line",
    "nearest",
    "shortened",
]


class RestoreError(Exception):
    """The root: catch this to catch everything that `restore` raises on purpose.

    Args:
        problem: what went wrong, with the value concerned; no capital letter, no period at the end.
        path: the file or folder concerned.
        hint: what to do next, as an imperative.
    """

    exit_code = 1

    def __init__(self, problem: str, *, path: os.PathLike[str] | str | None = None, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        where = "" if self.path is None else f"{escaped(os.fspath(self.path))}: "
        return f"{where}{self.problem}{'; ' if self.hint else ''}{self.hint}"

    def rename(self, old: os.PathLike[str] | str, new: os.PathLike[str] | str) -> None:
        """Replace a path by the name under which a user knows it.

        >>> error = ImageError("/tmp/x.png has no pixels", path="/tmp/x.png")
        >>> error.rename("/tmp/x.png", "holiday.png")
        >>> str(error)
        'holiday.png: holiday.png has no pixels'
        """
        self.problem = self.problem.replace(escaped(os.fspath(old)), escaped(os.fspath(new)))
        if self.path is not None and os.fspath(self.path) == os.fspath(old):
            self.path = new

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments are not part of `args`: without this an error loses its path between processes.
        # The rest of its attributes are its notes.
        return _rebuilt, (type(self), self.problem, self.path, self.hint), self.__dict__


class UsageError(RestoreError):
    """The request itself is wrong: repeating it cannot help."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """No plugin provides that name.

    >>> from restore.registry import discover
    >>> try:
    ...     discover().models["enhancnet"]
    ... except UnknownNameError as error:
    ...     "enhancenet" in str(error)
    True
    """


class OptionsError(UsageError):
    """An option is unknown, missing or has a wrong value.

    >>> str(OptionsError("model 'srcnn' has no option 'width'", hint="omit it"))
    "model 'srcnn' has no option 'width'; omit it"
    """


class DataError(UsageError):
    """A folder of images cannot be used.

    >>> str(DataError("there is no image in this folder", path="photos"))
    'photos: there is no image in this folder'
    """


class PluginError(RestoreError):
    """One plugin is broken.

    >>> from restore.registry import discover
    >>> [str(error) for error in discover().problems]  # of the broken plugins: none
    []
    """


class PluginImportError(PluginError):
    """A plugin raised while it was imported."""


class ContractVersionError(PluginError):
    """A plugin was written for another version of the contract."""


class HookError(PluginError):
    """A hook is misspelled, unmarked or missing, or raised when it was called."""


class EntryError(PluginError):
    """An entry is malformed."""


class DuplicateEntryError(PluginError):
    """Two plugins claim one name."""


class DuplicatePluginError(PluginError):
    """Two distributions claim one entry point."""


class ImageError(RestoreError):
    """An image file cannot be read or written.

    >>> str(ImageError("the file is truncated", path="a.jpg", hint="copy it again"))
    'a.jpg: the file is truncated; copy it again'
    """


class WeightsError(RestoreError):
    """A weights file is damaged or belongs to something else.

    >>> str(WeightsError("the file is damaged", path="model.safetensors", hint="download it again"))
    'model.safetensors: the file is damaged; download it again'
    """


class TrainingError(RestoreError):
    """A run cannot start, go on or be resumed.

    >>> str(TrainingError("there is no checkpoint", path="runs/first"))
    'runs/first: there is no checkpoint'
    """


def escaped(text: str) -> str:
    r"""`text` with control characters, bidirectional overrides and undecodable bytes as backslash escapes.

    File names are foreign input: written to a terminal, a page or a log as they are, they could move the
    cursor, forge lines or fail to encode.

        >>> escaped("a\nb\x1b[31m.png")
        'a\\nb\\x1b[31m.png'
        >>> escaped("Straße 東京.png")
        'Straße 東京.png'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """The sentence `Did you mean 'x'?` with a leading space, or nothing when no known word is close.

    Example:
        >>> nearest("bicubik", ["bicubic", "srcnn"])
        " Did you mean 'bicubic'?"
    """
    guess = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{guess[0]}'?" if guess else ""


def first_line(error: Exception) -> str:
    r"""The first two lines with content, shortened: libraries put their advice in the lines below.

    Example:
        >>> first_line(ValueError("the file is damaged\n\nSee the manual\nof the format"))
        'the file is damaged See the manual'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(" ".join(lines[:2])) if lines else type(error).__name__


def shortened(text: str, length: int = 300) -> str:
    """`text`, of which the end is left out beyond `length` characters: files can hold values of any size.

    >>> shortened("1, 1, 1, 1, 1", 6)
    '1, 1, ...'
    """
    return text if len(text) <= length else f"{text[:length]}..."


def in_one_line(error: BaseException) -> str:
    r"""The message of an error on one line.

    Example:
        >>> in_one_line(ValueError("the file\nis damaged"))
        'the file is damaged'
    """
    return " ".join(str(error).split())


def _rebuilt(kind: type[RestoreError], problem: str, path: Any, hint: str) -> RestoreError:
    return kind(problem, path=path, hint=hint)
