"""`restore degrade`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console, options

__all__ = ["degrade"]


def degrade(
    *,
    source: Annotated[Path, typer.Argument(help="Folder of images, searched recursively.")],
    out: Annotated[Path, options.out("Folder for the results: a new one, or one to continue.")],
    degradation: Annotated[
        str,
        typer.Option(metavar="NAME[+NAME...]", help="Degrade by this entry or chain; see 'restore list'."),
    ],
    scale: Annotated[int, typer.Option(min=1, help="Divide width and height by this factor.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed the random numbers.")] = 0,
    assign: options.Set = None,
    json: options.Json = False,
) -> None:
    """Make degraded test images from a folder of photos.

    Results are PNG files with the names of their sources. The file degraded.jsonl, next to them, records the
    random parameters of each. They depend only on the seed and the name of the image; seed 0 gives the inputs
    of 'restore evaluate'. Run the same command again to continue. A file that cannot be read is reported, the
    others are degraded, and the exit code is 1.
    """
    from restore.data import find_degradation, labels, options_of
    from restore.data.degrading import degrade_folder

    registry = console.discovered()
    chosen = options.by_name(assign, labels(degradation))
    found = find_degradation(degradation, registry, scale, options_of(degradation, chosen))
    counts: Counter[str] = Counter()
    try:
        for outcome in degrade_folder(source, out, found, seed=seed):
            counts[outcome.status] += 1
            if json:
                console.emit(outcome.to_json())
            if outcome.status == "failed":
                console.error(outcome.reason)
    except KeyboardInterrupt:
        console.message("interrupted: continue with the same command")
        raise typer.Exit(130) from None
    summary = f"{counts['done']} degraded, {counts['existing']} kept, {counts['failed']} failed"
    if json:
        console.message(summary)
    else:
        typer.echo(summary)
    if counts["failed"]:
        raise typer.Exit(1)
