"""`restore evaluate`."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console, options
from restore.cli.clusters import connected
from restore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from restore.cluster import Cluster
    from restore.evaluation import AnyMeter, Dataset, Measured, Result, Row, Variant
    from restore.inference import AnyRestorer
    from restore.registry import Registry

    Measuring = Callable[
        [AnyRestorer, Dataset], Callable[[Sequence[Path]], Iterable[tuple[Path, Measured | str]]] | None
    ]

__all__ = ["evaluate"]


def evaluate(
    *,
    model: options.Models,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FOLDER", help="Add a folder of target images. Repeatable."),
    ] = None,
    degraded: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FOLDER",
            help="Use the inputs in this folder; one for each --data, named as its targets, or without any.",
        ),
    ] = None,
    scale: options.Scale = None,
    metric: options.Metrics = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[+NAME...]",
            help="Make the inputs by this degradation, without --degraded. Repeatable.",
            show_default="bicubic",
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.OPTION=VALUE,VALUE",
            help="Evaluate each value of an option of a degradation. Repeatable.",
        ),
    ] = None,
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
    cluster: options.Cluster = None,
    json: options.Json = False,
) -> None:
    """Measure models against target images.

    Without --data, the images of --degraded are measured by metrics that need no target.
    Each degradation, and each value of --sweep, has a table of its own. Each value carries the protocol by
    which it was measured; only values of one protocol share a column. An image that cannot be measured is
    reported with its reason, means are over the images that all models restored, and the exit code is 1.
    """
    from restore import evaluation
    from restore.allocator import keep_memory
    from restore.data import labels
    from restore.inference import check_reference, load_at
    from restore.registry import discover
    from restore.report import evaluation_table, write_result

    _check_arguments(model, data or [], degraded or [], against, made=bool(degradation or sweep))
    _check_files(model, out or [], report)
    keep_memory()
    registry = discover()
    console.report_problems(registry)
    metrics = metric or evaluation.default_metrics(registry, with_targets=bool(data))
    degradations = degradation or ["bicubic"]
    known = {*metrics, *(label for name in degradations for label in labels(name)), *options.labels_of(model)}
    chosen = options.by_name(assign, known, options.sole_label(model))
    evaluation.check_meters(metrics, registry, chosen, with_targets=bool(data))
    for name in model:
        check_reference(name, registry, scale)
    scale = scale or _scale(model, registry)
    of_models, of_degradations = _divided(chosen, degradations, registry)
    ways = evaluation.variants(
        degradations, of_degradations, [evaluation.Sweep.parse(text) for text in sweep or ()]
    )
    sets = _data_sets(data or [], degraded or [], registry, scale, ways)
    _check_names(sets, once=report is not None)
    targets = list(dict.fromkeys(one.targets for one in sets if one.targets))
    meters: list[AnyMeter] = [
        *evaluation.meters(metrics, registry, scale, options=chosen, targets=targets),
        *evaluation.set_meters(metrics, registry, scale, options=chosen),
    ]
    restorers = [
        load_at(
            name,
            registry,
            scale,
            options.options_of_model(name, of_models),
            precision=precision,
            device=device,
            engine=engine,
        )
        for name in model
    ]
    for restorer in restorers:
        console.report_notes(restorer)
    with connected(cluster) as connection:
        measure = _measuring(connection, meters, chosen, targets, device)
        result = _result(restorers, sets, meters, against or model[0], measure, json=json)
    if not json:
        typer.echo(evaluation_table(result))
    for file in out or []:
        write_result(result, file)
    failures = result.failures()
    if report:
        failures += _write_report(result, report, sets, restorers)
    for sentence in failures:
        console.error(sentence)
    if failures:
        raise typer.Exit(1)


def _scale(models: Sequence[str], registry: Registry) -> int:
    """The scale of the first model that does not work at any; 4 if all do."""
    from restore.checkpoint import load_model
    from restore.inference import check_reference
    from restore.inference.choosing import AUTO
    from restore.registry import ModelReference

    for name in models:
        if name == AUTO:
            return check_reference(name, registry) or 4
        parsed = ModelReference.parse(name)
        spec = registry.models[parsed.parts[0].name]
        if parsed.chain or spec.scales or spec.weights or parsed.weights:
            return check_reference(name, registry) or load_model(name, registry).scale
    return 4


def _divided(
    chosen: Mapping[str, Mapping[str, Any]], degradations: Sequence[str], registry: Registry
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The options of models and those of degradations, some of which have the same name, such as bicubic."""
    from restore.data import labels

    of_models, of_degradations = ({name: dict(own) for name, own in chosen.items()} for _ in range(2))
    for label in {label for name in degradations for label in labels(name)} & {*registry.models}:
        fields = registry.degradations[label].options.model_fields
        for key in chosen.get(label, {}):
            del (of_models if key in fields else of_degradations)[label][key]
    return of_models, of_degradations


