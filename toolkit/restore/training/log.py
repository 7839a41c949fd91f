"""What a run says about its progress: lines of ``log.jsonl``, and the same lines to a monitor."""

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

from restore.files import atomic_file
from restore.training.processes import Team

__all__ = ["LOG_FILE", "Monitor", "RunLog", "forget_after"]

LOG_FILE = "log.jsonl"


@dataclass
class Monitor:
    """Whom the loop tells what it does; each part can be left out."""

    message: Callable[[str], None] = lambda _: None
    """A sentence for people."""
    log: Callable[[dict[str, Any]], None] = lambda _: None
    """A line of ``log.jsonl``."""


class RunLog:
    """Means over the steps since the last line and over all processes.

    Args:
        file: where the lines are appended.
        team: of its processes only the leader writes.
        monitor: whom to tell.
    """

    def __init__(self, file: Path, team: Team, monitor: Monitor) -> None:
        self.file = file
        self.team = team
        self.monitor = monitor
        self._forget()

    def add(self, figures: Mapping[str, float | Tensor]) -> None:
        """Count one step; a step that taught nothing has no figures."""
        self.steps += 1
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + figure  # not yet a float: a GPU would have to wait
            self.counts[name] += 1

    def line(self, *, step: int, steps: int, batch_size: int, rate: float) -> None:
        """Write what `add` collected."""
        per_step = (time.perf_counter() - self.since) / self.steps
        means = torch.tensor([float(total) / self.counts[name] for name, total in self.sums.items()])
        means = self.team.mean(means.to(self.team.fabric.device))
        self.write(
            {"step": step, "steps": steps, "lr": rate}
            | dict(zip(self.sums, means.tolist(), strict=True))
            | {"images_per_second": batch_size / per_step, "eta": per_step * (steps - step)}
        )
        self._forget()

    def write(self, line: dict[str, Any]) -> None:
        """Append one line; what is not finite becomes null, because JSON has no word for it."""
        self.team.lead(lambda: self._append(line))

    def _append(self, line: dict[str, Any]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in line.items()}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite) + "\n")
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
