"""`restore export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console
from restore.config import GraphFormat

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(help="NAME[:WEIGHTS], see 'restore list'.")],
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .onnx or .xml file. Left out: NAME_xSCALE.onnx.")
    ] = None,
    form: Annotated[
        GraphFormat | None, typer.Option("--format", help="Left out: what the file's suffix says, or onnx.")
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(help="Output pixels per input pixel. Left out: the model's own, mostly 4."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a model as a graph for other programs, in float32, for images of any size.

    The graph takes and gives RGB in [0, 1], (batch, 3, height, width), and does all that the model does. It
    is compared with PyTorch before it gets its name.
    """
    from restore import export as exporting
    from restore.checkpoint import load_model
    from restore.registry import discover

    chosen = exporting.graph_format(out, form)
    registry = discover()
    console.tell_problems(registry)
    loaded = load_model(model, registry, scale)
    file = out or Path(f"{loaded.spec.name}_x{loaded.scale}{exporting.SUFFIXES[chosen]}")
    difference = exporting.export(loaded, file, chosen)
    if json:
        console.emit(
            {"file": str(file), "format": chosen, "scale": loaded.scale, "largest_difference": difference}
        )
    else:
        typer.echo(f"{file}  {loaded.scale}x  differs from PyTorch by at most {difference:.1e}")
