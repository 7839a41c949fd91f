"""`restore reproduce`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console, options
from restore.cli.errors import in_options
from restore.cli.grouping import grouped
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.evaluation import Cell
    from restore.inference import Restorer

    Load = Callable[[str, int, Mapping[str, Any]], Restorer]

__all__ = ["reproduce"]


Data = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FOLDER", help="Use these targets for a data set. Repeatable."),
]
Degraded = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FOLDER",
        help="Use these inputs for methods that restored bicubic ones.",
        show_default="inputs are made",
    ),
]
Model = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METHOD=NAME:WEIGHTS", help="Measure this model for a method or its model. Repeatable."
    ),
]


@grouped
def reproduce(
    *,
    table: Annotated[str, typer.Argument(help="A published table, or a paper for all of its tables.")],
    data: Data = None,
    degraded: Degraded = None,
    model: Model = None,
    computing: options.Computing,
    json: options.Json = False,
) -> None:
    """Print the tables of a paper with measured values.

    Values that cannot be measured, because weights or images are missing, are marked with what is needed.
    """
    from restore.allocator import keep_memory
    from restore.checkpoint import load_model
    from restore.evaluation import Reproduction, find_tables
    from restore.inference import Restorer
    from restore.report import plain, reproduction

    keep_memory()
    registry = console.discovered()

    def load_restorer(reference: str, scale: int, chosen: Mapping[str, Any]) -> Restorer:
        return Restorer(load_model(reference, registry, scale, chosen), **vars(computing))

    work = Reproduction(
        find_tables(table, registry),
        registry,
        _folders("--data", data),
        _folders("--degraded", degraded),
        _pairs("--model", model),
        _once(load_restorer),
    )
    cells: list[Cell] = []
    for number, one in enumerate(work.tables):
        found = work.cells(one)
        cells += found
        if json:
            for cell in found:
                console.emit(cell.to_json())
        else:
            block = plain(reproduction(one, found, registry.metrics[one.metric].digits))
            typer.echo("\n" * (number > 0) + "\n".join(map(in_options, block.splitlines())))
    _fail_if_images_failed(cells)


def _once(load: Load) -> Load:
    """`load`, which loads each model with the same options once."""
    loaded: dict[tuple[Any, ...], Restorer] = {}

    def once(reference: str, scale: int, chosen: Mapping[str, Any]) -> Restorer:
        key = (reference, scale, *sorted(chosen.items()))
        if key not in loaded:
            loaded[key] = load(reference, scale, chosen)
        return loaded[key]

    return once


def _fail_if_images_failed(cells: Sequence[Cell]) -> None:
    failures = [f"{cell.data}: {reason}" for cell in cells for reason in (cell.failures or {}).values()]
    for sentence in dict.fromkeys(failures):
        console.error(sentence)
    if failures:
        raise typer.Exit(1)


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} takes NAME=..., but got '{text}'")
        pairs[name] = value
    return pairs


def _folders(option: str, given: Sequence[str] | None) -> dict[str, Path]:
    folders = {name: Path(value) for name, value in _pairs(option, given).items()}
    for folder in folders.values():
        if not folder.is_dir():
            raise UsageError("there is no such folder", path=folder, hint=f"check {option}")
    return folders
