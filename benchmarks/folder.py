"""Compare the speed of `restore upscale` on a folder with that of the network alone.

::

    python benchmarks/folder.py photos/
    python benchmarks/folder.py photos/ --model srcnn --json

The variants run interleaved, so that other load on the machine affects all of them.
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
    """The measured configuration."""

    restorer: Restorer
    jobs: list[Job]
    """Inputs and their output files."""
    small_jobs: list[Job]
    """The jobs that are also written with --small, which is slow."""

    def ways(self) -> dict[str, Callable[[], Speed]]:
        """Return the variants by the names of the table's rows."""
        ways = {NETWORK: self.network(), PIPELINE: self.pipeline, SEQUENTIAL: self.one_after_another}
        return ways | {SMALL: self.small} if self.small_jobs else ways

    def network(self) -> Callable[[], Speed]:
        """Prepare a run from decoded images in memory to restored images in memory."""
        photos = [read(job.source) for job in self.jobs]

        def restored() -> Iterator[int]:
            for photo in photos:
                height, width = self.restorer.upscale(photo).color.shape[-2:]
                yield width * height

        return lambda: _timed(restored())

    def pipeline(self) -> Speed:
        """Run like `restore upscale`."""
        return _written(run_all(self.jobs, self.restorer))

    def one_after_another(self) -> Speed:
        """Finish each file before starting the next."""
        return _written(outcome for job in self.jobs for outcome in run_all([job], self.restorer))

    def small(self) -> Speed:
        """Run like `restore upscale --small`."""
        return _written(run_all(self.small_jobs, self.restorer, output=Output(small=True)))


@dataclass(frozen=True)
class Speed:
    """The speed of one run over the folder."""

    rate: float
    """Megapixels of output per second."""
    density: float | None = None
    """File size in bytes per pixel."""


def _timed(sizes: Iterator[int]) -> Speed:
    begin = time.perf_counter()
    return Speed(sum(sizes) / 1e6 / (time.perf_counter() - begin))


def _written(outcomes: Iterator[Outcome]) -> Speed:
    """Measure outcomes; a failed one is an error, because it would distort the result."""
    pixels = content = 0
    begin = time.perf_counter()
    for outcome in outcomes:
        if outcome.size is None or outcome.destination is None:
            raise outcome.error or RestoreError(outcome.sentence)
        pixels += outcome.size[0] * outcome.size[1]
        content += Path(outcome.destination).stat().st_size
    return Speed(pixels / 1e6 / (time.perf_counter() - begin), content / pixels)


def measure(case: Case, repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run all variants interleaved; return one row each: median, range and share of the network's rate."""
    ways = case.ways()
    for outcome in run_all(case.jobs[:1], case.restorer):  # warm-up
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
    """Format the rows as a text table."""
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
        ["megapixels per second", "median", "lowest", "highest", "% kept", "bytes per pixel"], cells
    )


def find(folder: Path, count: int, results: Path) -> list[Job]:
    """Return jobs for the first images of a folder by name."""
    if not folder.is_dir():
        raise DataError("not a folder", path=folder, hint="name a folder with images")
    found = sorted(file for file in folder.iterdir() if is_image_name(file))[:count]
    if not found:
        raise DataError("no images in this folder", path=folder, hint="name a folder with images")
    return [Job(file, results / f"{file.name}.png") for file in found]


def main(
    *,
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of photos. Default: generated images.", show_default=False)
    ] = None,
    model: Annotated[str, typer.Option(help="NAME[:WEIGHTS].")] = "enhancenet",
    images: Annotated[int, typer.Option(min=1, help="Number of images, the first by name.")] = 50,
    small_images: Annotated[
        int, typer.Option(min=0, help="Number of these that are also measured with --small.")
    ] = 3,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each variant.")] = 5,
    precision: Annotated[Precision, typer.Option(help="auto, bf16, fp16 or fp32.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare the megapixels per second of a network alone and of `restore upscale` with PNG files."""
    with TemporaryDirectory() as drawn, TemporaryDirectory() as results:
        try:
            keep_memory()  # like the program
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
