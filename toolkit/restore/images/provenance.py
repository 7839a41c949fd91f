"""The provenance of a result, which is stored in its file, so that finished results are recognized."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from restore.images import xmp
from restore.images.formats import GIF, PNG, format_of
from restore.images.opening import opened_header

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KEYWORD", "Provenance", "read_provenance", "stores_provenance"]

KEYWORD = "restore:provenance"
"""What begins the text in PNG and GIF."""


@dataclass(frozen=True)
class Provenance:
    """Two results with the same provenance are the same picture.

    >>> made = Provenance("e3b0", "enhancenet:pat", "9f86", (("scale", "4"),), "0.1.0")
    >>> made == Provenance("e3b0", "enhancenet:pat", "9f86", (("scale", "4"),), "0.1.0")
    True
    """

    source: str
    """SHA-256 of the bytes of the file that was restored."""
    model: str
    """``NAME:WEIGHTS`` without folders, so that a picture tells nothing of the machine that made it."""
    weights: str
    """SHA-256 of the weights; empty for a model without."""
    settings: tuple[tuple[str, str], ...]
    """Name and value of everything else that the pixels depend on, sorted by name: scale, precision, ..."""
    version: str
    """Of restorekit."""
    estimated: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Name and value of the numbers that were estimated for the network. They follow from the rest, so they
    are not compared."""

    def to_text(self) -> str:
        """One line of JSON in ASCII."""
        content = {**asdict(self), "settings": dict(self.settings), "estimated": dict(self.estimated)}
        if not self.estimated:
            del content["estimated"]
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Provenance | None:
        """Parse what `to_text` returned; ``None`` if `text` is not valid."""
        try:
            content: Any = json.loads(text)
            settings, estimated = (
                tuple(sorted((str(name), str(value)) for name, value in pairs.items()))
                for pairs in (content.pop("settings"), content.pop("estimated", {}))
            )
            found = cls(settings=settings, estimated=estimated, **content)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        texts = (found.source, found.model, found.weights, found.version)
        return found if all(isinstance(text, str) for text in texts) else None


def stores_provenance(path: Path) -> bool:
    """Whether the format that the suffix of `path` names has a place for the provenance.

    >>> from pathlib import Path
    >>> stores_provenance(Path("a.jpg")), stores_provenance(Path("a.bmp"))
    (True, False)
    """
    form = format_of(path)
    return form in (PNG, GIF) or "xmp" in form.carries


def read_provenance(path: Path) -> Provenance | None:
    """Read the provenance from the header of a file; ``None`` without one, or if it is no image."""
    try:
        with opened_header(path) as image:
            info = image.info
            packet, comment = info.get("xmp"), info.get("comment", b"")
            text = info.get(KEYWORD) or (xmp.provenance_in(packet) if isinstance(packet, bytes) else None)
            if text is None and isinstance(comment, bytes) and comment.startswith(KEYWORD.encode()):
                text = comment.decode(errors="replace").removeprefix(KEYWORD)
    except Exception:  # whatever is wrong with it, it was not made by us, or it has to be made again
        return None
    return Provenance.from_text(text) if isinstance(text, str) else None
