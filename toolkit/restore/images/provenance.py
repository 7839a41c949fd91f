"""What made a picture: written into its file, read back to know whether the work is done already."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["KEYWORD", "Provenance", "read_provenance"]

KEYWORD = "restore:provenance"
"""Of the PNG text that holds it."""


@dataclass(frozen=True)
class Provenance:
    """Two results with the same provenance are the same picture."""

    source: str
    """SHA-256 of the bytes of the file that was restored."""
    model: str
    """``NAME:WEIGHTS``, as it was asked for."""
    weights: str
    """SHA-256 of the weights; empty for a model without."""
    settings: tuple[tuple[str, str], ...]
    """Name and value of everything else that the pixels depend on, sorted by name: scale, precision, ..."""
    version: str
    """Of restorekit."""

    def to_text(self) -> str:
        """One line of JSON in ASCII."""
        return json.dumps({**asdict(self), "settings": dict(self.settings)}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Provenance | None:
        """The inverse; ``None`` of what is not the text of a provenance."""
        try:
            content: Any = json.loads(text)
            settings = tuple(
                sorted((str(name), str(value)) for name, value in content.pop("settings").items())
            )
            found = cls(settings=settings, **content)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        texts = (found.source, found.model, found.weights, found.version)
        return found if all(isinstance(text, str) for text in texts) else None


def read_provenance(path: Path) -> Provenance | None:
    """What made a picture, by its file; ``None`` if the file does not tell or cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return None
            while len(head := file.read(8)) == 8:
                length, kind = struct.unpack(">I4s", head)
                if kind == b"IDAT":
                    return None
                keyword, _, text = file.read(length).partition(b"\0")
                if kind == b"tEXt" and keyword == KEYWORD.encode():
                    return Provenance.from_text(text.decode("latin-1"))
                file.read(4)
    except OSError:
        return None
    return None
