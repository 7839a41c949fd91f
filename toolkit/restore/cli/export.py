"""`restore export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.choices import GraphFormat
from restore.cli import console, options

__all__ = ["export"]


def export(
    model: options.ModelArgument,
    *,
    out: Annotated[
        Path | None, options.out("Write to this .onnx or .xml file.", show_default="NAME_xSCALE.onnx")
    ] = None,
    form: Annotated[
        GraphFormat | None,
        typer.Option("--format", help="Set the format.", show_default="that of the file's suffix, or onnx"),
    ] = None,
    assign: options.Set = None,
    scale: options.Scale = None,
    json: options.Json = False,
) -> None:
    """Export a model as a graph for other programs.

    The graph maps RGB in [0, 1] of shape (batch, 3, height, width) to the restored images. It
    contains the whole model. Conditioning inputs, such as sigma, are inputs of shape (batch). The results are
    compared with those of PyTorch before the file is written.
    """
    from restore import export as exporting
    from restore.checkpoint import load_model

    chosen = exporting.graph_format(out, form)
    registry = console.discovered()
    given = options.by_name(assign, options.labels_of([model]), options.sole_label([model]))
    loaded = load_model(model, registry, scale, options.options_of_model(model, given))
    file = out or Path(f"{loaded.spec.name}_x{loaded.scale}{exporting.SUFFIXES[chosen]}")
    difference = exporting.export(loaded, file, chosen)
    if json:
        console.emit(
            {"file": str(file), "format": chosen, "scale": loaded.scale, "largest_difference": difference}
        )
    else:
        typer.echo(f"{file}  {loaded.scale}x  differs from PyTorch by at most {difference:.1e}")
