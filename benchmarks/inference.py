"""Compare the speed of `restore upscale` and `restore clean` with other ways to run the same network.

::

    python benchmarks/inference.py                      # EnhanceNet 4x, input of 256x256 pixels
    python benchmarks/inference.py --model ffdnet:noise --size 1024
    python benchmarks/inference.py --size 512 --json
    python benchmarks/inference.py --plot docs/pictures/speed.svg

Each contestant has a process of its own (see `contestant.py`). They run interleaved, one image at a time, so
that other load on the machine affects all of them. OpenVINO and onnxruntime are measured if
they are installed: ``pip install openvino onnxruntime onnx onnxscript``.
"""

from __future__ import annotations

import json as json_lib
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import typer

from restore.report import plain_table

Kind = Literal["rate", "peer", "restore"]

_EXPORT = ("onnx", "onnxscript")

CONTESTANTS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "matrix product bf16": ("rate", ()),
    "matrix product fp32": ("rate", ()),
    "PyTorch fp32": ("peer", ()),
    "PyTorch bf16 channels_last": ("peer", ()),
    "torch.compile bf16": ("peer", ()),
    "onnxruntime fp32": ("peer", ("onnxruntime", *_EXPORT)),
    "OpenVINO fp32": ("peer", ("openvino", *_EXPORT)),
    "OpenVINO bf16": ("peer", ("openvino", *_EXPORT)),
    "restore": ("restore", ()),
    "restore --precision fp32": ("restore", ()),
    "restore --engine openvino": ("restore", ("openvino", *_EXPORT)),
    "restore --engine openvino --precision int8": ("restore", ("openvino", "nncf", *_EXPORT)),
    "restore --engine onnxruntime": ("restore", ("onnxruntime", *_EXPORT)),
}
"""Name -> kind, and the libraries that it needs."""

_PAUSE = 0.25  # seconds until the threads of the previous contestant stop spinning
_RATE = "matrix product bf16"
_PRODUCT = 2 * 4096**3  # operations of one matrix product


@dataclass(frozen=True)
class Row:
    """The result of one contestant."""

    name: str
    kind: Kind
    milliseconds: float
    """Median per image."""
    megapixels: float
    """Megapixels of output per second."""
    ratio: float
    """Relative to the fastest peer."""
    share: float
    """Share of the rate of a bf16 matrix product, counted on the network as published."""


