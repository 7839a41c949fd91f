"""`restore evaluate`."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console
from restore.config import Engine, Precision, assignments
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.evaluation import Dataset, Meter, Result, Row
    from restore.inference import Restorer

__all__ = ["evaluate", "measure", "tell_failures"]


def evaluate(
    *,
    model: Annotated[list[str], typer.Option(help="NAME[:WEIGHTS]; repeatable.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FOLDER", help="Folder of target images; repeatable.", show_default=False
        ),
    ],
    degraded: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of inputs with the targets' names, one for each --data. Left out: they are made."
        ),
    ] = None,
    scale: Annotated[int, typer.Option(help="Target pixels per input pixel along one side.")] = 4,
    metric: Annotated[list[str], typer.Option(help="Name of a metric or a loss; repeatable.")] = [  # noqa: B006
        "psnr",
        "ssim",
    ],
    degradation: Annotated[str, typer.Option(help="Makes the inputs without --degraded.")] = "bicubic",
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME.OPTION=VALUE", help="Option of a metric, a loss or the degradation."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="The model that the others are compared with. Left out: the first one."),
    ] = None,
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the hardware has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[
        Engine, typer.Option(help="What runs the networks; other engines than torch run on the CPU.")
    ] = "torch",
    out: Annotated[
        list[Path] | None,
        typer.Option("-o", "--out", help="Write the results to a .json, .csv or .md file; repeatable."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each model and data set.")
    ] = False,
) -> None:
    """Measure models against target images.

    Each figure carries the protocol by which it was measured; only figures of one protocol share a column.
    An image that cannot be measured is named with its reason, means are over the images that all models
    did, and the exit code is 1.
    """
    from restore import evaluation
    from restore.allocator import keep_memory
    from restore.inference import load
    from restore.registry import discover
    from restore.report import check_result_file, evaluation_table, write_result
    from restore.versions import versions

    if degraded and len(degraded) != len(data):
        raise UsageError(
            f"--degraded is given {len(degraded)} times for {len(data)} --data: give one for each"
        )
    if against is not None and against not in model:
        raise UsageError(f"--against {against} is none of the models: {', '.join(model)}")
    for file in out or []:
        check_result_file(file)
    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    options = _options(assign or [], {*metric, degradation})
    sets = [
        evaluation.dataset(
            folder,
            registry,
            scale,
            name=name,
            degraded=inputs,
            degradation=degradation,
            options=options.get(degradation),
        )
        for (name, folder), inputs in zip_longest(map(evaluation.named_folder, data), degraded or [])
    ]
    _check_names(sets)
    used = evaluation.meters(metric, registry, scale, options=options, targets=[one.targets for one in sets])
    restorers = [
        load(name, scale=scale, precision=precision, device=device, engine=engine, registry=registry)
        for name in model
    ]
    for restorer in restorers:
        console.tell_notes(restorer)
    rows: list[Row] = []
    for dataset in sets:
        found = measure(restorers, dataset, used)
        rows += found
        if json:
            part = evaluation.Result(tuple(found), tuple(used), against or model[0], versions())
            for row in found:
                console.emit(part.row_json(row))
    result = evaluation.Result(tuple(rows), tuple(used), against or model[0], versions())
    if not json:
        typer.echo(evaluation_table(result))
    for file in out or []:
        write_result(result, file)
    if tell_failures(result):
        raise typer.Exit(1)


def measure(restorers: list[Restorer], dataset: Dataset, used: list[Meter]) -> list[Row]:
    """A row of each model, with a progress bar."""
    from restore import evaluation

    rows = []
    with console.progress() as bar:
        for restorer in restorers:
            title = f"{restorer.model.reference} on {dataset.name}"
            with console.task(bar, title, total=len(dataset)) as update:
                rows.append(evaluation.evaluate(restorer, dataset, used, update, with_cost=True))
    return rows


def tell_failures(result: Result) -> int:
    """Name each image that could not be measured, once for each reason, and give their number."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in result.rows:
        for name, reason in row.failures.items():
            reasons.setdefault((row.data, name, reason), []).append(row.model)
    models = len({row.model for row in result.rows})
    for (data, name, reason), failed in reasons.items():
        who = "" if len(failed) == models else f"{', '.join(failed)}: "
        console.error(f"{data}: {name}: {who}{reason}")
    return len(reasons)


def _options(assigned: list[str], known: set[str]) -> dict[str, dict[str, Any]]:
    """Name -> its options, of ``NAME.OPTION=VALUE``."""
    options: dict[str, dict[str, Any]] = {}
    for key, value in assignments(assigned):
        name, dot, option = key.partition(".")
        if not dot or name not in known:
            raise UsageError(
                f"--set takes NAME.OPTION=VALUE, where NAME is used ({', '.join(sorted(known))}), but got "
                f"'{key}'"
            )
        options.setdefault(name, {})[option] = value
    return options


def _check_names(sets: list[Dataset]) -> None:
    for dataset in sets:
        if any(other.name == dataset.name and other.targets != dataset.targets for other in sets):
            raise UsageError(
                f"two folders of --data are called '{dataset.name}': give names, --data NAME=FOLDER"
            )
