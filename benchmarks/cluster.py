"""Measure a cluster on this machine: how pictures per second grow with workers, and the cost per picture.

Every worker has one thread. The first table compares one worker with several for a network; the second
counts the processor time of the client and the scheduler for small pictures and bicubic interpolation.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import typer
from PIL import Image

import restore
from restore.batch import Naming, plan, run_all
from restore.batch.cluster import ClusterExecutor
from restore.cluster import Cluster, connect
from restore.errors import RestoreError
from restore.inference import Restorer


@contextmanager
def _warm(workers: int, restorer: Restorer, folder: Path) -> Iterator[Cluster]:
    """A cluster whose workers have loaded the model."""
    with connect(f"local:{workers}") as cluster:
        found = plan([str(folder)], Naming("_x4", folder.with_name("warm")))
        for outcome in run_all(found.jobs, restorer, executor=ClusterExecutor(cluster)):
            if outcome.error:
                raise outcome.error
        yield cluster


def _seconds(cluster: Cluster, restorer: Restorer, folder: Path) -> tuple[float, float, int]:
    """Time on the clock, processor time of this process, which has client and scheduler, and pictures."""
    found = plan([str(folder)], Naming("_x4", folder.with_name("out")))
    begin, spent = time.perf_counter(), time.process_time()
    for outcome in run_all(found.jobs, restorer, executor=ClusterExecutor(cluster)):
        if outcome.error:
            raise outcome.error
    return time.perf_counter() - begin, time.process_time() - spent, len(found.jobs)


def main(
    model: Annotated[str, typer.Option(help="Network of the first table.")] = "enhancenet:e",
    images: Annotated[int, typer.Option(help="Pictures of 128x128 pixels of the first table.")] = 60,
    small: Annotated[int, typer.Option(help="Pictures of 16x16 pixels of the second table.")] = 1000,
    workers: Annotated[list[int] | None, typer.Option(help="Workers.", show_default="1 2")] = None,
    repeats: Annotated[int, typer.Option(help="Runs, of which the median counts.")] = 3,
) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as place:
        try:
            _measure(Path(place), model, (images, small), workers or [1, 2], repeats)
        except RestoreError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None


def _measure(place: Path, model: str, counts: tuple[int, int], workers: list[int], repeats: int) -> None:
    large = _draw(place / "large", counts[0], 128)
    tiny = _draw(place / "tiny", counts[1], 16)
    network, bicubic = restore.load(model), restore.load("bicubic")
    typer.echo(f"{model}: {counts[0]} pictures of 128x128 pixels\n\nworkers  per second  of one worker")
    first = 0.0
    for count in workers:
        with _warm(count, network, large) as cluster:
            seconds = statistics.median(_seconds(cluster, network, large)[0] for _ in range(repeats))
        pace = counts[0] / seconds
        first = first or pace / count
        typer.echo(f"{count:7}  {pace:10.2f}  {pace / first:13.2f}")
    typer.echo(
        f"\nbicubic: {counts[1]} pictures of 16x16 pixels\n\nworkers  per second  client and scheduler"
    )
    for count in workers:
        with _warm(count, bicubic, tiny) as cluster:
            runs = [_seconds(cluster, bicubic, tiny) for _ in range(repeats)]
        pace = counts[1] / statistics.median(clock for clock, _, _ in runs)
        cost = statistics.median(spent for _, spent, _ in runs) / counts[1]
        typer.echo(f"{count:7}  {pace:10.1f}  {1000 * cost:11.2f} ms per picture")


def _draw(folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).save(folder / f"{index:06}.png")
    return folder


if __name__ == "__main__":
    typer.run(main)