class Contestant:
    """A process that runs one image on request."""

    def __init__(self, name: str, model: str, size: int) -> None:
        script = Path(__file__).with_name("contestant.py")
        command = [sys.executable, str(script), name, model, str(size)]
        self.name = name
        self.seconds: list[float] = []
        self._process = subprocess.Popen(  # noqa: S603 - itself
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.ready: dict[str, int] = json_lib.loads(self._line())

    def run(self) -> None:
        """Run one image and record the seconds."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.seconds.append(float(self._line()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        # Skip other lines that libraries print.
        for line in self._process.stdout:
            if line[0] in "{0123456789":
                return line
        _, problem = self._process.communicate()
        last = (problem.strip().splitlines() or ["no error message"])[-1]
        raise SystemExit(f"'{self.name}' failed: {last}")


def measure(names: list[str], model: str, size: int, repeats: int) -> list[Contestant]:
    """Run all contestants interleaved."""
    contestants = []
    try:
        for name in names:
            contestants.append(Contestant(name, model, size))
            typer.echo(f"ready: {name}", err=True)
        for _ in range(repeats):
            for contestant in contestants:
                time.sleep(_PAUSE)
                contestant.run()
    finally:
        for contestant in contestants:
            contestant.close()
    return contestants


def rows_of(contestants: list[Contestant], size: int) -> list[Row]:
    """Return medians and ratios, the slowest first."""
    seconds = {each.name: median(each.seconds) for each in contestants}
    operations, scale = (contestants[0].ready[key] for key in ("operations", "scale"))
    best_peer = min(seconds[name] for name in seconds if CONTESTANTS[name][0] == "peer")
    rate = _PRODUCT / seconds[_RATE]
    rows = [
        Row(
            name,
            CONTESTANTS[name][0],
            1000 * taken,
            (size * scale) ** 2 / 1e6 / taken,
            best_peer / taken,
            operations * size**2 / taken / rate,
        )
        for name, taken in seconds.items()
        if CONTESTANTS[name][0] != "rate"
    ]
    return sorted(rows, key=lambda row: row.megapixels)


def table(rows: list[Row]) -> str:
    """Format the rows as a text table."""
    columns = ["", "ms", "megapixels/s", "vs. best peer", "of matrix rate"]
    return plain_table(
        columns,
        [
            [
                row.name,
                f"{row.milliseconds:.1f}",
                f"{row.megapixels:.2f}",
                f"{row.ratio:.2f}",
                f"{row.share:.2f}",
            ]
            for row in rows
        ],
    )


def plot(rows: list[Row], title: str, file: Path) -> None:
    """Draw bars, with those of `restore` in another color."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": "restore", "svg.fonttype": "none"}  # reproducible files
    figure = Figure(figsize=(7, 0.4 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    colors = ["#d9480f" if row.kind == "restore" else "#868e96" for row in rows]
    bars = axes.barh([row.name for row in rows], [row.megapixels for row in rows], color=colors)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlabel("megapixels of output per second")
    axes.set_title(title, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})


def main(
    *,
    model: Annotated[str, typer.Option(help="Model, NAME[:WEIGHTS].")] = "enhancenet",
    size: Annotated[int, typer.Option(min=1, help="Side of the input in pixels.")] = 256,
    repeats: Annotated[int, typer.Option(min=1, help="Images per contestant.")] = 15,
    only: Annotated[
        list[str] | None, typer.Option(help="Contestant to run; repeatable. Default: all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Output file of a plot (SVG).")] = None,
) -> None:
    """Run one image with each contestant, interleaved, and compare medians."""
    missing = {
        name: [library for library in needed if find_spec(library) is None]
        for name, (_, needed) in CONTESTANTS.items()
    }
    unknown = set(only or ()) - set(CONTESTANTS)
    if unknown:
        raise typer.BadParameter(f"there is no contestant {sorted(unknown)}; choose from {list(CONTESTANTS)}")
    asked = {*(only or CONTESTANTS), _RATE}  # the others are compared with the rate
    names = [name for name in CONTESTANTS if name in asked and not missing[name]]
    if not {"peer", "restore"} <= {CONTESTANTS[name][0] for name in names}:
        raise typer.BadParameter("there is nothing to compare; choose a peer and one of restore's")
    for name, libraries in missing.items():
        if libraries:
            typer.echo(f"skipped: {name}, which needs {', '.join(libraries)}", err=True)
    contestants = measure(names, model, size, repeats)
    rows = rows_of(contestants, size)
    rates = {
        each.name: _PRODUCT / median(each.seconds) / 1e9
        for each in contestants
        if CONTESTANTS[each.name][0] == "rate"
    }
    own = [row for row in rows if row.kind == "restore"]
    result = {
        "model": model,
        "size": size,
        "repeats": repeats,
        "gflops": rates,
        "rows": [asdict(row) for row in rows],
        "ratio_to_best_peer": max(row.ratio for row in own),
        "ratio_default": next((row.ratio for row in own if row.name == "restore"), None),
    }
    if plot_file:
        plot(rows, f"{model}, input of {size} x {size} pixels", plot_file)
    if json:
        typer.echo(json_lib.dumps(result))
        return
    typer.echo(f"{model}, input of {size} x {size} pixels, medians of {repeats} images each\n")
    typer.echo(table(rows))
    typer.echo("\n" + ", ".join(f"{name}: {rate:.0f} GFLOP/s" for name, rate in rates.items()))


if __name__ == "__main__":
    typer.run(main)
