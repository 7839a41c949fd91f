"""Draw the curves of the training notes: ``python docs/pictures/curves.py``.

Reads the logged values of the runs of `docs/explanation/training-enhancenet.md` from the CSV file next to
that page, and writes ``training-enhancenet.svg`` next to this file.
"""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

HERE = Path(__file__).parent
LOG = HERE.parent / "explanation" / "training-enhancenet.csv"
FIRST_STEP = {
    "1-l1": 0,
    "2-l1": 3600,
    "3-l1": 7424,
    "4-e": 25550,
    "5-l1": 25550,
    "6-e": 37550,
    "7-e": 38790,
    "9-e": 41590,
    "15-e": 44590,
}
"""Total training steps before each run: 4 and 5 start where 3 ended; 7, 9 and 15 start from means."""


def main() -> None:
    """Draw one line per run over the total training steps."""
    mpl.rcParams |= {"svg.hashsalt": "restore", "svg.fonttype": "none"}  # reproducible files
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    with LOG.open(encoding="utf-8") as file:
        for run, rows in groupby(csv.DictReader(file), key=lambda row: row["run"]):
            points = [(FIRST_STEP[run] + int(row["step"]), float(row["psnr"])) for row in rows]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=run)
    axes.set_xlabel("total training steps")
    axes.set_ylabel("PSNR on the held-out images (dB)")
    axes.legend(title="run")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "training-enhancenet.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
