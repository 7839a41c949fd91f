"""What `restore upscale` and `restore clean` share: their options, and the batch that they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restore.cli import console, options

if TYPE_CHECKING:
    from restore.batch import Output
    from restore.inference import AnyRestorer
    from restore.inference.restorer import TileSize

__all__ = ["BatchOptions", "loaded", "run"]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """The options of a command that makes an image of each image; see `restore.cli.grouping`."""

    inputs: options.Files
    out: Annotated[
        Path | None,
        options.out("Write to this file or folder; - is standard output.", show_default="next to the input"),
    ] = None
    assign: options.Set = None
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="Write png, jpg, webp, tif, avif, ...", show_default="that of each input"
        ),
    ] = None
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Set the quality of lossy formats.", show_default="95")
    ] = None
    suffix: Annotated[
        str | None,
        typer.Option(help="Add this to the names of results.", show_default="such as _x4 or _clean"),
    ] = None
    keep_suffix: Annotated[
        bool, typer.Option("--keep-suffix", help="Keep the input's suffix in names, as in a.jpg.png.")
    ] = False
    strip: Annotated[bool, typer.Option("--strip", help="Leave out metadata; keep the color profile.")] = (
        False
    )
    small: Annotated[bool, typer.Option("--small", help="Compress PNG files as much as possible (slow).")] = (
        False
    )
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Accept inputs of up to this many pixels.", show_default="89478485"),
    ] = None
    tile: options.Tile = "auto"
    precision: options.Precision = "auto"
    device: options.Device = "auto"
    engine: options.Engine = "torch"
    recursive: options.Recursive = False
    existing: Annotated[
        Literal["overwrite", "skip", "error"] | None,
        typer.Option(
            help="Handle existing results; skip keeps finished ones.",
            show_default="overwrite for one file, else skip",
        ),
    ] = None
    check: Annotated[bool, typer.Option("--check", help="Compare each result with its input, and warn.")] = (
        False
    )
    check_map: Annotated[
        bool, typer.Option("--check-map", help="Like --check, and write an image of the differences.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be done, with estimates; write nothing.")
    ] = False
    json: options.Json = False


def loaded(
    model: str, batch: BatchOptions, numbers: Mapping[str, str] | None = None, **settings: Any
) -> AnyRestorer:
    """Load the model of a command.

    Args:
        model: as for `restore.load`.
        batch: the options of the command.
        numbers: values of options of the model, by name.
        settings: other arguments of `restore.load`.
    """
    from restore.allocator import keep_memory
    from restore.inference import load
    from restore.registry import discover

    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    chosen = options.by_name(batch.assign, options.labels_of([model]), options.sole_label([model]))
    return load(
        model,
        options={**(numbers or {}), **options.options_of_model(model, chosen)},
        device=batch.device,
        precision=batch.precision,
        tile=_tile(batch.tile),
        engine=batch.engine,
        registry=registry,
        **settings,
    )


def run(restorer: AnyRestorer, output: Output, suffix: str, batch: BatchOptions) -> None:
    """Restore the images of a command, or list them for a dry run, and print what became of each.

    Args:
        restorer: the model.
        output: size and encoding of the results.
        suffix: what is added to the names of results, unless the user chose something else.
        batch: the options of the command.

    Raises:
        typer.Exit: something failed or was interrupted.
    """
    from restore.batch import Naming, plan, preview, run_all
    from restore.cli.reporting import Reporter, ReportOptions
    from restore.cli.streams import streams

    console.tell_notes(restorer)
    looks = ReportOptions(
        json=batch.json, dry_run=batch.dry_run, check=batch.check or batch.check_map, draw=batch.check_map
    )
    with streams(batch.inputs, batch.out, batch.format_, json=batch.json and not batch.dry_run) as files:
        naming = Naming(suffix, files.out, batch.suffix, batch.format_, batch.keep_suffix)
        found = plan(files.inputs, naming, recursive=batch.recursive)
        existing = batch.existing or ("skip" if found.several else "overwrite")
        with Reporter(found, files, looks) as reporter:
            if batch.dry_run:
                outcomes = preview(
                    found.jobs, restorer, output=output, existing=existing, max_pixels=batch.max_pixels
                )
            else:
                outcomes = run_all(
                    found.jobs,
                    restorer,
                    output=output,
                    existing=existing,
                    max_pixels=batch.max_pixels,
                    listener=reporter,
                )
            for outcome in outcomes:
                reporter.report(outcome)
        files.deliver()
    reporter.summarize()


def _tile(text: str) -> TileSize:
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither 'auto', 'off' nor a number from 1", param_hint="--tile")
