"""What is left of a network's own rate when a folder of photographs goes from files to files.

::

    python benchmarks/folder.py photos/
    python benchmarks/folder.py photos/ --model srcnn --json

The ways run in turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import json as jsonlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

from drawn import draw
from restore.allocator import keep_memory
from restore.batch import Job, Outcome, Output, run_all
from restore.choices import Precision
from restore.errors import DataError, RestoreError
from restore.images import is_image_name, read
from restore.inference import Restorer, load
from restore.report import plain_table

NETWORK = "network alone"
PIPELINE = "pipeline"
SEQUENTIAL = "one after another"
SMALL = "pipeline, --small"


@dataclass(frozen=True)
class Case:
    """What is measured."""

    restorer: Restorer
    jobs: list[Job]
    """Images and where their PNGs go."""
    small_jobs: list[Job]
    """Those of them that are also written with --small, which takes long."""

    def ways(self) -> dict[str, Callable[[], Speed]]:
        """How the photographs are enlarged: the names of the table's rows."""
        ways = {NETWORK: self.network(), PIPELINE: self.pipeline, SEQUENTIAL: self.one_after_another}
        return ways | {SMALL: self.small} if self.small_jobs else ways

    def network(self) -> Callable[[], Speed]:
        """Photographs in memory to photographs in memory."""
        photos = [read(job.source) for job in self.jobs]

        def restored() -> Iterator[int]:
            for photo in photos:
                height, width = self.restorer.upscale(photo).color.shape[-2:]
                yield width * height

        return lambda: _timed(restored())

    def pipeline(self) -> Speed:
        """As `restore upscale` does."""
        return _written(run_all(self.jobs, self.restorer))

    def one_after_another(self) -> Speed:
        """Each file whole before the next one is begun."""
        return _written(outcome for job in self.jobs for outcome in run_all([job], self.restorer))

    def small(self) -> Speed:
        """As `restore upscale --small` does."""
        return _written(run_all(self.small_jobs, self.restorer, output=Output(small=True)))


@dataclass(frozen=True)
class Speed:
    """Of one run over the folder."""

    rate: float
    """Megapixels of output a second."""
    density: float | None = None
    """Bytes of the files a pixel."""


def _timed(sizes: Iterator[int]) -> Speed:
    begin = time.perf_counter()
    return Speed(sum(sizes) / 1e6 / (time.perf_counter() - begin))


def _written(outcomes: Iterator[Outcome]) -> Speed:
    """From what comes out: each outcome is done, or the figures mean nothing."""
    pixels = content = 0
    begin = time.perf_counter()
    for outcome in outcomes:
        if outcome.size is None or outcome.destination is None:
            raise RestoreError(outcome.explanation)
        pixels += outcome.size[0] * outcome.size[1]
        content += outcome.destination.stat().st_size
    return Speed(pixels / 1e6 / (time.perf_counter() - begin), content / pixels)


def measure(case: Case, repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """All ways in turns: a row for each, with the median, the range and the share of the network's rate."""
    ways = case.ways()
    for outcome in run_all(case.jobs[:1], case.restorer):  # the first time costs more
        say(f"warmed up with {outcome.source.name}")
    speeds: dict[str, list[Speed]] = {name: [] for name in ways}
    for repeat in range(1, repeats + 1):
        for name, way in ways.items():
            speeds[name].append(way())
        latest = ", ".join(f"{name} {found[-1].rate:.2f}" for name, found in speeds.items())
        say(f"{repeat}/{repeats}: {latest}")
    return [_row(name, found, speeds[NETWORK]) for name, found in speeds.items()]


def _row(name: str, speeds: list[Speed], network: list[Speed]) -> dict[str, Any]:
    rates = [speed.rate for speed in speeds]
    return {
        "way": name,
        "megapixels_per_second": median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "share_kept": median(rate / own.rate for rate, own in zip(rates, network, strict=True)),
        "bytes_per_pixel": speeds[0].density,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    cells = [
        [
            row["way"],
            *(f"{row[name]:.2f}" for name in ("megapixels_per_second", "lowest", "highest")),
            f"{100 * row['share_kept']:.1f}",
            f"{row['bytes_per_pixel']:.2f}" if row["bytes_per_pixel"] else "",
        ]
        for row in rows
    ]
    return plain_table(
        ["megapixels a second", "median", "lowest", "highest", "% kept", "bytes a pixel"], cells
    )


def find(folder: Path, count: int, results: Path) -> list[Job]:
    """The first images of a folder by name, and a place for each result."""
    if not folder.is_dir():
        raise DataError(f"'{folder}' is no folder: name one with images")
    found = sorted(file for file in folder.iterdir() if is_image_name(file))[:count]
    if not found:
        raise DataError(f"there is no image in '{folder}': name a folder with images")
    return [Job(file, results / f"{file.name}.png") for file in found]


def main(
    *,
    folder: Annotated[
        Path | None, typer.Argument(help="Photographs. Left out: some are drawn.", show_default=False)
    ] = None,
    model: Annotated[str, typer.Option(help="NAME[:WEIGHTS].")] = "enhancenet",
    images: Annotated[int, typer.Option(min=1, help="The first so many are taken.")] = 50,
    small_images: Annotated[int, typer.Option(min=0, help="Of these, measured with --small.")] = 3,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each way.")] = 5,
    precision: Annotated[Precision, typer.Option(help="auto, bf16, fp16 or fp32.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare megapixels a second of a network alone, and of `restore upscale` from files to PNG files."""
    with TemporaryDirectory() as drawn, TemporaryDirectory() as results:
        try:
            keep_memory()  # as the program does
            restorer = load(model, device=device, precision=precision)
            jobs = find(folder or draw(Path(drawn), images), images, Path(results))
            case = Case(restorer, jobs, jobs[:small_images])
            rows = measure(case, repeats, lambda words: typer.echo(words, err=True))
        except RestoreError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
    about = {
        "model": model,
        "scale": restorer.scale,
        "images": len(jobs),
        "small_images": len(case.small_jobs),
        "precision": str(restorer.dtype).removeprefix("torch."),
        "device": str(restorer.device),
        "threads": torch.get_num_threads(),
        "repeats": repeats,
    }
    if json:
        typer.echo(jsonlib.dumps(about | {"rows": rows}))
        return
    typer.echo(
        f"{model} {restorer.scale}x, {len(jobs)} images ({len(case.small_jobs)} with --small), "
        f"{about['precision']} on {restorer.device}, {about['threads']} threads; {repeats} runs\n"
    )
    typer.echo(table(rows))


if __name__ == "__main__":
    typer.run(main)
