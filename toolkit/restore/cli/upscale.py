"""`restore upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from restore.choices import Alpha
from restore.cli import console, options
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.inference.restorer import TileSize

__all__ = ["upscale"]

Scale = Annotated[
    float | None,
    typer.Option(
        help="Upscale by this factor.",
        show_default="the model's own, usually 4",
    ),
]
Side = Annotated[int | None, typer.Option(help="Set this side of the results in pixels, instead of --scale.")]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Write png, jpg, webp, tif, avif, ...", show_default="that of each input"),
]
Quality = Annotated[
    int | None, typer.Option(min=1, max=100, help="Set the quality of lossy formats.", show_default="95")
]
Suffix = Annotated[
    str | None, typer.Option(help="Add this to the names of results.", show_default="such as _x4")
]
KeepSuffix = Annotated[
    bool, typer.Option("--keep-suffix", help="Keep the input's suffix in names, as in a.jpg.png.")
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out metadata; keep the color profile.")]
Small = Annotated[bool, typer.Option("--small", help="Compress PNG files as much as possible (slow).")]
MaxPixels = Annotated[
    int | None, typer.Option(min=1, help="Accept inputs of up to this many pixels.", show_default="89478485")
]
AlphaMethod = Annotated[Alpha, typer.Option(help="Upscale alpha with this method.")]
Existing = Annotated[
    Literal["overwrite", "skip", "error"] | None,
    typer.Option(
        help="Handle existing results; skip keeps finished ones.",
        show_default="overwrite for one file, else skip",
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Compare each result with its input, and warn.")]
CheckMap = Annotated[
    bool, typer.Option("--check-map", help="Like --check, and write an image of the differences.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List what would be done, with estimates; write nothing.")
]


def upscale(
    *,
    inputs: options.Files,
    out: Annotated[
        Path | None,
        options.out("Write to this file or folder; - is standard output.", show_default="next to the input"),
    ] = None,
    model: options.Model = "enhancenet",
    assign: options.Set = None,
    scale: Scale = None,
    width: Side = None,
    height: Side = None,
    format_: Format = None,
    quality: Quality = None,
    suffix: Suffix = None,
    keep_suffix: KeepSuffix = False,
    strip: Strip = False,
    small: Small = False,
    max_pixels: MaxPixels = None,
    tile: options.Tile = "auto",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    engine: options.Engine = "torch",
    alpha: AlphaMethod = "bicubic",
    recursive: options.Recursive = False,
    existing: Existing = None,
    check: Check = False,
    check_map: CheckMap = False,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> None:
    """Enlarge photos.

    photo.jpg becomes photo_x4.jpg next to it, and a folder becomes FOLDER_x4/ with the same tree. A file that
    fails is named with its reason, the others are done, and the exit code is 1. Running the command again
    does what is missing or has changed.
    """
    from restore.allocator import keep_memory
    from restore.batch import Naming, Output, plan, preview, run_all
    from restore.cli.reporting import Reporter, ReportOptions
    from restore.cli.streams import streams
    from restore.inference import load
    from restore.registry import discover

    if scale is not None and (width is not None or height is not None):
        raise UsageError("`scale` and `width` or `height` set the size twice", hint="pass one of them")
    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    output = Output(width, height, quality, small, strip)
    chosen = options.by_name(assign, options.labels_of([model]), options.sole_label([model]))
    restorer = load(
        model,
        scale=scale,
        options=options.options_of_model(model, chosen),
        device=device,
        precision=precision,
        tile=_tile(tile),
        engine=engine,
        alpha=alpha,
        registry=registry,
    )
    console.tell_notes(restorer)
    looks = ReportOptions(json=json, dry_run=dry_run, check=check or check_map, draw=check_map)
    with streams(inputs, out, format_, json=json and not dry_run) as files:
        naming = Naming(output.suffix(restorer.output_scale), files.out, suffix, format_, keep_suffix)
        found = plan(files.inputs, naming, recursive=recursive)
        kept = existing or ("skip" if found.several else "overwrite")
        with Reporter(found, files, looks) as reporter:
            if dry_run:
                outcomes = preview(found.jobs, restorer, output=output, existing=kept, max_pixels=max_pixels)
            else:
                outcomes = run_all(
                    found.jobs,
                    restorer,
                    output=output,
                    existing=kept,
                    max_pixels=max_pixels,
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
