"""`restore prepare`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from restore.cli import console, options

if TYPE_CHECKING:
    from restore.data.preparation import PreparedFile

__all__ = ["prepare"]


MinSide = Annotated[
    int | None,
    typer.Option(
        min=1, help="Omit images whose shorter side has fewer pixels.", show_default="that of --size"
    ),
]
Size = Annotated[
    int | None,
    typer.Option(min=1, help="Downscale the shorter side to this many pixels.", show_default="it is kept"),
]
Format = Annotated[
    Literal["png", "jpg"],
    typer.Option("--format", help="Write this format; jpg (quality 95) takes about a third of the disk."),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Process this many images at a time.", show_default="one per core")
]


def prepare(
    *,
    source: Annotated[Path, typer.Argument(help="Folder of photos, searched recursively.")],
    dest: Annotated[Path, typer.Argument(help="Folder for the results: a new one, or one to continue.")],
    min_side: MinSide = None,
    square: Annotated[bool, typer.Option("--square", help="Cut out the central square.")] = False,
    size: Size = None,
    keep_gray: Annotated[bool, typer.Option("--keep-gray", help="Also use images without color.")] = False,
    file_format: Format = "png",
    jobs: Jobs = None,
    json: options.Json = False,
) -> None:
    """Make clean training images from photos.

    Photos are cropped and downscaled, which removes noise and compression artifacts.

    EnhanceNet's data: restore prepare coco/ clean/ --min-side 384 --square --size 256. No image is enlarged.
    Run the same command again to continue: finished images are kept. A file that cannot be read is reported
    with the reason; the others are processed, and the exit code is 1.
    """
    import torch

    from restore.data.preparation import PreparationSettings, Tally, make_plan, run

    plan = make_plan(source, dest, PreparationSettings(min_side, size, square, keep_gray, file_format))
    tally = Tally()
    try:
        with closing(run(plan, jobs or torch.get_num_threads())) as outcomes, console.progress() as bar:
            line = bar.add_task("preparing", total=len(plan.jobs))
            for outcome in outcomes:
                tally.add(outcome)
                _report(outcome, json=json)
                bar.advance(line)
    except KeyboardInterrupt:
        left = len(plan.jobs) - tally.counts.total()
        console.message(f"interrupted with {left} images left: continue with the same command")
        raise typer.Exit(130) from None
    if json:
        console.message(tally.sentence)
    else:
        typer.echo(tally.sentence)
    if tally.counts["failed"]:
        raise typer.Exit(1)


def _report(outcome: PreparedFile, *, json: bool) -> None:
    if json:
        console.emit(outcome.to_json())
    if outcome.status == "failed":
        console.error(outcome.reason)
