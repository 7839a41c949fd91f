"""What a run says about its progress: ``log.jsonl``, TensorBoard's events, and the same to a monitor."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.files import atomic_file, to_line
from restore.training.events import Events
from restore.training.processes import Team
from restore.training.watch import Watch

__all__ = ["LOG_FILE", "Monitor", "RunLog", "forget_after"]

LOG_FILE = "log.jsonl"


@dataclass
class Monitor:
    """Whom the loop tells what it does; each part can be left out."""

    message: Callable[[str], None] = lambda _: None
    """A sentence for people."""
    log: Callable[[dict[str, Any]], None] = lambda _: None
    """A line of ``log.jsonl``: with ``steps`` it tells of training, with ``validation`` of a validation;
    ``warning`` is a sentence that `message` was given too."""


class RunLog:
    """Means over the steps since the last line and over all processes, and what they warn of.

    Every method is called by all processes of the team.

    Args:
        run: folder of the run.
        team: of its processes only the leader writes.
        monitor: whom to tell.
        step: steps done when the log begins.
    """

    def __init__(self, run: Path, team: Team, monitor: Monitor, step: int) -> None:
        self.file = run / LOG_FILE
        self.events = Events(run, step)
        self.team = team
        self.monitor = monitor
        self.watch = Watch()
        self._forget()

    def add(self, step: int, figures: Mapping[str, float | Tensor], problem: str = "") -> None:
        """Count one step.

        Args:
            step: steps done.
            figures: of this step; one in which the generator learnt nothing has none.
            problem: what was not finite.
        """
        self.steps += 1
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + figure  # not yet a float: a GPU would have to wait
            self.counts[name] += 1
        self._warn(step, self.watch.step(figures, problem))

    def line(self, *, step: int, steps: int, batch_size: int, rate: float, skipped: int) -> None:
        """Write what `add` collected.

        Args:
            step: steps done.
            steps: all steps of the run.
            batch_size: images in a step, over all processes.
            rate: learning rate of the last step.
            skipped: steps that taught nothing, since the run began.
        """
        per_step = (time.perf_counter() - self.since) / self.steps
        figures = self._means()
        self._write(
            {"step": step, "steps": steps, "lr": rate}
            | figures
            | {
                "skipped": skipped,
                "images_per_second": batch_size / per_step,
                "eta": per_step * (steps - step),
            }
        )
        self._forget()
        self._warn(step, self.watch.line(figures))

    def validation(self, step: int, figures: Mapping[str, float], samples: Path) -> None:
        """Write what a validation measured.

        Args:
            step: steps done.
            figures: data set and metric -> figure.
            samples: a picture of what it saw.
        """
        self._write({"step": step, "validation": dict(figures)})
        self.team.lead(lambda: self.events.picture(step, "samples", samples))

    def _warn(self, step: int, sentences: list[str]) -> None:
        for sentence in sentences:
            self.monitor.message(f"warning: step {step}: {sentence}")
            self._write({"step": step, "warning": sentence})

    def _means(self) -> dict[str, float]:
        """Of every figure; of one with parts, such as the channels of a tint, the largest part's size."""
        if not self.sums:
            return {}
        means = [torch.as_tensor(total).reshape(-1) / self.counts[name] for name, total in self.sums.items()]
        device = self.team.fabric.device
        together = self.team.mean(torch.cat([mean.to(device, torch.float32) for mean in means]))
        parts = torch.split(together.cpu(), [len(mean) for mean in means])
        return {
            name: float(part.abs().max() if len(part) > 1 else part)
            for name, part in zip(self.sums, parts, strict=True)
        }

    def _write(self, line: dict[str, Any]) -> None:
        """Append one line; what is not finite becomes null, because JSON has no word for it."""
        self.team.lead(lambda: self._append(line))

    def _append(self, line: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(to_line(line))
        self.events.figures(line["step"], _curves(line))
        self.monitor.log(line)

    def _forget(self) -> None:
        self.sums: dict[str, float | Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.since = time.perf_counter()


def forget_after(log: Path, step: int) -> None:
    """Drop the lines that a run wrote after the checkpoint from which it goes on."""
    if not log.exists():
        return
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    with atomic_file(log) as temporary:
        temporary.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a kill cut short
        return math.inf


def _curves(line: Mapping[str, Any]) -> dict[str, float]:
    """What of a line is worth a curve."""
    curves: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            curves |= {f"{name}/{key}": figure for key, figure in value.items()}
        elif isinstance(value, int | float) and name not in {"step", "steps"}:
            curves[name] = value
    return curves
