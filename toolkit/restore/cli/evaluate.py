"""`restore evaluate`."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.choices import Engine, Precision
from restore.cli import console
from restore.config import assignments
from restore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from restore.evaluation import Dataset, Meter, Result, Row
    from restore.images import Photo
    from restore.inference import Restorer
    from restore.interfaces import MetricSpec

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
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page (.html) with tables and plots, and beside it a comparison of each image."
        ),
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
    if report:
        _check_report(report, model)
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
    _check_names(sets, once=report is not None)
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
    if report:
        plain = [
            registry.metrics[name] for name in metric if name in registry.metrics and name not in options
        ]
        _write_report(result, report, sets, restorers, plain)
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


def _write_report(
    result: Result,
    report: Path,
    sets: list[Dataset],
    restorers: list[Restorer],
    metrics: list[MetricSpec],
) -> None:
    """The page and the comparisons of the images that every model did, with a progress bar."""
    from restore.pages import write_evaluation

    with console.progress() as bar, console.task(bar, report.name, total=sum(map(len, sets))) as update:
        images = _measured_pairs(result, sets, update)
        left_out = write_evaluation(result.to_json(), report, images, restorers, metrics)
    for sentence in left_out:
        console.message(f"note: {sentence}")


def _measured_pairs(
    result: Result, sets: list[Dataset], update: Callable[[float], None]
) -> Iterator[tuple[str, str, Photo, Photo]]:
    """Data set, name, input and target of the images that every model did."""
    from restore.images import Photo

    done = 0
    for dataset in sets:
        failed = {name for row in result.rows if row.data == dataset.name for name in row.failures}
        for file in dataset.files():
            if dataset.name_of(file) not in failed:
                pair = dataset.pair(file)
                # As they are measured: colours only, and a gray target is its own luma.
                yield dataset.name, pair.name, Photo(pair.degraded), Photo(pair.target, gray=pair.gray)
            done += 1
            update(done)


def _check_report(report: Path, models: list[str]) -> None:
    """Refuse what the page could not show, before anything is measured."""
    if report.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"a report cannot be called '{report}': give a name that ends in .html")
    twice = next((name for name in models if models.count(name) > 1), None)
    if twice:
        raise UsageError(f"--model {twice} is given twice, which a report cannot show: leave one out")


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


def _check_names(sets: list[Dataset], *, once: bool) -> None:
    names = [dataset.name for dataset in sets]
    for dataset in sets:
        if once and names.count(dataset.name) > 1:
            raise UsageError(
                f"--data '{dataset.name}' is given twice, and a report has one comparison of each image: "
                "give names, --data NAME=FOLDER"
            )
        if any(other.name == dataset.name and other.targets != dataset.targets for other in sets):
            raise UsageError(
                f"two folders of --data are called '{dataset.name}': give names, --data NAME=FOLDER"
            )
