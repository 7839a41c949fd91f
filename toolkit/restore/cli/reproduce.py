"""`restore reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore.choices import Engine, Precision
from restore.cli import console
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.inference import Restorer

__all__ = ["reproduce"]


def reproduce(
    *,
    table: Annotated[str, typer.Argument(help="A published table, or a paper for all of its tables.")],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="Target images of a data set of the table; repeatable."),
    ] = None,
    degraded: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Its inputs, for methods that worked on bicubic ones. Left out: they are made.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD=NAME:WEIGHTS", help="What stands for a method; repeatable."),
    ] = None,
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the hardware has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[
        Engine, typer.Option(help="What runs the networks; other engines than torch run on the CPU.")
    ] = "torch",
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each figure.")] = False,
) -> None:
    """Print the tables of a paper with measured values.

    What cannot be measured, because weights or images are not given, is shown as missing with what to do.
    """
    from restore.allocator import keep_memory
    from restore.evaluation import Reproduction, find_tables
    from restore.inference import load
    from restore.registry import discover
    from restore.report import plain, reproduction

    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    loaded: dict[tuple[str, int], Restorer] = {}

    def ready(reference: str, scale: int) -> Restorer:
        if (reference, scale) not in loaded:
            loaded[reference, scale] = load(
                reference, scale=scale, precision=precision, device=device, engine=engine, registry=registry
            )
        return loaded[reference, scale]

    work = Reproduction(
        find_tables(table, registry),
        registry,
        _folders("--data", data or []),
        _folders("--degraded", degraded or []),
        _pairs("--model", model or []),
        ready,
    )
    broken: dict[str, None] = {}
    texts = []
    for one in work.tables:
        cells = work.cells(one)
        texts.append(plain(reproduction(one, cells, registry.metrics[one.metric].digits)))
        for cell in cells:
            broken |= dict.fromkeys(f"{cell.data}: {reason}" for reason in (cell.failures or {}).values())
            if json:
                console.emit(cell.to_json())
    if not json:
        typer.echo("\n\n".join(texts))
    for sentence in broken:
        console.error(sentence)
    if broken:
        raise typer.Exit(1)


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} takes NAME=..., but got '{text}'")
        pairs[name] = value
    return pairs


def _folders(option: str, given: list[str]) -> dict[str, Path]:
    folders = {name: Path(value) for name, value in _pairs(option, given).items()}
    for folder in folders.values():
        if not folder.is_dir():
            raise UsageError(f"there is no folder '{folder}' for {option}")
    return folders
