"""`restore compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore.cli import console, options
from restore.cli.grouping import grouped
from restore.cli.restorers import restorers
from restore.errors import UsageError, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from restore.evaluation import Comparison

__all__ = ["compare"]


Out = Annotated[
    Path | None,
    options.out("Write a page (.html) or a sheet (.png).", show_default="a page next to the image"),
]
Sheet = Annotated[Path | None, typer.Option(help="Also write a contact sheet (.png).")]
Target = Annotated[Path | None, typer.Option(help="Measure the results against this original.")]
Part = Annotated[
    str | None,
    typer.Option(metavar="LEFT,TOP,WIDTH,HEIGHT", help="Compare only this part, in input pixels."),
]


@grouped
def compare(
    *,
    image: Annotated[Path, typer.Argument(help="Image file.", show_default=False)],
    model: options.Models,
    out: Out = None,
    sheet: Sheet = None,
    target: Target = None,
    crop: Part = None,
    metric: options.Metrics = None,
    assign: options.Set = None,
    scale: options.Scale = None,
    computing: options.Computing,
) -> None:
    """Show the results of several models on one image.

    The page is one self-contained file: two results under a slider, the same detail of all results, the
    regions where they differ most, times and metrics. Most metrics need a target. A model that fails is
    reported, the others are compared, and the exit code is 1.
    """
    from restore import evaluation
    from restore.allocator import keep_memory

    page, sheet = _places(image, out, sheet, target)
    part = evaluation.Crop.parse(crop) if crop else None
    keep_memory()
    registry = console.discovered()
    metrics = metric or (["psnr", "ssim"] if target else [])
    chosen = options.by_name(assign, {*metrics, *options.labels_of(model)}, options.sole_label(model))
    evaluation.check_meters(metrics, registry, chosen, with_targets=target is not None, with_sets=False)
    evaluation.check_references(model, registry, scale)
    scene = evaluation.Scene.read(image, target, part)
    used = restorers(model, registry, scale, chosen, computing)
    scale, targets = evaluation.check_comparable(used), [target] if target else []
    meters = evaluation.meters(metrics, registry, scale, options=chosen, targets=targets)
    with console.progress() as bar, console.task(bar, image.name, total=len(used)) as update:
        found = evaluation.compare(scene, used, meters, lambda index, share: update(index + share))
    _write(found, page, sheet)
    _warn(found, image)
    for name, reason in (found.failures or {}).items():
        console.error(f"{name}: {reason}")
    if found.failures:
        raise typer.Exit(1)


def _places(
    image: Path, out: Path | None, sheet: Path | None, target: Path | None
) -> tuple[Path | None, Path | None]:
    """Where the page and the sheet go.

    Raises:
        UsageError: a name is of another format, that of an input, or cannot be written.
    """
    page = out if out or sheet else image.with_name(f"{image.stem}_compare.html")
    if page and page.suffix.lower() == ".png":
        if sheet:
            raise UsageError(
                f"--out {page} and --sheet {sheet} are both sheets", hint="end the name of --out with .html"
            )
        page, sheet = None, page
    inputs = [image] + ([target] if target else [])
    _check(page, {".html", ".htm"}, "a page", inputs)
    _check(sheet, {".png"}, "a sheet", inputs)
    return page, sheet


def _check(path: Path | None, suffixes: set[str], what: str, inputs: Sequence[Path]) -> None:
    from restore.report import check_writable

    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{what} cannot have this name", path=path, hint="end it with .html or, for a sheet, with .png"
        )
    if path.resolve() in {file.resolve() for file in inputs}:
        raise UsageError("this is an input and would be overwritten", path=path, hint="give another name")
    check_writable(path)


def _warn(found: Comparison, image: Path) -> None:
    """Print a warning for each model that was trained on better images."""
    from restore.report.choices import Choices

    choices = Choices()
    for result in found.results:
        if result.choice and result.choice.beyond:
            choices.add(str(image), result.choice)
    for line in choices.lines:
        console.message(line)


def _write(found: Comparison, page: Path | None, sheet: Path | None) -> None:
    """Write the page and the sheet, and print a line for each."""
    from restore.pages import write_page, write_sheet

    count = len(found.results)
    models = f"{count} {'model' if count == 1 else 'models'}"
    for path, write in ((page, write_page), (sheet, write_sheet)):
        if path:
            write(found, path)
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            typer.echo(f"{escaped(str(path))}  {found.size[0]}x{found.size[1]}  {models}  {size}")
