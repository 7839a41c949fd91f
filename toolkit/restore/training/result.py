"""Messages at the start of a run, and its result at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restore.errors import escaped
from restore.training.best import Best
from restore.training.log import Monitor
from restore.training.run_folder import WEIGHTS_FILE, best_file
from restore.training.session import Session
from restore.training.setup import TrainingSetup

__all__ = ["TrainingResult", "announce", "result_of"]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    run: Path
    """Folder of the run."""
    step: int
    """Steps done."""
    interrupted: bool
    metrics: dict[str, float] = field(default_factory=dict)
    """Results on each validation folder after the last step."""
    best: dict[str, Best] = field(default_factory=dict)
    """Metric -> its best validation, for each metric of `keep`."""
    stopped_early: bool = False
    """Whether the run ended because validations did not improve."""
    skipped: int = 0
    """Updates that were skipped because something was not finite."""

    @property
    def weights(self) -> Path:
        """File of the averaged generator."""
        return self.run / WEIGHTS_FILE

    @property
    def best_weights(self) -> dict[str, Path]:
        """Metric -> file of the weights with its best value."""
        return {metric: best_file(self.run, metric) for metric in self.best}


def result_of(session: Session, run: Path) -> TrainingResult:
    """Return the result of the run of `session` in the folder `run`."""
    is_short, best = session.step < session.setup.config.steps, session.best
    return TrainingResult(
        run,
        session.step,
        interrupted=is_short and not best.is_exhausted,
        metrics=session.metrics,
        skipped=session.skipped,
        best=best.found if best.keeps_weights else {},
        stopped_early=is_short and best.is_exhausted,
    )


def announce(setup: TrainingSetup, damaged: Sequence[str], monitor: Monitor) -> None:
    """Report the training images and settings of the run.

    Args:
        setup: of the run.
        damaged: messages about damaged checkpoints that were skipped.
        monitor: gets the messages.
    """
    config, images = setup.config, setup.images
    side = images.samples.patch
    monitor.message(
        f"{config.model} {config.scale}x, objective {setup.objective.name}, {images}, targets of {side}x"
        f"{side} pixels, {config.steps} steps of {config.batch_size}"
    )
    if setup.start.note:
        monitor.message(setup.start.note)
    if images.skipped:
        monitor.message(
            f"skipped {len(images.skipped)} images smaller than the patch: {_named(images.skipped)}"
        )
    if images.cut_off:
        monitor.message(
            f"training on {len(images.cut_off)} images that were cut off, with parts missing: "
            f"{_named(images.cut_off)}; replace them by whole copies, or remove them"
        )
    for sentence in damaged:
        monitor.message(sentence)


def _named(files: Sequence[Path]) -> str:
    """Return the names of the first five."""
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return ", ".join(escaped(file.name) for file in files[:5]) + more
