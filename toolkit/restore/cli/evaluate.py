"""`restore evaluate`."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console
from restore.config import Precision
from restore.errors import UsageError

__all__ = ["evaluate"]


def evaluate(
    *,
    model: Annotated[list[str], typer.Option(help="NAME[:WEIGHTS]; repeatable.", show_default=False)],
    data: Annotated[
        list[Path], typer.Option(help="Folder of target images; repeatable.", show_default=False)
    ],
    degraded: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of inputs with the targets' names, one for each --data. Left out: they are made."
        ),
    ] = None,
    scale: Annotated[int, typer.Option(help="Target pixels per input pixel along one side.")] = 4,
    metric: Annotated[list[str], typer.Option(help="Name of a metric; repeatable.")] = ["psnr", "ssim"],  # noqa: B006
    degradation: Annotated[str, typer.Option(help="Makes the inputs without --degraded.")] = "bicubic",
    precision: Annotated[Precision, typer.Option(help="auto: bf16 where the hardware has it.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each model and data set.")
    ] = False,
) -> None:
    """Measure models against target images.

    Each figure carries the protocol by which it was measured; only figures of one protocol share a column.
    """
    from restore import evaluation
    from restore.allocator import keep_memory
    from restore.inference import load
    from restore.registry import discover
    from restore.report import evaluation_table

    if degraded and len(degraded) != len(data):
        raise UsageError(
            f"--degraded is given {len(degraded)} times for {len(data)} --data: give one for each"
        )
    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    used = evaluation.meters(metric, registry, scale)
    sets = [
        evaluation.dataset(targets, registry, scale, degraded=inputs, degradation=degradation)
        for targets, inputs in zip_longest(data, degraded or [])
    ]
    restorers = [
        load(name, scale=scale, precision=precision, device=device, registry=registry) for name in model
    ]
    rows = []
    with console.progress() as bar:
        for dataset in sets:
            for restorer in restorers:
                title = f"{restorer.model.reference} on {dataset.name}"
                with console.task(bar, title, total=len(dataset)) as update:
                    row = evaluation.evaluate(restorer, dataset, used, update)
                rows.append(row)
                if json:
                    console.emit(evaluation.Result((row,), tuple(used), row.model).row_json(row))
    if not json:
        typer.echo(evaluation_table(rows, used))
