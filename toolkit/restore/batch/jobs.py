"""One image of a batch: the job before, the outcome after, and who hears of it in between."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from restore.errors import RestoreError, escaped
from restore.inference.choosing import Choice
from restore.inference.restorer import Progress

__all__ = ["Existing", "Job", "Listener", "Outcome", "Status"]

Existing = Literal["overwrite", "skip", "error"]
"""What to do with a result that exists already."""

Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Job:
    """One image to restore, and where the result goes."""

    source: Path
    destination: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    >>> error = RestoreError("not an image", path="a.txt", hint="leave it out")
    >>> outcome = Outcome(Path("a.txt"), "failed", error=error)
    >>> outcome.reason
    'not an image; leave it out'
    """

    source: Path
    status: Status
    destination: Path | None = None
    skipped: str = ""
    """Why it was skipped."""
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    seconds: float = 0.0
    """Time spent on it, without waiting for others; an estimate for a planned one."""
    notes: tuple[str, ...] = ()
    """What the result lacks, or what a user may not expect of it."""
    source_size: tuple[int, int] | None = None
    """Width and height of a planned input in pixels."""
    memory: int | None = None
    """Estimated peak memory of the process in bytes, for a planned one."""
    choice: Choice | None = None
    """The model that was chosen for it, with what was found in it; also where its model was named and was
    trained on better images."""
    error: RestoreError | None = field(default=None, compare=False, repr=False)
    """Why it failed."""

    @property
    def reason(self) -> str:
        """Why it failed or was skipped, without the name of the input."""
        if self.error is None:
            return self.skipped
        if self.error.path is not None and Path(self.error.path) != self.source:
            return str(self.error)
        return f"{self.error.problem}{'; ' if self.error.hint else ''}{self.error.hint}"

    @property
    def sentence(self) -> str:
        """One line about a result that exists or is planned."""
        if self.status == "skipped":
            return escaped(self.skipped)
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        result = escaped(str(self.destination))
        if self.status == "done":
            return f"{result}  {size}  {self.seconds:.1f} s"
        before = f"{self.source_size[0]}x{self.source_size[1]}" if self.source_size else ""
        mebibytes = (self.memory or 0) / 2**20
        chosen = f"  {self.choice.sentence}" if self.choice else ""
        return (
            f"{escaped(str(self.source))}  {before}  ->  {result}  {size}  "
            f"about {self.seconds:.1f} s, {mebibytes:,.0f} MiB{chosen}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-serializable dict."""
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
        if self.choice is not None:
            content["choice"] = asdict(self.choice)
        return content


class Listener:
    """Hears what happens while a batch runs; this one ignores it. Override what is of interest."""

    def restoring(self, job: Job) -> AbstractContextManager[Progress | None]:  # noqa: ARG002
        """Enter while the network works on a job; the value is called with the fraction that is done."""
        return nullcontext()

    def note(self, job: Job, text: str) -> None:
        """Receive what a user should know at once, such as that a job waits for another process."""
