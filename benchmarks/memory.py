"""Measure the memory of `restore upscale` for several image sizes.

::

    python benchmarks/memory.py                          # from 0.2 to 9 megapixels of input
    python benchmarks/memory.py --size 1500x1000 --json

Each size is one run of the program in a process of its own; the operating system reports its peak memory.
"""

from __future__ import annotations

import json as json_lib
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from restore.images import size_of
from restore.report import plain_table

SIZES = ["16x16", "500x333", "1500x1000", "3000x2000", "3000x3000"]


@dataclass(frozen=True)
class Row:
    """The result of one run."""

    size: str
    """Size of the input in pixels."""
    output_megapixels: float
    peak_mib: float
    """Peak resident set size of the process."""
    seconds: float
    """Time of the whole process, including startup and files."""


def measure(width: int, height: int, options: list[str]) -> Row:
    """Upscale a generated image of this size."""
    with TemporaryDirectory() as folder:
        source, result = Path(folder) / "photo.png", Path(folder) / "large.png"
        random = np.random.default_rng(0)
        blocks = random.integers(20, 236, (-(-height // 16), -(-width // 16), 3), np.uint8)
        Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width]).save(source)
        command = [sys.executable, "-m", "restore", "upscale", str(source), "-o", str(result), *options]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the program itself
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"'{' '.join(command)}' exited with {process.returncode}")
        made_width, made_height = size_of(result)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kibibytes elsewhere
    return Row(f"{width}x{height}", made_width * made_height / 1e6, usage.ru_maxrss * unit / 2**20, seconds)


def table(rows: list[Row]) -> str:
    """Format the rows, with the memory per additional megapixel of output."""
    lines, before = [], None
    for row in rows:
        added = "-"
        if before and row.output_megapixels > before.output_megapixels:
            more = row.output_megapixels - before.output_megapixels
            added = f"{(row.peak_mib - before.peak_mib) / more:.1f}"
        cells = (f"{row.output_megapixels:.1f}", f"{row.peak_mib:.0f}", added, f"{row.seconds:.1f}")
        lines.append([row.size, *cells])
        before = row
    return plain_table(
        ["input", "output megapixels", "peak MiB", "MiB per additional megapixel", "seconds"], lines
    )


def main(
    *,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT of an input; repeatable. Default: several sizes.")
    ] = None,
    model: Annotated[str, typer.Option(help="NAME[:WEIGHTS].")] = "enhancenet",
    tile: Annotated[str, typer.Option(help="As for restore upscale.")] = "auto",
    precision: Annotated[str, typer.Option(help="As for restore upscale.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run the program once per size."""
    options = ["--model", model, "--tile", tile, "--precision", precision]
    rows = []
    for each in size or SIZES:
        width, cross, height = each.partition("x")
        if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            raise typer.BadParameter(f"'{each}' is not WIDTHxHEIGHT", param_hint="--size")
        rows.append(measure(int(width), int(height), options))
        typer.echo(f"{each}: {rows[-1].peak_mib:.0f} MiB", err=True)
    if json:
        typer.echo(json_lib.dumps({"model": model, "tile": tile, "rows": [asdict(row) for row in rows]}))
    else:
        typer.echo(table(rows))


if __name__ == "__main__":
    typer.run(main)
