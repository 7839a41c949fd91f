"""Output of a batch: results to stdout; failures, notes, progress and totals to stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from restore.batch import Job, Listener, Outcome, Plan
from restore.batch.jobs import AnyJob, Status, Transfer
from restore.cli import checking, console
from restore.cli.errors import in_options
from restore.cli.streams import Streams
from restore.errors import UsageError, escaped
from restore.images import readable
from restore.inference.tiles import Progress
from restore.report.choices import Choices

if TYPE_CHECKING:
    from restore.batch.stores import StorePlan

__all__ = ["ReportOptions", "Reporter"]

_NAMED = 20
"""Files that a note names at the end; the lines of ``--json`` have the notes of all."""


@dataclass(frozen=True)
class ReportOptions:
    """Options for the output of a batch."""

    json: bool = False
    """Print JSON instead of text."""
    dry_run: bool = False
    """Outcomes are planned ones."""
    check: bool = False
    """Compare each result with its input."""
    draw: bool = False
    """Write an image of the differences, too."""


class Reporter(Listener):
    """Reports each outcome once; shows progress while it is entered.

    Raises:
        UsageError: an image of the differences has no place next to standard output.
        typer.Exit: on leaving after Ctrl-C, with 130.
    """

    def __init__(self, plan: Plan | StorePlan, files: Streams, options: ReportOptions) -> None:
        if options.draw and files.write:
            raise UsageError(
                "the image of the differences cannot go to standard output", hint="set `out` to a file"
            )
        self._plan, self._files, self._options = plan, files, options
        self._notes = _Notes()
        self._counts: Counter[Status] = Counter()
        self._planned = _Sums()
        self._choices = Choices()
        self._shown = ExitStack()

    def __enter__(self) -> Reporter:
        for note in self._plan.notes:
            console.message(f"note: {note}")
        for outcome in self._plan.settled:
            self._print(outcome)
        count = self._plan.count
        self._bar = self._shown.enter_context(console.progress())
        self._total = self._bar.add_task("all", total=count, visible=count is None or count > 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()
        self._notes.summarize()
        if isinstance(error, KeyboardInterrupt):
            count = self._plan.count
            left = "" if count is None else f" with {self._left(count)} images left"
            console.message(f"interrupted{left}; continue with `existing='skip'`")
            raise typer.Exit(130) from None

    def _left(self, count: int) -> int:
        return count + len(self._plan.settled) - self._counts.total()

    def restoring(self, job: AnyJob) -> AbstractContextManager[Progress | None]:
        """A line in the progress display."""
        return console.task(self._bar, escaped(job.source.name))

    def note(self, job: AnyJob, text: str) -> None:
        """Print a note at once."""
        console.message(f"note: {self._files.name(job.source)}: {text}")

    def workers(self, count: int) -> None:
        """Show the number of workers, and how many images per second they finish."""
        seconds = self._bar.tasks[self._total].elapsed or 0.0
        finished = self._counts["done"] + self._counts["failed"]
        pace = f"{finished / seconds:.1f} per second, " if seconds else ""
        self._bar.update(self._total, description=f"{pace}{count} worker{'' if count == 1 else 's'}")

    def unsettled(self, items: Iterable[Transfer | Outcome]) -> Iterator[Transfer]:
        """Yield what is to be done of a plan, and report what is settled on the way."""
        for item in items:
            if isinstance(item, Outcome):
                self.report(item)
            else:
                yield item

    def report(self, outcome: Outcome) -> None:
        """Print a result to stdout; a failure, and what a user may not expect, to stderr."""
        self._bar.advance(self._total)
        self._print(outcome)

    def summarize(self) -> None:
        """Print totals.

        Raises:
            typer.Exit: something failed, with 1.
        """
        for line in self._choices.lines:
            console.message(line)
        if self._options.dry_run:
            self._add_up()
        failed = self._count("failed")
        if not failed:
            return
        if self._plan.several:
            skipped = f", {self._count('skipped')} skipped" if self._count("skipped") else ""
            word: Status = "planned" if self._options.dry_run else "done"
            console.message(f"{self._count(word)} {word}{skipped}, {failed} failed: each is named above")
        raise typer.Exit(1)

    def _print(self, outcome: Outcome) -> None:
        row, checked = self._checked(outcome)
        shown = self._files.named(row)
        self._counts[shown.status] += 1
        if shown.status == "planned":
            self._planned.add(shown)
        if shown.choice is not None:
            self._choices.add(str(shown.source), shown.choice)
        if self._options.json:
            console.emit(_row(shown) | checked)
        if shown.error is not None:
            console.error(shown.error)
        elif not self._options.json and (self._options.dry_run or self._files.write is None):
            typer.echo(shown.sentence)
        for note in shown.notes:
            self._notes.add(str(shown.source), note)

    def _checked(self, outcome: Outcome) -> tuple[Outcome, dict[str, Any]]:
        """The outcome after the comparison with the input, and what that found."""
        source, destination = outcome.source, outcome.destination
        if not self._options.check or outcome.status != "done":
            return outcome, {}
        if not isinstance(source, Path) or not isinstance(destination, Path):
            return outcome, {}
        name = Path(self._files.name(destination))
        try:
            return outcome, checking.check(outcome, name, drawn=self._options.draw)
        except Exception as error:  # the result is there; that it cannot be compared ends no batch
            from restore.batch.failures import failed

            return failed(Job(source, destination), error), {}

    def _add_up(self) -> None:
        sums = self._planned
        console.message(
            f"{self._count('planned')} to do, {self._count('skipped')} skipped, {self._count('failed')} "
            f"failed: {sums.pixels / 1e6:.1f} megapixels, about {_duration(sums.seconds)}, at most about "
            f"{readable(sums.memory)}"
        )

    def _count(self, status: Status) -> int:
        return self._counts[status]


class _Notes:
    """Prints a note at the first file that it is about, and the names of the others at the end."""

    def __init__(self) -> None:
        self._others: dict[str, list[str]] = {}

    def add(self, source: str, note: str) -> None:
        """Print or keep a note; many are the same for all files of a batch."""
        if note in self._others:
            self._others[note].append(source)
            return
        self._others[note] = []
        console.message(f"note: {source}: {note}")

    def summarize(self) -> None:
        """Print the notes that were about several files."""
        for note, files in self._others.items():
            left = len(files) - _NAMED
            more = f" and {left} more" if left > 0 else ""
            if files:
                console.message(f"note: also {', '.join(files[:_NAMED])}{more}: {note}")
        self._others.clear()


@dataclass
class _Sums:
    """Totals of planned outcomes."""

    pixels: int = 0
    seconds: float = 0.0
    memory: int = 0

    def add(self, outcome: Outcome) -> None:
        """Add one."""
        self.pixels += outcome.size[0] * outcome.size[1] if outcome.size else 0
        self.seconds += outcome.seconds
        self.memory = max(self.memory, outcome.memory or 0)


def _row(outcome: Outcome) -> dict[str, Any]:
    """An outcome for programs, with options in place of parameters."""
    row = outcome.to_json()
    return row | {"reason": in_options(row["reason"]), "notes": [in_options(note) for note in row["notes"]]}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
