"""Names and folders of results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from restore.errors import UsageError
from restore.images import WRITE_SUFFIXES

__all__ = ["Naming"]


@dataclass(frozen=True)
class Naming:
    """Where results go and what they are called.

    Raises:
        UsageError: the format is unknown, or the suffix would change the folder.

    Example:
        >>> Naming("_x4", format="png").beside(Path("photos/a.jpg"), only=True).as_posix()
        'photos/a_x4.png'
        >>> Naming("_x4", format="png", keep_suffix=True).beside(Path("a.jpg"), only=True).as_posix()
        'a.jpg_x4.png'
    """

    default_suffix: str
    """Added to the name of a file, or to that of a folder, when the result goes next to it."""
    out: Path | None = None
    """A file, when there is one input file and this has the suffix of an image; else a folder."""
    suffix: str | None = None
    """Replaces the default; in `out`, names are kept unless this is given."""
    format: str | None = None
    """Suffix of an image format, such as ``png``; `None` keeps that of each input where it can be written."""
    keep_suffix: bool = False
    """Keep the suffix of the input in the name, so that ``a.jpg`` and ``a.png`` have different results."""

    def __post_init__(self) -> None:
        """Check format and suffix."""
        if self.format is not None and self.ending not in WRITE_SUFFIXES:
            known = ", ".join(sorted(name[1:] for name in WRITE_SUFFIXES))
            raise UsageError(
                f"cannot write the format '{self.format}'", hint=f"set `format` to one of {known}"
            )
        if self.suffix and set(self.suffix) & {"/", os.sep, "\0"}:
            raise UsageError(
                f"the suffix '{self.suffix}' is not part of a name", hint="name folders with `out`"
            )
        if self.format and self.out and self.names_a_file() and self.out.suffix.lower() != self.ending:
            raise UsageError(
                f"the file name '{self.out}' and the format '{self.format}' contradict each other",
                hint="omit `format`",
            )

    @property
    def ending(self) -> str:
        """The file suffix of the requested format."""
        return f".{(self.format or '').lower().removeprefix('.')}"

    def names_a_file(self) -> bool:
        """Whether `out` names an image file and not a folder."""
        out = self.out
        return out is not None and out.suffix.lower() in WRITE_SUFFIXES and not out.is_dir()

    def beside(self, file: Path, *, only: bool) -> Path:
        """The result of a file.

        Args:
            file: the input.
            only: it is the only input, so that `out` may name its result.

        Raises:
            UsageError: `out` has a suffix of no image format that can be written.
        """
        out = self.out
        if out is None:
            return file.with_name(self._name(file, self.default_suffix))
        if only and not out.is_dir() and out.suffix:
            if out.suffix.lower() not in WRITE_SUFFIXES:
                known = ", ".join(sorted(WRITE_SUFFIXES))
                raise UsageError(f"cannot write '{out.suffix}' files", path=out, hint=f"use one of {known}")
            return out
        return out / self._name(file, "")

    def folder(self, folder: Path) -> Path:
        """The folder for the results of a folder."""
        if self.out is not None:
            return self.out
        real = Path(os.path.realpath(folder))  # the name of "." and of "a/.." too
        name = f"{real.name}{self.default_suffix if self.suffix is None else self.suffix}"
        return (
            folder.with_name(name)
            if folder.name not in ("", "..")
            else Path(os.path.relpath(real.parent / name))
        )

    def inside(self, relative: Path) -> Path:
        """The result of a file in a folder, relative to the folder of the results."""
        return relative.with_name(self.name_of(relative))

    def name_of(self, file: PurePath) -> str:
        """The name of the result of a file in a folder."""
        return self._name(file, "", plain=self.out is None)

    def _name(self, file: PurePath, default: str, *, plain: bool = False) -> str:
        suffix = default if self.suffix is None or plain else self.suffix
        written = file.suffix if file.suffix.lower() in WRITE_SUFFIXES else ".png"
        ending = self.ending if self.format else written
        if self.keep_suffix and (suffix or ending != file.suffix):
            return f"{file.name}{suffix}{ending}"
        return f"{file.stem}{suffix}{ending}"
