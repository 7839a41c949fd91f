"""`restore clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from restore.cli import options, restoring
from restore.cli.grouping import grouped
from restore.errors import UsageError

__all__ = ["clean"]


@grouped
def clean(
    *,
    model: options.ChosenModel = "auto",
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="auto|SIGMA",
            help="Remove noise of this standard deviation, in levels of 255.",
            show_default="if there is any",
        ),
    ] = None,
    jpeg: Annotated[
        str | None,
        typer.Option(
            metavar="auto|QUALITY",
            help="Remove the artifacts of JPEG compression of this quality.",
            show_default="if there are any",
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(min=0, help="Remove more or less than is found: 0.5 is half, 2 is twice as much."),
    ] = 1.0,
    batch: restoring.BatchOptions,
) -> None:
    """Remove noise and compression from photos.

    photo.jpg becomes photo_clean.jpg next to it, in the same size, and a folder becomes FOLDER_clean/ with
    the same tree. Noise and compression are measured for each photo; one without either is copied. A file
    that fails is reported with the reason, the others are processed, and the exit code is 1. Run the same
    command again to process only what is missing or has changed.
    """
    from restore.batch import Output
    from restore.inference.choosing import AUTO
    from restore.inference.rules import removing
    from restore.registry import discover

    forced = {name: value for name, value in (("sigma", noise), ("quality", jpeg)) if value is not None}
    numbers: dict[str, str] = {}
    if forced:
        if model != AUTO:
            raise UsageError("`model` and `noise` or `jpeg` name the model twice", hint="pass one of them")
        model, numbers = removing(forced, discover())
    restorer = restoring.loaded(model, batch, numbers, scale=1, strength=strength)
    if restorer.scale != 1:
        raise UsageError(f"the model '{model}' enlarges {restorer.scale}x", hint="use 'restore upscale'")
    restoring.run(restorer, Output(None, None, batch.quality, batch.small, batch.strip), "_clean", batch)
