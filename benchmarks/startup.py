"""How long commands take that only show something, as multiples of what importing their libraries takes.

    python benchmarks/startup.py

Each round starts every program once, in turn, so that whatever else the machine does hits all of them; the
ratio of a command is the median over the rounds of its time to that of the baseline in the same round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Annotated

import typer

from restore.cli import console, options
from restore.report import plain_table

BASELINE = "import typer, rich"
MAIN = "import sys; sys.argv[0] = 'restore'; from restore.cli import main; main()"
LIMITS = {"--help": 2.5, "list": 5.0}
"""Command -> the most that it may take, as a multiple of the baseline."""


def startup(
    *,
    repeats: Annotated[int, typer.Option(min=3, help="Rounds; the median counts.")] = 15,
    json: options.Json = False,
) -> None:
    """Measure the start of `restore --help` and `restore list`; exit with 1 when one is over its limit."""
    programs = {BASELINE: ["-c", BASELINE]} | {name: ["-c", MAIN, name] for name in LIMITS}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for index in range(repeats + 1):
        for name, arguments in programs.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)  # noqa: S603 (our own program)
            if index:  # the first round fills the caches of files
                seconds[name].append(time.perf_counter() - begin)
    ratios = {
        name: statistics.median(
            own / base for own, base in zip(seconds[name], seconds[BASELINE], strict=True)
        )
        for name in programs
    }
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    if json:
        for name in programs:
            console.emit({"program": name, "seconds": medians[name], "ratio": ratios[name]})
    else:
        rows = [
            [name, f"{1000 * medians[name]:.0f}", f"{ratios[name]:.2f}", f"{LIMITS.get(name, 1.0):.1f}"]
            for name in programs
        ]
        typer.echo(plain_table(["program", "ms", "times the baseline", "limit"], rows))
    if any(ratios[name] > limit for name, limit in LIMITS.items()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(startup)
