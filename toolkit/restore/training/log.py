"""The log of a run: ``log.jsonl``, TensorBoard events, and the same for a monitor."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.files import atomic_file, to_line
from restore.training.events import Events
from restore.training.processes import ProcessGroup
from restore.training.watch import Watch

__all__ = ["LOG_FILE", "Monitor", "RunLog", "forget_after"]

LOG_FILE = "log.jsonl"


@dataclass
class Monitor:
    """Callbacks of a run; each has a default that does nothing."""

    message: Callable[[str], None] = lambda _: None
    """Called with each message as a sentence."""
    log: Callable[[dict[str, Any]], None] = lambda _: None
    """Takes a line of ``log.jsonl``: with the key ``steps`` it is about training steps, with ``validation``
    about a validation, with ``warning`` it is a sentence that `message` got too."""


class RunLog:
    """Means over the steps since the last line and over all ranks, and warnings about them.

    Every method is a collective.

    Args:
        run: folder of the run.
        group: of its processes only rank 0 writes.
        monitor: callbacks.
        step: steps done when the log begins.
    """

    def __init__(self, run: Path, group: ProcessGroup, monitor: Monitor, step: int) -> None:
        self.file = run / LOG_FILE
        self.events = Events(run, step)
        self.group = group
        self.monitor = monitor
        self.watch = Watch()
        self._forget()

    def add(self, step: int, values: Mapping[str, float | Tensor], problem: str = "") -> None:
        """Count one step.

        Args:
            step: steps done.
            values: of this step; none if its update was skipped.
            problem: what was not finite; empty if nothing.
        """
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value  # not yet a float: a GPU would have to wait
            self.counts[name] += 1
        self._warn(step, self.watch.step(values, problem))

    def line(self, *, step: int, steps: int, batch_size: int, rate: float, skipped: int) -> None:
        """Write the means of the values given to `add`.

        Args:
            step: steps done.
            steps: all steps of the run.
            batch_size: images in a step, over all processes.
            rate: learning rate of the last step.
            skipped: updates skipped since the run started.
        """
        per_step = (time.perf_counter() - self.since) / self.steps
        means = self._means()
        self._write(
            {"step": step, "steps": steps, "lr": rate}
            | means
            | {
                "skipped": skipped,
                "images_per_second": batch_size / per_step,
                "eta": per_step * (steps - step),
            }
        )
        self._forget()
        self._warn(step, self.watch.line(means))

    def validation(
        self, step: int, metrics: Mapping[str, float], samples: Path, lower: Sequence[str] = ()
    ) -> None:
        """Write the results of a validation.

        Args:
            step: steps done.
            metrics: data set and metric -> value.
            samples: image file that shows what was measured.
            lower: names of the metrics of which lower values are better.
        """
        directions = {"lower_is_better": list(lower)} if lower else {}
        self._write({"step": step, "validation": dict(metrics)} | directions)
        self.group.on_rank_zero(lambda: self.events.image(step, "samples", samples))

    def _warn(self, step: int, sentences: list[str]) -> None:
        for sentence in sentences:
            self.monitor.message(f"warning: step {step}: {sentence}")
            self._write({"step": step, "warning": sentence})

    def _means(self) -> dict[str, float]:
        """The mean of every value; of one with parts, such as a color shift, that of the largest part."""
        if not self.sums:
            return {}
        means = [torch.as_tensor(total).reshape(-1) / self.counts[name] for name, total in self.sums.items()]
        device = self.group.fabric.device
        together = self.group.mean(torch.cat([mean.to(device, torch.float32) for mean in means]))
        parts = torch.split(together.cpu(), [len(mean) for mean in means])
        return {
            name: float(part.abs().max() if len(part) > 1 else part)
            for name, part in zip(self.sums, parts, strict=True)
        }

    def _write(self, line: dict[str, Any]) -> None:
        """Append one line; values that are not finite become null, because JSON cannot represent them."""
        self.group.on_rank_zero(lambda: self._append(line))

    def _append(self, line: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(to_line(line))
        self.events.values(line["step"], _curves(line))
        self.monitor.log(line)

    def _forget(self) -> None:
        self.sums: dict[str, float | Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.since = time.perf_counter()


def forget_after(log: Path, step: int) -> None:
    """Remove the lines written after the checkpoint from which the run is resumed."""
    if not log.exists():
        return
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    with atomic_file(log) as temporary:
        temporary.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # truncated when the process was killed
        return math.inf


def _curves(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of a line that are plotted as curves."""
    curves: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            curves |= {f"{name}/{key}": number for key, number in value.items()}
        elif isinstance(value, int | float) and name not in {"step", "steps"}:
            curves[name] = value
    return curves