def _data_sets(
    data: Sequence[str],
    degraded: Sequence[str],
    registry: Registry,
    scale: int,
    ways: Sequence[Variant],
) -> list[Dataset]:
    from restore.evaluation import dataset, named_folder

    sets = []
    nothing = ("", None)
    for targets, inputs in zip_longest(
        map(named_folder, data), map(named_folder, degraded), fillvalue=nothing
    ):
        for way in ways:
            found = dataset(
                targets[1],
                registry,
                scale,
                name=targets[0] or inputs[0],
                degraded=inputs[1],
                degradation=way.degradation,
                options=way.options,
            )
            sets.append(replace(found, swept=way.swept))
    return sets


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
    from restore.evaluation.spreading import Metrics, spread

    metrics = Metrics.of(meters, options, targets)
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


def _write_report(
    result: Result, report: Path, sets: Sequence[Dataset], restorers: Sequence[AnyRestorer]
) -> list[str]:
    """Write the page and the comparisons of the images that every model restored, with a progress bar.

    Returns:
        A sentence for each image that could not be compared.
    """
    from restore.pages import scenes, write_evaluation

    with console.progress() as bar, console.task(bar, report.name, total=sum(map(len, sets))) as update:
        return write_evaluation(result, report, scenes(result, sets, update), restorers, result.image_meters)


def _check_arguments(
    model: Sequence[str],
    data: Sequence[str],
    degraded: Sequence[str],
    against: str | None,
    *,
    made: bool,
) -> None:
    """Refuse what contradicts itself, before anything is measured."""
    if not data and not degraded:
        raise UsageError(
            "there are no images", hint="give folders of targets by --data, or of inputs by --degraded"
        )
    if degraded and made:
        raise UsageError(
            "--degraded gives the inputs, which --degradation and --sweep would make", hint="omit one"
        )
    if data and degraded and len(degraded) != len(data):
        raise UsageError(
            f"--degraded is given {len(degraded)} times for {len(data)} --data", hint="give one for each"
        )
    if against is not None and against not in model:
        raise UsageError(f"--against {against} is none of the models: {', '.join(model)}")


def _check_files(model: Sequence[str], out: Sequence[Path], report: Path | None) -> None:
    """Refuse what cannot be written, before anything is measured."""
    from restore.report import check_result_file, check_writable

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
    names = [(dataset.name, dataset.inputs) for dataset in sets]
    by_name: Mapping[str, Dataset] = {dataset.name: dataset for dataset in reversed(sets)}
    for dataset in sets:
        if once and names.count((dataset.name, dataset.inputs)) > 1:
            raise UsageError(
                f"--data '{dataset.name}' is given twice, and a report has one comparison of each image",
                hint="give names: --data NAME=FOLDER",
            )
        if by_name[dataset.name].folder != dataset.folder:
            raise UsageError(
                f"two folders of --data are called '{dataset.name}'", hint="give names: --data NAME=FOLDER"
            )
