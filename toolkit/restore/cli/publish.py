"""`restore publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console, options

__all__ = ["publish"]


def publish(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    *,
    out: Annotated[Path | None, options.out("Write to this .json file.", show_default="stdout")] = None,
    author: Annotated[str, typer.Option(help="Set the author's name in the catalog.")] = "unknown",
    license: Annotated[  # noqa: A002 - the name of the option
        str | None, typer.Option(help="Set the license of the weights, such as CC-BY-4.0.")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="Set where the weights can be downloaded. Repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Set a tag, such as photo. Repeatable.", show_default="by scale and degradation"),
    ] = None,
    name: Annotated[str, typer.Option(help="Set the name of the model.", show_default="SCALEx-FOLDER")] = "",
) -> None:
    """Describe a run as a record for OpenModelDB.

    The record has the weights' hash and size, the architecture, scale, steps, batch and patch size, data,
    degradation and results. Set author, license and URL by options.
    """
    import json

    from restore.files import atomic_file
    from restore.publishing import About, record

    registry = console.discovered()
    about = About(author, license, url or (), tag or (), name)
    text = json.dumps(record(run, registry, about).to_json(), indent=4, ensure_ascii=False) + "\n"
    if about.missing:
        console.message(f"note: the catalog also asks for {', '.join(about.missing)}")
    if out is None:
        typer.echo(text, nl=False)
    else:
        with atomic_file(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
