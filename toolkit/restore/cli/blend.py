"""`restore blend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console

__all__ = ["blend"]


def blend(
    models: Annotated[list[str], typer.Argument(help="NAME:WEIGHTS, of one network.")],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .safetensors file to write.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Of each model, in their order. Left out: equal ones.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Write float16: half the size.")] = False,
    scale: Annotated[
        int | None,
        typer.Option(help="Output pixels per input pixel, for weights that are named. Left out: mostly 4."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Average weights of one network.

    Of enhancenet:e and enhancenet:pat it makes pictures between true and lively; of runs that began with the
    same weights it is mostly better than each. With one model it copies, with --half to half the size.
    """
    from restore import checkpoint
    from restore.registry import discover

    registry = discover()
    console.tell_problems(registry)
    loaded = [checkpoint.load_model(model, registry, scale) for model in models]
    card = checkpoint.blend(loaded, out, shares=share or (), half=half)
    row = {
        "file": str(out),
        "model": card.model,
        "scale": card.scale,
        "bytes": out.stat().st_size,
        "sha256": checkpoint.sha256(out),
        "shares": list(card.blend.values()),
    }
    if json:
        console.emit(row)
    else:
        typer.echo(f"{out}  {card.model} {card.scale}x  {row['bytes']} bytes  SHA-256 {row['sha256']}")
