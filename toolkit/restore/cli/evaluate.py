"""`restore evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from restore.cli import console
from restore.errors import UsageError

__all__ = ["evaluate"]


def evaluate(
    *,
    model: Annotated[list[str], typer.Option(help="NAME[:WEIGHTS]; repeatable.", show_default=False)],
    data: Annotated[list[Path], typer.Option(help="Folder of target images; repeatable.", show_default=False)],
    degraded: Annotated[
        Optional[list[Path]],
        typer.Option(help="Folder of inputs with the targets' names, one for each --data. [default: made]"),
    ] = None,
    scale: Annotated[int, typer.Option(help="Target pixels per input pixel along one side.")] = 4,
    metric: Annotated[list[str], typer.Option(help="Name of a metric; repeatable.")] = ["psnr", "ssim"],  # noqa: B006
    degradation: Annotated[str, typer.Option(help="Makes the inputs without --degraded.")] = "bicubic",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each model and data set.")] = False,
) -> None:
    """Measure models against target images.

    Each figure carries the protocol by which it was measured; only figures of one protocol share a column.
    """
    from restore import evaluation
    from restore.config import Precision
    from restore.inference import load
    from restore.interfaces import one_of
    from restore.registry import discover
    from restore.report import evaluation_table

    if degraded and len(degraded) != len(data):
        raise UsageError(f"--degraded is given {len(degraded)} times for {len(data)} --data: give one for each")
    registry = discover()
    console.tell_problems(registry)
    chosen: Precision = one_of(precision, Precision, "--precision")
    used = evaluation.meters(metric, registry, scale)
    sets = [
        evaluation.dataset(targets, registry, scale, degraded=inputs, degradation=degradation)
        for targets, inputs in zip(data, degraded or [None] * len(data), strict=True)
    ]
    restorers = [load(name, scale=scale, precision=chosen, device=device, registry=registry) for name in model]
    rows = []
    with console.progress() as bar:
        for dataset in sets:
            for restorer in restorers:
                task = bar.add_task(f"{restorer.model.reference} on {dataset.name}", total=None)
                row = evaluation.evaluate(restorer, dataset, used, lambda _, t=task: bar.advance(t))
                bar.remove_task(task)
                rows.append(row)
                if json:
                    console.emit(row.to_json())
    if not json:
        typer.echo(evaluation_table(rows, used))
