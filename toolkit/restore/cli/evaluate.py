"""`restore evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console, options
from restore.cli.clusters import connected
from restore.cli.data_sets import DataOptions, check_names, data_sets, divided
from restore.cli.grouping import grouped
from restore.cli.restorers import restorers
from restore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from restore.cluster import Cluster
    from restore.evaluation import AnyMeter, Dataset, Measured, Result, Row
    from restore.inference import AnyRestorer
    from restore.registry import Registry

    Measuring = Callable[
        [AnyRestorer, Dataset], Callable[[Sequence[Path]], Iterable[tuple[Path, Measured | str]]] | None
    ]

__all__ = ["evaluate"]

Against = Annotated[
    str | None, typer.Option(help="Compare the models with this one.", show_default="the first model")
]


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """Where the results go; see `restore.cli.grouping`."""

    out: Annotated[
        list[Path] | None, options.out("Write the results to a .json, .csv or .md file. Repeatable.")
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(help="Write an .html page with tables, plots and a comparison of each image."),
    ] = None
    json: options.Json = False


@grouped
def evaluate(
    *,
    model: options.Models,
    images: DataOptions,
    scale: options.Scale = None,
    metric: options.Metrics = None,
    assign: options.Set = None,
    against: Against = None,
    computing: options.Computing,
    results: ResultOptions,
    cluster: options.Cluster = None,
) -> None:
    """Measure models against target images.

    Without --data, the images of --degraded are measured by metrics that need no target.
    Each degradation, and each value of --sweep, has a table of its own. The measurement
    protocol is printed with the values; only values of one protocol are in one table. An image that cannot be
    measured is reported with the reason, means are over the images that all models restored, and the exit
    code is 1.
    """
    from restore import evaluation
    from restore.allocator import keep_memory

    images.check()
    _check(model, against, results)
    keep_memory()
    registry = console.discovered()
    metrics = metric or evaluation.default_metrics(registry, with_targets=bool(images.data))
    known = {*metrics, *images.labels, *options.labels_of(model)}
    chosen = options.by_name(assign, known, options.sole_label(model))
    evaluation.check_meters(metrics, registry, chosen, with_targets=bool(images.data))
    scale = _scale(model, registry, scale)
    of_models, of_degradations = divided(chosen, images, registry)
    sets = data_sets(images, registry, scale, of_degradations)
    check_names(sets, once=results.report is not None)
    targets = list(dict.fromkeys(one.targets for one in sets if one.targets))
    meters: list[AnyMeter] = [
        *evaluation.meters(metrics, registry, scale, options=chosen, targets=targets),
        *evaluation.set_meters(metrics, registry, scale, options=chosen),
    ]
    used = restorers(model, registry, scale, of_models, computing)
    with connected(cluster) as connection:
        measure = _measuring(connection, meters, chosen, targets, computing.device)
        result = _result(used, sets, meters, against or model[0], measure, json=results.json)
    _write(result, results, sets, used)


def _check(model: Sequence[str], against: str | None, results: ResultOptions) -> None:
    """Refuse what contradicts itself or cannot be written, before anything is measured."""
    from restore.report import check_result_file, check_writable

    if against is not None and against not in model:
        raise UsageError(f"--against {against} is none of the models: {', '.join(model)}")
    for file in results.out or []:
        check_result_file(file)
    report = results.report
    if report is None:
        return
    if report.suffix.lower() not in {".html", ".htm"}:
        raise UsageError("a report is an HTML page", path=report, hint="end its name with .html")
    check_writable(report)
    twice = next((name for name in model if model.count(name) > 1), None)
    if twice:
        raise UsageError(f"--model {twice} is given twice, which a report cannot show", hint="omit one")


def _scale(models: Sequence[str], registry: Registry, scale: int | None) -> int:
    """The scale that all models are checked for; by default that of the first that does not work at any."""
    from restore.checkpoint import load_model
    from restore.inference import check_reference
    from restore.inference.choosing import AUTO
    from restore.registry import ModelReference

    for name in models:
        check_reference(name, registry, scale)
    if scale:
        return scale
    for name in models:
        if name == AUTO:
            return check_reference(name, registry) or 4
        parsed = ModelReference.parse(name)
        spec = registry.models[parsed.parts[0].name]
        if parsed.chain or spec.scales or spec.weights or parsed.weights:
            return check_reference(name, registry) or load_model(name, registry).scale
    return 4


def _result(
    restorers: Sequence[AnyRestorer],
    sets: Sequence[Dataset],
    meters: Sequence[AnyMeter],
    against: str,
    measure: Measuring,
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
        found = _measured(restorers, dataset, meters, measure)
        rows += found
        if json:
            part = result_of(found)
            for row in found:
                console.emit(part.row_json(row))
    return result_of(rows)


def _measuring(
    cluster: Cluster | None,
    meters: Sequence[AnyMeter],
    options: Mapping[str, Mapping[str, Any]],
    targets: Sequence[Path],
    device: str,
) -> Measuring:
    """How the images of a data set are measured with a model: on a cluster, or `None` for this process."""
    if cluster is None:
        return lambda *_: None
    from restore.evaluation.spreading import MeterArguments, spread

    metrics = MeterArguments.of(meters, options, targets)
    return lambda restorer, dataset: spread(cluster, restorer, dataset, metrics, device)


def _measured(
    restorers: Sequence[AnyRestorer], dataset: Dataset, meters: Sequence[AnyMeter], measure: Measuring
) -> list[Row]:
    """A row for each model, with a progress bar."""
    from restore import evaluation

    rows = []
    with console.progress() as bar:
        for restorer in restorers:
            title = f"{restorer.reference} on {dataset.name}{dataset.inputs and f' ({dataset.inputs})'}"
            with console.task(bar, title, total=len(dataset)) as update:
                row = evaluation.evaluate(
                    restorer, dataset, meters, update, with_cost=True, measure=measure(restorer, dataset)
                )
                rows.append(row)
    return rows


def _write(
    result: Result, results: ResultOptions, sets: Sequence[Dataset], restorers: Sequence[AnyRestorer]
) -> None:
    """Print the table, write the files, and report the images that could not be measured or compared.

    Raises:
        typer.Exit: there are some.
    """
    from restore.report import evaluation_table, write_result

    if not results.json:
        typer.echo(evaluation_table(result))
    for file in results.out or []:
        write_result(result, file)
    failures = result.failures()
    if results.report:
        failures += _write_report(result, results.report, sets, restorers)
    for sentence in failures:
        console.error(sentence)
    if failures:
        raise typer.Exit(1)


def _write_report(
    result: Result, report: Path, sets: Sequence[Dataset], restorers: Sequence[AnyRestorer]
) -> list[str]:
    """Write the page and the comparisons of the images that every model restored, with a progress bar.

    Returns:
        A sentence for each image that could not be compared.
    """
    from restore.pages import evaluated_images, write_evaluation

    with console.progress() as bar, console.task(bar, report.name, total=sum(map(len, sets))) as update:
        images = evaluated_images(result, sets, update)
        return write_evaluation(result, report, images, restorers, result.image_meters)
