"""The loop. It asks no one for a method: terms, opponent and gate are objects that were passed in."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from restore.checkpoint import LoadedModel, latest_checkpoint
from restore.config import TrainingConfig, write_toml
from restore.data import CountedSampler
from restore.errors import TrainingError
from restore.evaluation import evaluate, meters
from restore.files import atomic_file
from restore.inference import Restorer
from restore.registry import Registry
from restore.training.interruption import Interruption
from restore.training.optimisation import learning_rate, set_learning_rate
from restore.training.session import Session, begin, restore, save
from restore.training.setup import Plan, make_fabric, make_plan

__all__ = ["Monitor", "Outcome", "train"]

_PATIENCE = 10  # updates in a row that may be lost to gradients that are not finite


@dataclass
class Monitor:
    """Whom the loop tells what it does; each part can be left out."""

    message: Callable[[str], None] = lambda _: None
    """A sentence for people."""
    log: Callable[[dict[str, Any]], None] = lambda _: None
    """A line of ``log.jsonl``."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Path
    step: int
    interrupted: bool
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """The averaged generator."""
        return self.run / "generator.safetensors"


def train(
    config: TrainingConfig,
    registry: Registry,
    run: Path,
    *,
    resume: bool = False,
    monitor: Monitor | None = None,
) -> Outcome:
    """Train a generator and write the run into the folder `run`.

    Args:
        config: everything that decides the result.
        registry: where to look for what `config` names.
        run: a new folder, or with `resume` one that holds a checkpoint.
        resume: go on from the last whole checkpoint.
        monitor: whom to tell.

    Returns:
        How it ended: whole, or interrupted by Ctrl-C or SIGTERM with everything saved.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong.
        DataError: a folder or an image cannot be used.
        TrainingError: nothing to learn, nothing to resume from, no room to save, or ten gradients in a row
            that were not finite.
    """
    monitor = monitor or Monitor()
    plan = make_plan(config, registry)
    _announce(plan, monitor)
    fabric = make_fabric(config)
    fabric.launch()
    session = begin(plan, registry, fabric)
    if resume:
        checkpoint, damaged = latest_checkpoint(run / "checkpoints")
        for sentence in damaged:
            monitor.message(sentence)
        restore(session, checkpoint)
        monitor.message(f"resumed from step {session.step}")
    if fabric.is_global_zero:
        write_toml(config, run / "config.toml")
        _forget_after(run / "log.jsonl", session.step)
    with Interruption() as interruption:
        _steps(session, registry, run, monitor, interruption)
    return Outcome(run, session.step, session.step < config.steps, session.figures or {})


def _steps(
    session: Session, registry: Registry, run: Path, monitor: Monitor, interruption: Interruption
) -> None:
    config, fabric = session.plan.config, session.fabric
    log = _Log(run / "log.jsonl", monitor, enabled=fabric.is_global_zero)
    saved = session.step
    for degraded, target in _batches(session):
        rate = learning_rate(
            session.step, peak=config.lr, final=config.lr_final, warmup=config.warmup, steps=config.steps
        )
        figures = update(session, degraded, target, rate)
        last = session.step == config.steps
        log.step(session, figures, rate, flush=last)
        if session.plan.validation and (last or session.step % config.validate_every == 0):
            session.figures = _validate(session, registry)
            log.write({"step": session.step} | session.figures)
        stop = _any_process(session, requested=interruption.requested)
        if last or stop or session.step % config.checkpoint_every == 0:
            if fabric.is_global_zero:
                save(session, run)
            saved = session.step
        if stop:
            break
    if saved != session.step and fabric.is_global_zero:
        save(session, run)


def update(session: Session, degraded: Tensor, target: Tensor, rate: float) -> dict[str, float | Tensor]:
    """One step: the generator learns, then its opponent.

    Args:
        session: changed in place.
        degraded: ``(B, 3, h, w)``.
        target: ``(B, 3, scale*h, scale*w)``.
        rate: learning rate of this step.

    Returns:
        Name -> figure, for the log.
    """
    config = session.plan.config
    for optimizer in session.optimizers.values():
        set_learning_rate(optimizer, rate)
    restored = session.generator(degraded)
    terms = session.objective(restored, target) | session.opponent.term(restored)
    loss = torch.stack(list(terms.values())).sum()
    session.optimizer.zero_grad(set_to_none=True)
    session.fabric.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(session.generator.parameters(), config.clip or math.inf)
    session.step += 1
    if norm.isfinite():
        session.skipped = 0
        session.optimizer.step()
        session.average.update(session.generator, session.step)
    else:
        _tolerate(session, terms)
    learnt = session.opponent.learn(restored, target)
    figures: dict[str, float | Tensor] = {name: term.detach() for name, term in terms.items()}
    return figures | {"loss": loss.detach(), "grad_norm": norm.detach()} | learnt


