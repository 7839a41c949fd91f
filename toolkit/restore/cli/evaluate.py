"""`restore evaluate`."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console, options
from restore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from restore.evaluation import Dataset, Meter, Result, Row
    from restore.images import Photo
    from restore.inference import Restorer
    from restore.pages import Scene
    from restore.registry import Registry

__all__ = ["evaluate"]


def evaluate(
    *,
    model: options.Models,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FOLDER", help="Add a folder of target images. Repeatable.", show_default=False
        ),
    ],
    degraded: Annotated[
        list[Path] | None,
        typer.Option(help="Use the inputs in this folder, with the targets' names; one for each --data."),
    ] = None,
    scale: Annotated[int, typer.Option(min=1, help="Set the target pixels per input pixel.")] = 4,
    metric: options.Metrics = None,
    degradation: Annotated[
        str, typer.Option(help="Make the inputs by this degradation, without --degraded.")
    ] = "bicubic",
    assign: options.Set = None,
    against: Annotated[
        str | None,
        typer.Option(help="Compare the models with this one.", show_default="the first model"),
    ] = None,
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    engine: options.Engine = "torch",
    out: Annotated[
        list[Path] | None, options.out("Write the results to a .json, .csv or .md file. Repeatable.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write an .html page with tables, plots and a comparison of each image."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure models against target images.

    Each value carries the protocol by which it was measured; only values of one protocol share a column. An
    image that cannot be measured is reported with its reason, means are over the images that all models
    restored, and the exit code is 1.
    """
    from restore import evaluation
    from restore.allocator import keep_memory
    from restore.checkpoint import check_reference, load_model
    from restore.data import labels
    from restore.inference import Restorer
    from restore.registry import discover
    from restore.report import evaluation_table, write_result

    _check_arguments(model, data, degraded, against, out or [], report)
    keep_memory()
    registry = discover()
    console.tell_problems(registry)
    metrics = metric or ["psnr", "ssim"]
    known = {*metrics, *labels(degradation), *options.labels_of(model)}
    chosen = options.by_name(assign, known, options.sole_label(model))
    evaluation.check_meters(metrics, registry, chosen)
    for name in model:
        check_reference(name, registry, scale)
    sets = _data_sets(data, degraded, registry, scale, degradation, chosen)
    _check_names(sets, once=report is not None)
    meters = evaluation.meters(
        metrics, registry, scale, options=chosen, targets=[one.targets for one in sets]
    )
    restorers = [
        Restorer(
            load_model(name, registry, scale, options.options_of_model(name, chosen)),
            precision=precision,
            device=device,
            engine=engine,
        )
        for name in model
    ]
    for restorer in restorers:
        console.tell_notes(restorer)
    result = _result(restorers, sets, meters, against or model[0], json=json)
    if not json:
        typer.echo(evaluation_table(result))
    for file in out or []:
        write_result(result, file)
    failures = _failures(result)
    if report:
        failures += _write_report(result, report, sets, restorers)
    for sentence in failures:
        console.error(sentence)
    if failures:
        raise typer.Exit(1)


def _data_sets(
    data: Sequence[str],
    degraded: Sequence[Path] | None,
    registry: Registry,
    scale: int,
    degradation: str,
    options: Mapping[str, Mapping[str, Any]],
) -> list[Dataset]:
    from restore.data import options_of
    from restore.evaluation import dataset, named_folder

    return [
        dataset(
            folder,
            registry,
            scale,
            name=name,
            degraded=inputs,
            degradation=degradation,
            options=options_of(degradation, options),
        )
        for (name, folder), inputs in zip_longest(map(named_folder, data), degraded or [])
    ]


def _result(
    restorers: Sequence[Restorer],
    sets: Sequence[Dataset],
    meters: Sequence[Meter],
    against: str,
    *,
    json: bool,
) -> Result:
    """Measure each model on each data set; with `json`, print the rows of each data set as it is done."""
    from restore import evaluation
    from restore.versions import versions

    def result_of(rows: Sequence[Row]) -> Result:
        return evaluation.Result(tuple(rows), tuple(meters), against, versions())

    rows: list[Row] = []
    for dataset in sets:
        found = _measured(restorers, dataset, meters)
        rows += found
        if json:
            part = result_of(found)
            for row in found:
                console.emit(part.row_json(row))
    return result_of(rows)


