"""`restore upscale`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restore.choices import Alpha, Engine, Precision
from restore.cli import checking, console
from restore.cli.streams import streams
from restore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from restore.batch import Job, Outcome
    from restore.batch.jobs import Status
    from restore.cli.streams import Streams
    from restore.inference.restorer import Progress, TileSize

__all__ = ["upscale"]

Looks = Literal["no", "tell", "draw"]
"""Whether results are compared with their inputs."""


def upscale(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(help="Image files, folders or globs; - is standard input.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="A file for one image, else a folder; - is standard output. Else beside it."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="NAME[:WEIGHTS], see 'restore list'.")] = "enhancenet",
    scale: Annotated[
        float | None,
        typer.Option(help="Output pixels per input pixel. Left out: the model's own, mostly 4."),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Of the results in pixels, instead of --scale.")] = None,
    height: Annotated[int | None, typer.Option(help="Of the results in pixels, instead of --scale.")] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="png, jpg, webp, tif, avif ... Left out: that of each input."),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF. Left out: 95.")
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="What is added to the names of results. Left out: _x4.")
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out what files say besides pixels and colour space.")
    ] = False,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="The most that an input may have; guards the memory.")
    ] = None,
    tile: Annotated[str, typer.Option(help="Longest side of a tile in input pixels, auto or off.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the processor has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[
        Engine, typer.Option(help="What runs the network; other engines than torch run on the CPU.")
    ] = "torch",
    alpha: Annotated[Alpha, typer.Option(help="What enlarges transparency.")] = "bicubic",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Go into subfolders.")] = False,
    existing: Annotated[
        Literal["overwrite", "skip", "error"] | None,
        typer.Option(
            help="Outputs that exist: skip keeps what is done, by content. Left out: overwrite for one file, "
            "else skip."
        ),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Make PNG files as small as possible, which is slow.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Tell how true each result is to its input; warn where it is not.")
    ] = False,
    check_map: Annotated[
        bool, typer.Option("--check-map", help="--check, and draw beside each result where it is not true.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be done, with estimates.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a file on stdout.")] = False,
) -> None:
    """Enlarge photos.

    photo.jpg becomes photo_x4.jpg beside it, and a folder becomes FOLDER_x4/ with the same tree. A file that
    cannot be done is named with its reason, the others are done, and the exit code is 1. The same command
    again does what is missing or has changed.
    """
    from restore.allocator import keep_memory
    from restore.batch import Naming, Output, native_scale, plan, preview, run_all
    from restore.inference import load
    from restore.registry import discover

    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    output = Output(scale, width, height, quality, small, strip)
    restorer = load(
        model,
        scale=native_scale(model, registry, scale),
        device=device,
        precision=precision,
        tile=_tile(tile),
        engine=engine,
        alpha=alpha,
        registry=registry,
    )
    console.tell_notes(restorer)
    output.check(restorer.scale)
    with streams(inputs, out, format_, taken=json and not dry_run) as files:
        naming = Naming(output.suffix(restorer.scale), files.out, suffix, format_)
        found = plan(files.inputs, naming, recursive=recursive)
        kept = existing or ("skip" if found.several else "overwrite")
        if check_map and files.write:
            raise UsageError(
                "--check-map draws beside the result, and standard output has no place: give -o FILE"
            )
        looks: Looks = "draw" if check_map else "tell" if check else "no"
        teller = _Teller(files, json=json, dry_run=dry_run, several=found.several, looks=looks)
        for outcome in found.settled:
            teller.tell(outcome)
        if dry_run:
            outcomes = preview(found.jobs, restorer, output=output, existing=kept, max_pixels=max_pixels)
        else:
            run = partial(run_all, restorer=restorer, output=output, existing=kept, max_pixels=max_pixels)
            outcomes = _shown(found.jobs, run)
        try:
            for outcome in outcomes:
                teller.tell(outcome)
        except KeyboardInterrupt:
            left = len(found.jobs) + len(found.settled) - len(teller.outcomes)
            console.message(f"interrupted with {left} images left: go on with --existing skip")
            raise typer.Exit(130) from None
        files.deliver()
    teller.summarise()


class _Teller:
    """Says what became of each input, once."""

    def __init__(self, files: Streams, *, json: bool, dry_run: bool, several: bool, looks: Looks) -> None:
        self._files = files
        self._json = json
        self._dry_run = dry_run
        self._several = several
        self._looks = looks
        self._notes: set[str] = set()
        self.outcomes: list[Outcome] = []

    def tell(self, outcome: Outcome) -> None:
        """A result on stdout; a failure and what is remarkable on stderr."""
        made = outcome
        outcome = self._files.named(made)
        self.outcomes.append(outcome)
        checked: dict[str, Any] = {}
        if self._looks != "no" and outcome.status == "done":
            checked = checking.check(made, outcome.destination, drawn=self._looks == "draw")
        if self._json:
            console.emit(outcome.to_json() | checked)
        if outcome.status == "failed":
            console.error(outcome.explanation, outcome.error)
        elif not self._json and (self._dry_run or self._files.write is None):
            typer.echo(outcome.sentence)
        for note in outcome.notes:
            if note not in self._notes:  # many are the same for all files of a batch
                self._notes.add(note)
                console.message(f"note: {outcome.source}: {note}")

    def summarise(self) -> None:
        """How many there were, and the exit code."""
        if self._dry_run:
            self._add_up()
        failed = self._count("failed")
        if not failed:
            return
        if self._several:
            skipped = f", {self._count('skipped')} skipped" if self._count("skipped") else ""
            ready = self._count("planned" if self._dry_run else "done")
            word = "planned" if self._dry_run else "done"
            console.message(f"{ready} {word}{skipped}, {failed} failed: each is named above")
        raise typer.Exit(1)

    def _add_up(self) -> None:
        planned = [outcome for outcome in self.outcomes if outcome.status == "planned"]
        megapixels = sum(outcome.size[0] * outcome.size[1] for outcome in planned if outcome.size) / 1e6
        seconds = sum(outcome.seconds for outcome in planned)
        mebibytes = max((outcome.memory or 0 for outcome in planned), default=0) / 2**20
        console.message(
            f"{len(planned)} to do, {self._count('skipped')} skipped, {self._count('failed')} failed: "
            f"{megapixels:.1f} megapixels, about {_duration(seconds)}, at most about {mebibytes:,.0f} MiB"
        )

    def _count(self, status: Status) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)


def _shown(jobs: list[Job], run: Callable[..., Iterator[Outcome]]) -> Iterator[Outcome]:
    """What `run` yields, with a progress bar of all images and of the one in the network."""
    with console.progress() as bar:
        total = bar.add_task("all", total=len(jobs), visible=len(jobs) > 1)

        def watch(job: Job) -> AbstractContextManager[Progress]:
            return console.task(bar, job.source.name)

        for outcome in run(jobs, watch=watch):
            bar.advance(total)
            yield outcome


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _tile(text: str) -> TileSize:
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither 'auto', 'off' nor a number from 1", param_hint="--tile")
