"""One image's way through a batch: what is to be done, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Existing", "Job", "Outcome", "Status"]

Existing = Literal["overwrite", "skip", "error"]
"""What to do with an output that is there already."""

Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Job:
    """One image to restore, and where the result goes."""

    source: Path
    destination: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    source: Path
    status: Status
    destination: Path | None = None
    reason: str = ""
    """Why it failed or was skipped."""
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    seconds: float = 0.0
    """Spent on it, without what it waited for others; an estimate if it is only planned."""
    notes: tuple[str, ...] = ()
    """What the result does not carry any more, or got in another way than one might think."""
    source_size: tuple[int, int] | None = None
    """Width and height of a planned input in pixels."""
    memory: int | None = None
    """Bytes that the whole program will about hold at its fullest, if it is only planned."""
    error: Exception | None = field(default=None, compare=False, repr=False)
    """What was raised when it failed."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.status == "skipped":
            return self.reason
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        if self.status == "done":
            return f"{self.destination}  {size}  {self.seconds:.1f} s"
        before = f"{self.source_size[0]}x{self.source_size[1]}" if self.source_size else ""
        mebibytes = (self.memory or 0) / 2**20
        return (
            f"{self.source}  {before}  ->  {self.destination}  {size}  "
            f"about {self.seconds:.1f} s, {mebibytes:,.0f} MiB"
        )

    @property
    def explanation(self) -> str:
        """Why it failed, with the name of the file."""
        named = str(self.source) in self.reason
        return self.reason if named else f"{self.source}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        content: dict[str, Any] = {
            "source": str(self.source),
            "status": self.status,
            "destination": str(self.destination) if self.destination else None,
            "reason": self.reason,
            "size": self.size,
            "seconds": self.seconds,
            "notes": self.notes,
        }
        if self.status == "planned":
            content |= {"source_size": self.source_size, "memory": self.memory}
        return content
