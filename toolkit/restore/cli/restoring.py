"""Shared by `restore upscale` and `restore clean`: options, and running the batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restore.choices import MAX_PIXELS
from restore.cli import console, options
from restore.cli.clusters import connected
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.batch import Executor, Outcome, Output, Plan
    from restore.batch.jobs import Transfer
    from restore.batch.stores import StorePlan
    from restore.cli.reporting import Reporter
    from restore.cli.streams import Streams
    from restore.inference import AnyRestorer
    from restore.inference.tiles import TileSize

__all__ = ["BatchOptions", "loaded", "run", "tile_size"]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of the commands that restore images; see `restore.cli.grouping`."""

    inputs: options.Files
    out: Annotated[
        str | None,
        options.out("Write to this file or folder; - is standard output.", show_default="next to the input"),
    ] = None
    assign: options.Set = None
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="Write png, jpg, webp, tif, avif, ...", show_default="that of each input"
        ),
    ] = None
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Set the quality of lossy formats.", show_default="95")
    ] = None
    suffix: Annotated[
        str | None,
        typer.Option(help="Add this to the names of results.", show_default="such as _x4 or _clean"),
    ] = None
    keep_suffix: Annotated[
        bool, typer.Option("--keep-suffix", help="Keep the input's suffix in names, as in a.jpg.png.")
    ] = False
    strip: Annotated[bool, typer.Option("--strip", help="Leave out metadata; keep the color profile.")] = (
        False
    )
    small: Annotated[bool, typer.Option("--small", help="Compress PNG files as much as possible (slow).")] = (
        False
    )
    max_pixels: options.MaxPixels = MAX_PIXELS
    tile: options.Tile = "auto"
    precision: options.Precision = "auto"
    device: options.Device = "auto"
    engine: options.Engine = "torch"
    self_ensemble: options.SelfEnsemble = False
    recursive: options.Recursive = False
    existing: Annotated[
        Literal["overwrite", "skip", "error"] | None,
        typer.Option(
            help="Handle existing results; skip keeps finished ones.",
            show_default="overwrite for one file, else skip",
        ),
    ] = None
    check: Annotated[bool, typer.Option("--check", help="Compare each result with its input, and warn.")] = (
        False
    )
    check_map: Annotated[
        bool, typer.Option("--check-map", help="Like --check, and write an image of the differences.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be done, with estimates; write nothing.")
    ] = False
    cluster: options.Cluster = None
    json: options.Json = False


def loaded(
    model: str, batch: BatchOptions, numbers: Mapping[str, str] | None = None, **settings: Any
) -> AnyRestorer:
    """Load the model of a command.

    Args:
        model: as for `restore.load`.
        batch: the options of the command.
        numbers: values of options of the model, by name.
        settings: other arguments of `restore.load`.
    """
    from restore.allocator import keep_memory
    from restore.inference import load

    keep_memory()
    registry = console.discovered()
    chosen = options.by_name(batch.assign, options.labels_of([model]), options.sole_label([model]))
    return load(
        model,
        options={**(numbers or {}), **options.options_of_model(model, chosen)},
        device=batch.device,
        precision=batch.precision,
        tile=tile_size(batch.tile),
        engine=batch.engine,
        self_ensemble=batch.self_ensemble,
        registry=registry,
        **settings,
    )


def run(restorer: AnyRestorer, output: Output, suffix: str, batch: BatchOptions) -> None:
    """Restore the images of a command, or list them for a dry run, and print what became of each.

    Args:
        restorer: the model.
        output: size and encoding of the results.
        suffix: what is added to the names of results, unless the user chose something else.
        batch: the options of the command.

    Raises:
        typer.Exit: something failed or was interrupted.
    """
    from restore.cli.reporting import Reporter, ReportOptions
    from restore.cli.streams import STREAM, streams

    console.report_notes(restorer)
    if batch.cluster and STREAM in (*batch.inputs, batch.out):
        raise UsageError("the workers of a cluster have no standard input and output", hint="name files")
    looks = ReportOptions(
        json=batch.json, dry_run=batch.dry_run, check=batch.check or batch.check_map, draw=batch.check_map
    )
    out = Path(batch.out) if batch.out is not None else None
    with streams(batch.inputs, out, batch.format_, json=batch.json and not batch.dry_run) as files:
        found = _plan(batch, files, suffix)
        with (
            Reporter(found, files, looks) as reporter,
            _executor(batch) as executor,
            closing(_outcomes(found, restorer, output, batch, reporter, executor)) as outcomes,
        ):
            for outcome in outcomes:
                reporter.report(outcome)
        files.deliver()
    reporter.summarize()


def _plan(batch: BatchOptions, files: Streams, suffix: str) -> Plan | StorePlan:
    from restore.batch import Naming, plan
    from restore.batch.urls import is_url

    recursive = batch.recursive
    if any(is_url(text) for text in (*batch.inputs, batch.out or "")):
        if batch.check or batch.check_map:
            raise UsageError("results in a store cannot be checked", hint="omit `check`")
        from restore.batch.stores import plan_stores

        names = Naming(suffix, None, batch.suffix, batch.format_, batch.keep_suffix)
        return plan_stores(batch.inputs, batch.out, names, recursive=recursive)
    naming = Naming(suffix, files.out, batch.suffix, batch.format_, batch.keep_suffix)
    return plan(files.inputs, naming, recursive=recursive)


def _outcomes(
    found: Plan | StorePlan,
    restorer: AnyRestorer,
    output: Output,
    batch: BatchOptions,
    reporter: Reporter,
    executor: Executor | None,
) -> Generator[Outcome, None, None]:
    """What becomes of the images of a plan; of a plan of stores, all that is settled is reported at once."""
    from restore.batch import Plan, preview, run_all
    from restore.batch.skipping import Results

    existing = batch.existing or ("skip" if found.several else "overwrite")
    common: dict[str, Any] = {"output": output, "max_pixels": batch.max_pixels}
    running = common | {"listener": reporter, "executor": executor}
    if isinstance(found, Plan):
        if batch.dry_run:
            yield from preview(found.jobs, restorer, existing=existing, **common)
        else:
            yield from run_all(found.jobs, restorer, existing=existing, **running)
        return
    items = found.items(Results(restorer, output, existing), existing)
    if batch.dry_run:
        yield from map(_planned, items)
    else:
        yield from found.recorded(run_all(reporter.unsettled(items), restorer, **running))


def _planned(item: Transfer | Outcome) -> Outcome:
    from restore.batch import Outcome

    if isinstance(item, Outcome):
        return item
    return Outcome(item.source, "planned", item.destination)


@contextmanager
def _executor(batch: BatchOptions) -> Iterator[Executor | None]:
    """What runs the jobs: a cluster, or `None` for this process."""
    with connected(None if batch.dry_run else batch.cluster) as cluster:
        if cluster is None:
            yield None
        else:
            from restore.batch.cluster import ClusterExecutor

            yield ClusterExecutor(cluster, batch.device)


def tile_size(text: str) -> TileSize:
    """The value of `--tile`.

    Raises:
        typer.BadParameter: it is none of its values.
    """
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither 'auto', 'off' nor a number from 1", param_hint="--tile")
