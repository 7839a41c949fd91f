"""`restore upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from restore.cli import console
from restore.config import Engine, Precision

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from restore.inference import Job, Outcome
    from restore.inference.restorer import Progress, TileSize

__all__ = ["upscale"]


def upscale(
    *,
    inputs: Annotated[list[str], typer.Argument(help="Image files, folders or globs.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A file for one image, else a folder. Left out: beside the input."),
    ] = None,
    model: Annotated[str, typer.Option(help="NAME[:WEIGHTS], see 'restore list'.")] = "enhancenet",
    scale: Annotated[
        int | None,
        typer.Option(help="Output pixels per input pixel. Left out: the model's own, mostly 4."),
    ] = None,
    tile: Annotated[str, typer.Option(help="Longest side of a tile in input pixels, auto or off.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the processor has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[
        Engine, typer.Option(help="What runs the network; other engines than torch run on the CPU.")
    ] = "torch",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Go into subfolders.")] = False,
    existing: Annotated[
        Literal["overwrite", "skip", "error"], typer.Option(help="What to do with outputs that exist.")
    ] = "overwrite",
    small: Annotated[
        bool, typer.Option("--small", help="Make PNG files as small as possible, which is slow.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Tell how true each result is to its input; warn where it is not.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a file on stdout.")] = False,
) -> None:
    """Enlarge photographs.

    photo.jpg becomes photo_x4.jpg beside it, and a folder becomes FOLDER_x4/ with the same tree. A file that
    cannot be done is named with its reason, the others are done, and the exit code is 1.
    """
    from restore.allocator import keep_memory
    from restore.inference import load, plan, run_all
    from restore.registry import discover

    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    restorer = load(
        model,
        scale=scale,
        device=device,
        precision=precision,
        tile=_tile(tile),
        engine=engine,
        registry=registry,
    )
    console.tell_notes(restorer)
    jobs, failed = plan(inputs, restorer.scale, out=out, recursive=recursive)
    outcomes = [*failed]
    for outcome in failed:
        _tell(outcome, json=json)
    try:
        with console.progress() as bar:
            total = bar.add_task("all", total=len(jobs), visible=len(jobs) > 1)

            def watch(job: Job) -> AbstractContextManager[Progress]:
                return console.task(bar, job.source.name)

            for outcome in run_all(jobs, restorer, existing=existing, small=small, watch=watch):
                bar.advance(total)
                outcomes.append(outcome)
                _tell(outcome, json=json)
                if check and outcome.status == "done":
                    _check(outcome)
    except KeyboardInterrupt:
        left = len(jobs) + len(failed) - len(outcomes)
        console.message(f"interrupted with {left} images left: go on with --existing skip")
        raise typer.Exit(130) from None
    _summarise(outcomes)


def _tile(text: str) -> TileSize:
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither 'auto', 'off' nor a number from 1", param_hint="--tile")


def _tell(outcome: Outcome, *, json: bool) -> None:
    if json:
        console.emit(outcome.to_json())
    elif outcome.status == "failed":
        console.error(outcome.explanation)
    else:
        typer.echo(outcome.sentence)
    for note in outcome.notes:
        console.message(f"note: {outcome.source}: {note}")


def _check(outcome: Outcome) -> None:
    from restore.faithfulness import compare
    from restore.images import read

    if outcome.destination is None:
        return
    # The file itself is looked at: what its format lost counts too.
    found = compare(read(outcome.destination).color, read(outcome.source).color)
    console.message(f"check: {outcome.destination}: {found.sentence}")
    for warning in found.warnings:
        console.message(f"warning: {outcome.destination}: {warning}")


def _summarise(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return
    if len(outcomes) > 1:
        console.message(f"{len(outcomes) - len(failed)} of {len(outcomes)} done; failed:")
        for outcome in failed:
            console.message(f"  {outcome.explanation}")
    raise typer.Exit(1)
