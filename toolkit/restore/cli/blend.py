"""`restore blend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console, options

__all__ = ["blend"]


def blend(
    models: Annotated[
        list[str], typer.Argument(help="Weights to average, as NAME:WEIGHTS, all of one network.")
    ],
    *,
    out: Annotated[Path, options.out("Write to this .safetensors file.")],
    share: Annotated[
        list[float] | None,
        typer.Option(
            help="Set the share of one model, in their order. Repeatable.", show_default="equal shares"
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Write float16, which halves the size.")] = False,
    scale: options.Scale = None,
    json: options.Json = False,
) -> None:
    """Average weights of one network.

    The average of enhancenet:e and enhancenet:pat trades fidelity for texture. The average of runs that
    started from the same weights is usually better than each of them. With one model, the weights are copied.
    """
    from restore import checkpoint

    registry = console.discovered()
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
