"""One image of a batch: its job, its outcome, and the listener for its progress."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from restore.batch.urls import Url
from restore.errors import RestoreError, escaped
from restore.inference.choosing import Choice
from restore.inference.tiles import Progress

__all__ = ["AnyJob", "Existing", "Job", "Listener", "Outcome", "Status", "Transfer", "renamed"]

Existing = Literal["overwrite", "skip", "error"]
"""What to do with a result that exists already."""

Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Job:
    """One image to restore, and where the result goes.

    >>> Job(Path("photo.jpg"), Path("photo_x4.jpg")).destination.name
    'photo_x4.jpg'
    """

    source: Path
    destination: Path


@dataclass(frozen=True)
class Transfer:
    """An image in an object store to restore: downloaded, processed here, uploaded in one piece."""

    source: Url
    destination: Url
    name: str
    """Of the result, relative to the folder of all results."""
    stamp: str
    """Identifies source and settings of the result; see `restore.batch.stores.records`."""


AnyJob = Job | Transfer


@dataclass(frozen=True)
class Outcome:
    """The outcome for one input.

    >>> error = RestoreError("not an image", path="a.txt", hint="leave it out")
    >>> outcome = Outcome(Path("a.txt"), "failed", error=error)
    >>> outcome.reason
    'not an image; leave it out'
    """

    source: Path | Url
    status: Status
    destination: Path | Url | None = None
    skipped: str = ""
    """Why it was skipped."""
    size: tuple[int, int] | None = None
    """Width and height of the result in pixels."""
    seconds: float = 0.0
    """Processing time without waiting for other jobs; an estimate for a planned one."""
    notes: tuple[str, ...] = ()
    """Sentences about what the result lacks or what a user may not expect."""
    source_size: tuple[int, int] | None = None
    """Width and height of a planned input in pixels."""
    memory: int | None = None
    """Estimated peak memory of the process in bytes, for a planned one."""
    choice: Choice | None = None
    """The model that was chosen for it, with what was found in it; also where its model was named and was
    trained on better images."""
    transfer: Transfer | None = field(default=None, repr=False)
    """The transfer, for an image in an object store."""
    stored: str = field(default="", repr=False)
    """The identity of the result in its store."""
    error: RestoreError | None = field(default=None, compare=False, repr=False)
    """Why it failed."""

    @property
    def reason(self) -> str:
        """Why it failed or was skipped, without the name of the input."""
        if self.error is None:
            return self.skipped
        if self.error.path is not None and os.fspath(self.error.path) != os.fspath(self.source):
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
        if self.source_size is None:
            return f"{escaped(str(self.source))}  ->  {result}"
        before = f"{self.source_size[0]}x{self.source_size[1]}"
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


def renamed(outcome: Outcome, job: Job, name: AnyJob) -> Outcome:
    """Replace the paths of `job` in an outcome by those of `name`, for files that were renamed.

    >>> error = RestoreError("not an image", path="/tmp/a.txt")
    >>> outcome = Outcome(Path("/tmp/a.txt"), "failed", error=error)
    >>> renamed(outcome, Job(Path("/tmp/a.txt"), Path("/tmp/b.png")), Job(Path("a.txt"), Path("b.png"))).error
    RestoreError('not an image')
    >>> str(error)
    'a.txt: not an image'
    """
    pairs = ((job.source, name.source), (job.destination, name.destination))
    error, texts = outcome.error, [outcome.skipped, *outcome.notes]
    for old, new in pairs:
        texts = [text.replace(escaped(str(old)), escaped(str(new))) for text in texts]
        if error is not None:
            error.rename(old, new)
    return replace(
        outcome,
        source=name.source,
        destination=outcome.destination and name.destination,
        skipped=texts[0],
        notes=tuple(texts[1:]),
    )


class Listener:
    """Callbacks while a batch runs; each does nothing by default. Override those that you need.

    >>> class Notes(Listener):
    ...     def note(self, job: AnyJob, text: str) -> None:
    ...         print(f"{job.source}: {text}")
    >>> Notes().note(Job(Path("a.png"), Path("a_x4.png")), "waiting for another process")
    a.png: waiting for another process
    """

    def restoring(self, job: AnyJob) -> AbstractContextManager[Progress | None]:  # noqa: ARG002
        """Enter while the network works on a job; the value is called with the fraction that is done."""
        return nullcontext()

    def note(self, job: AnyJob, text: str) -> None:
        """Receive what a user should know at once, such as that a job waits for another process."""

    def workers(self, count: int) -> None:
        """Receive the number of workers of a cluster, about once per second."""