def _measured(restorers: Sequence[Restorer], dataset: Dataset, meters: Sequence[Meter]) -> list[Row]:
    """A row for each model, with a progress bar."""
    from restore import evaluation

    rows = []
    with console.progress() as bar:
        for restorer in restorers:
            title = f"{restorer.model.reference} on {dataset.name}"
            with console.task(bar, title, total=len(dataset)) as update:
                rows.append(evaluation.evaluate(restorer, dataset, meters, update, with_cost=True))
    return rows


def _failures(result: Result) -> list[str]:
    """A sentence for each image that could not be measured, and each reason."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in result.rows:
        for name, reason in row.failures.items():
            reasons.setdefault((row.data, name, reason), []).append(row.model)
    models = len({row.model for row in result.rows})
    sentences = []
    for (data, name, reason), failed in reasons.items():
        who = "" if len(failed) == models else f"{', '.join(failed)}: "
        sentences.append(f"{data}: {name}: {who}{reason}")
    return sentences


def _write_report(
    result: Result, report: Path, sets: Sequence[Dataset], restorers: Sequence[Restorer]
) -> list[str]:
    """Write the page and the comparisons of the images that every model restored, with a progress bar.

    Returns:
        A sentence for each image that could not be compared.
    """
    from restore.pages import write_evaluation

    with console.progress() as bar, console.task(bar, report.name, total=sum(map(len, sets))) as update:
        return write_evaluation(result, report, _scenes(result, sets, update), restorers, result.meters)


def _scenes(result: Result, sets: Sequence[Dataset], update: Callable[[float], None]) -> Iterator[Scene]:
    """The images that every model restored."""
    from restore.pages import Scene

    done = 0
    for dataset in sets:
        restored = {name for row in result.rows if row.data == dataset.name for name in result.common(row)}
        for file in dataset.files():
            name = dataset.name_of(file)
            if name in restored:
                yield Scene(dataset.name, name, partial(_photos, dataset, file))
            done += 1
            update(done)


def _photos(dataset: Dataset, file: Path) -> tuple[Photo, Photo]:
    """Input and target as they are measured: colors only, and a gray target is its own luma."""
    from restore.images import Photo

    pair = dataset.pair(file)
    return Photo(pair.degraded), Photo(pair.target, gray=pair.gray)


def _check_arguments(
    model: Sequence[str],
    data: Sequence[str],
    degraded: Sequence[Path] | None,
    against: str | None,
    out: Sequence[Path],
    report: Path | None,
) -> None:
    """Refuse what contradicts itself or cannot be written, before anything is measured."""
    from restore.report import check_result_file, check_writable

    if degraded and len(degraded) != len(data):
        raise UsageError(
            f"--degraded is given {len(degraded)} times for {len(data)} --data", hint="give one for each"
        )
    if against is not None and against not in model:
        raise UsageError(f"--against {against} is none of the models: {', '.join(model)}")
    for file in out:
        check_result_file(file)
    if report is None:
        return
    if report.suffix.lower() not in {".html", ".htm"}:
        raise UsageError("a report is an HTML page", path=report, hint="end its name with .html")
    check_writable(report)
    twice = next((name for name in model if model.count(name) > 1), None)
    if twice:
        raise UsageError(f"--model {twice} is given twice, which a report cannot show", hint="omit one")


def _check_names(sets: Sequence[Dataset], *, once: bool) -> None:
    names = [dataset.name for dataset in sets]
    by_name: Mapping[str, Dataset] = {dataset.name: dataset for dataset in reversed(sets)}
    for dataset in sets:
        if once and names.count(dataset.name) > 1:
            raise UsageError(
                f"--data '{dataset.name}' is given twice, and a report has one comparison of each image",
                hint="give names: --data NAME=FOLDER",
            )
        if by_name[dataset.name].targets != dataset.targets:
            raise UsageError(
                f"two folders of --data are called '{dataset.name}'", hint="give names: --data NAME=FOLDER"
            )
