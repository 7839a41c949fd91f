"""`restore compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.choices import Precision
from restore.cli import console
from restore.errors import UsageError

__all__ = ["compare"]


def compare(
    *,
    image: Annotated[Path, typer.Argument(help="Image file.", show_default=False)],
    model: Annotated[list[str], typer.Option(help="NAME[:WEIGHTS]; repeatable.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help=".html for a page, .png for a sheet. Left out: a page beside the image."
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (.png), too.")] = None,
    target: Annotated[Path | None, typer.Option(help="The original, to measure the results by.")] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="LEFT,TOP,WIDTH,HEIGHT", help="Only this part, in input pixels.")
    ] = None,
    metric: Annotated[list[str], typer.Option(help="Measured with --target; repeatable.")] = ["psnr", "ssim"],  # noqa: B006
    scale: Annotated[
        int | None, typer.Option(help="Output pixels per input pixel. Left out: the models' own, mostly 4.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the processor has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Show the results of several models on one image.

    The page needs nothing but a browser: it holds its pictures and loads nothing. It shows two models under a
    slider, the same detail of all, where they differ most, their times, and figures if there is a target.
    """
    page = out or (sheet is None and image.with_name(f"{image.stem}_compare.html")) or None
    if page and page.suffix.lower() == ".png":
        if sheet:
            raise UsageError(
                f"-o {page} and --sheet {sheet} are both sheets: give -o a name that ends in .html"
            )
        page, sheet = None, page
    _check_places(page, sheet, [image] + ([target] if target else []))

    from restore.allocator import keep_memory
    from restore.evaluation import Crop
    from restore.evaluation import compare as compared
    from restore.inference import load
    from restore.pages import write_page, write_sheet
    from restore.registry import discover

    part = Crop.parse(crop) if crop else None
    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    metrics = [registry.metrics[name] for name in metric]
    restorers = [
        load(name, scale=scale, precision=precision, device=device, registry=registry) for name in model
    ]
    for restorer in restorers:
        console.tell_notes(restorer)
    with console.progress() as bar, console.task(bar, image.name, total=len(restorers)) as update:
        found = compared(
            image,
            restorers,
            target=target,
            metrics=metrics,
            crop=part,
            watch=lambda index, share: update(index + share),
        )
    for path, write in ((page, write_page), (sheet, write_sheet)):
        if path:
            write(found, path)
            typer.echo(f"{path}  {found.size[0]}x{found.size[1]}  {_models(len(restorers))}  {_weight(path)}")


def _check_places(page: Path | None, sheet: Path | None, inputs: list[Path]) -> None:
    """Refuse names that promise another format, and those of the inputs."""
    for path, suffixes, what in ((page, {".html", ".htm"}, "a page"), (sheet, {".png"}, "a sheet")):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(
                f"{what} cannot be called '{path}': give a name that ends in .html or, for a sheet, in .png"
            )
        if path.resolve() in {file.resolve() for file in inputs}:
            raise UsageError(f"'{path}' is an input and would be overwritten: give another name")


def _models(count: int) -> str:
    return f"{count} {'model' if count == 1 else 'models'}"


def _weight(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
