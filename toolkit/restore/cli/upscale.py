"""`restore upscale`."""

from __future__ import annotations

from typing import Annotated

import typer

from restore.choices import Alpha
from restore.cli import options, restoring
from restore.cli.grouping import grouped
from restore.errors import UsageError

__all__ = ["upscale"]

Side = Annotated[int | None, typer.Option(help="Set this side of the results in pixels, instead of --scale.")]


@grouped
def upscale(
    *,
    model: options.ChosenModel = "auto",
    scale: Annotated[
        float | None,
        typer.Option(help="Upscale by this factor.", show_default="the model's own, usually 4"),
    ] = None,
    width: Side = None,
    height: Side = None,
    alpha: Annotated[Alpha, typer.Option(help="Upscale alpha with this method.")] = "bicubic",
    batch: restoring.BatchOptions,
) -> None:
    """Enlarge photos.

    photo.jpg becomes photo_x4.jpg next to it, and a folder becomes FOLDER_x4/ with the same tree. A file that
    fails is reported with the reason, the others are processed, and the exit code is 1. Run the same command
    again to process only what is missing or has changed.
    """
    from restore.batch import Output

    if scale is not None and (width is not None or height is not None):
        raise UsageError("`scale` and `width` or `height` set the size twice", hint="pass one of them")
    output = Output(width, height, batch.quality, batch.small, batch.strip)
    restorer = restoring.loaded(model, batch, scale=scale, alpha=alpha)
    restoring.run(restorer, output, output.suffix(restorer.output_scale), batch)