def _tolerate(session: Session, terms: dict[str, Tensor]) -> None:
    """Count a step that taught nothing; give up after too many in a row."""
    session.skipped += 1
    if session.skipped >= _PATIENCE:
        bad = [name for name, term in terms.items() if not term.isfinite().all()]
        culprit = f"the term '{bad[0]}'" if bad else "the gradient"
        raise TrainingError(
            f"{culprit} was not finite in {_PATIENCE} steps in a row, up to step {session.step}: resume from "
            f"the last checkpoint with a lower --lr, or use --set precision=fp32"
        )


def _batches(session: Session) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the device, from the step where the session stands."""
    config, fabric = session.plan.config, session.fabric
    sampler = CountedSampler(
        session.step, config.steps, config.batch_size, fabric.global_rank, fabric.world_size
    )
    loader = DataLoader(
        session.plan.patches,
        batch_sampler=sampler,
        num_workers=config.workers,
        pin_memory=fabric.device.type == "cuda",
        prefetch_factor=4 if config.workers else None,
    )
    for degraded, target in loader:
        yield (
            degraded.to(fabric.device, non_blocking=True, memory_format=torch.channels_last),
            target.to(fabric.device, non_blocking=True, memory_format=torch.channels_last),
        )


def _validate(session: Session, registry: Registry) -> dict[str, float]:
    """PSNR of the averaged generator on each validation folder."""
    plan, device = session.plan, session.fabric.device
    model = LoadedModel("average", plan.model, plan.config.scale, plan.options, session.average.module)
    restorer = Restorer(model, device=str(device), precision=plan.config.precision)
    used = meters(["psnr"], registry, plan.config.scale)
    rows = [evaluate(restorer, data, used) for data in plan.validation]
    return {f"{row.data} {name}": figure for row in rows for name, figure in row.figures.items()}


def _any_process(session: Session, *, requested: bool) -> bool:
    """Whether any process was asked to stop: all of them stop at the same step."""
    if session.fabric.world_size == 1:
        return requested
    flag = torch.tensor(float(requested), device=session.fabric.device)
    total = session.fabric.all_reduce(flag, reduce_op="sum")
    return bool(torch.as_tensor(total).item())


def _announce(plan: Plan, monitor: Monitor) -> None:
    config = plan.config
    monitor.message(
        f"{config.model} {config.scale}x, objective {plan.objective.name}, {len(plan.files)} images, "
        f"targets of {plan.patch}x{plan.patch} pixels, {config.steps} steps of {config.batch_size}"
    )
    if plan.skipped:
        names = ", ".join(file.name for file in plan.skipped[:5])
        more = f" and {len(plan.skipped) - 5} more" if len(plan.skipped) > 5 else ""
        monitor.message(f"skipped {len(plan.skipped)} images smaller than the patch: {names}{more}")


def _forget_after(log: Path, step: int) -> None:
    """Drop the lines that a run wrote after the checkpoint from which it goes on."""
    if not log.exists():
        return
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    with atomic_file(log) as temporary:
        temporary.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a kill cut short
        return math.inf


class _Log:
    """Means over the steps between two lines, written to ``log.jsonl`` and told to the monitor."""

    def __init__(self, file: Path, monitor: Monitor, *, enabled: bool) -> None:
        self.file = file
        self.monitor = monitor
        self.enabled = enabled
        self.sums: dict[str, float] = {}
        self.count = 0
        self.since = time.perf_counter()

    def step(self, session: Session, figures: dict[str, float | Tensor], rate: float, *, flush: bool) -> None:
        """Add one step; write a line when it is time."""
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(figure)
        self.count += 1
        config = session.plan.config
        if not flush and session.step % config.log_every:
            return
        now = time.perf_counter()
        per_step = (now - self.since) / self.count
        means = {name: total / self.count for name, total in self.sums.items()}
        self.write(
            {"step": session.step, "steps": config.steps, "lr": rate}
            | means
            | {
                "images_per_second": config.batch_size / per_step,
                "eta": per_step * (config.steps - session.step),
            }
        )
        self.sums, self.count, self.since = {}, 0, now

    def write(self, line: dict[str, Any]) -> None:
        """One line, from the first process only."""
        if not self.enabled:
            return
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.monitor.log(line)
