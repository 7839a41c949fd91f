"""What the tests of training runs share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from restore.config import TrainingConfig
from restore.interfaces import Schedule
from restore.training import Monitor
from restore_optimization.options import CosineOptions
from restore_optimization.schedules import build_cosine

Configure = Callable[..., TrainingConfig]
Damage = Callable[[Path], None]
Draw = Callable[..., Path]
Line = dict[str, Any]


def weights(run: Path) -> bytes:
    return (run / "generator.safetensors").read_bytes()


def log(run: Path) -> list[Line]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def after_step(step: int, action: Callable[[], object]) -> Monitor:
    """Does something as soon as the line of a step is logged."""

    def see(line: Line) -> None:
        if line["step"] == step and "steps" in line:
            action()

    return Monitor(log=see)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def cosine(final: float) -> Schedule:
    return build_cosine(CosineOptions(final=final))
