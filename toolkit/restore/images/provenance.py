"""What made a picture: written into its file, read back to know whether the work is done already."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Provenance"]


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
