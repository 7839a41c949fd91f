"""The loop. It asks no one for a method: terms, opponent and gate are objects that were passed in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from restore.allocator import keep_memory
from restore.checkpoint import Checkpoint, latest_checkpoint
from restore.config import CONFIG_FILE, TrainingConfig, resolve, write_toml
from restore.data import CountedSampler, Pair, batches
from restore.errors import TrainingError, UsageError
from restore.registry import Registry
from restore.training.events import forget_events
from restore.training.interruption import Interruption
from restore.training.log import LOG_FILE, Monitor, RunLog, forget_after
from restore.training.measures import observe
from restore.training.optimization import learning_rate, seed_everything
from restore.training.processes import connect, helpers_end_here
from restore.training.session import (
    CHECKPOINTS,
    WEIGHTS_FILE,
    Session,
    begin,
    create,
    make_ready,
    restore,
    save,
)
from restore.training.setup import Plan, make_fabric, make_plan
from restore.training.validation import Validation, forget_samples, sample_file

__all__ = ["Outcome", "train", "update"]

_PATIENCE = 10  # updates in a row that may be lost to what is not finite


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Path
    step: int
    interrupted: bool
    figures: dict[str, float] = field(default_factory=dict)
    """PSNR on each validation folder after the last step."""

    @property
    def weights(self) -> Path:
        """The averaged generator."""
        return self.run / WEIGHTS_FILE


def train(
    config: TrainingConfig,
    registry: Registry,
    run: Path,
    *,
    resume: bool = False,
    monitor: Monitor | None = None,
) -> Outcome:
    """Train a generator and write the run into the folder `run`.

    Several devices have a process each, which Fabric starts unless a launcher did; all but the first never
    return from here.

    Args:
        config: everything that decides the result.
        registry: where to look for what `config` names.
        run: a new or empty folder, or with `resume` one that holds a checkpoint.
        resume: go on from the last whole checkpoint.
        monitor: whom to tell.

    Returns:
        How it ended: whole, or interrupted by Ctrl-C or SIGTERM with everything saved.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong, the folder is not empty, or the
            model has nothing to learn.
        DataError: a folder of images cannot be used.
        ImageError: an image cannot be read.
        TrainingError: nothing to resume from, no room to save, or ten gradients in a row that were not
            finite.
    """
    keep_memory()
    plan = make_plan(config, registry, resume=resume)
    checkpoint, damaged = latest_checkpoint(run / CHECKPOINTS) if resume else (None, [])
    fabric, start = make_fabric(plan.config), checkpoint.step if checkpoint else 0
    with closing(_batches(plan, start)) as data:
        team = connect(fabric)
        monitor = monitor if monitor and team.leads else Monitor()
        with helpers_end_here(team):
            team.agree(settings=plan.own_settings, images=plan.fingerprint, step=start)
            if checkpoint is None:
                team.lead(lambda: _check_free(run))
            session = begin(plan, registry, team)
            _announce(plan, damaged, monitor)
            if checkpoint is not None:
                _take_back(session, checkpoint, run, monitor)
            make_ready(session)
            if checkpoint is None:
                team.lead(lambda: create(session, run))
            with Interruption() as interruption, _repeatable():
                _steps(session, data, run, monitor, interruption)
    return Outcome(run, session.step, session.step < config.steps, session.figures)


def _repeatable() -> AbstractContextManager[None]:
    """The same convolutions every time: a resumed run is to end with the same bytes on a GPU too."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True)


def _check_free(run: Path) -> None:
    if run.is_dir() and any(run.iterdir()):
        raise UsageError(f"the folder '{run}' is not empty: go on with --resume, or give another --run")
    if run.exists() and not run.is_dir():
        raise UsageError(f"'{run}' is a file: give another --run")


def _take_back(session: Session, checkpoint: Checkpoint, run: Path, monitor: Monitor) -> None:
    restore(session, checkpoint)
    monitor.message(f"resumed from step {session.step}")
    session.team.lead(lambda: _go_on(session, run, monitor))


def _go_on(session: Session, run: Path, monitor: Monitor) -> None:
    """Let the folder of a run tell of nothing but what was so far, and of the settings that now hold."""
    config, file = session.plan.config, run / CONFIG_FILE
    before = resolve(file, [], {})
    if config.steps > before.steps:
        monitor.message(
            f"the run is made longer, from {before.steps} to {config.steps} steps: from here on its learning "
            f"rate is that of a run of {config.steps} steps"
        )
    if config != before:
        write_toml(config, file)
    forget_after(run / LOG_FILE, session.step)
    forget_events(run, session.step)
    forget_samples(run, session.step)


def _steps(
    session: Session, data: Iterator[Pair], run: Path, monitor: Monitor, interruption: Interruption
) -> None:
    config, team, saved = session.plan.config, session.team, session.step
    log, validate = RunLog(run, team, monitor, session.step), Validation(session.plan, run)

    def is_due(every: int) -> bool:
        return session.step % every == 0 or session.step == config.steps

    while session.step < config.steps and not team.any(interruption.requested):
        degraded, target = _on_device(team.each(lambda: next(data)), team.fabric.device)
        figures = update(session, degraded, target)
        log.add(session.step, figures, session.problem)
        _check_patience(session)
        if is_due(config.log_every):
            log.line(
                step=session.step,
                steps=config.steps,
                batch_size=config.batch_size,
                rate=_rate(session, session.step - 1, config.lr),
                skipped=session.skipped,
            )
        if session.plan.validation and is_due(config.validate_every):
            session.figures = team.lead(lambda: validate(session)) or {}
            log.validation(session.step, session.figures, sample_file(run, session.step))
        if is_due(config.checkpoint_every):
            team.lead(lambda: save(session, run))
            saved = session.step
    if saved != session.step:
        team.lead(lambda: save(session, run))


def update(session: Session, degraded: Tensor, target: Tensor) -> dict[str, float | Tensor]:
    """One step: the generator learns, then its opponent.

    Args:
        session: changed in place.
        degraded: ``(B, 3, h, w)``.
        target: ``(B, 3, scale*h, scale*w)``.

    Returns:
        Name -> figure, for the log; nothing when something was not finite and nobody learnt.
    """
    generator, fabric = session.learner, session.team.fabric
    for learner in session.learners.values():
        learner.begin(_rate(session, session.step, learner.peak))
    seed_everything(session.plan.config.seed, session.step, fabric.global_rank)
    session.figures = {}
    images, seen = [], []
    for small, large in generator.parts(degraded, target):
        restored = generator.module(small)
        with fabric.autocast():
            terms = session.objective(restored, large)
        terms |= session.opponent.term(restored)
        seen.append(observe(session, terms, restored, large))
        generator.backward(terms)
        images.append(restored.detach())
    session.step += 1
    figures = generator.update()
    if not figures:
        return {}
    session.average.update(generator.module, session.step)
    observed = {name: torch.stack([part[name] for part in seen]).mean(0) for name in seen[0]}
    return figures | observed | session.opponent.learn(torch.cat(images), target)


def _rate(session: Session, step: int, peak: float) -> float:
    config = session.plan.config
    return learning_rate(step, peak=peak, final=config.lr_final, warmup=config.warmup, steps=config.steps)


def _check_patience(session: Session) -> None:
    """Give up after too many steps in a row in which one of the networks learnt nothing.

    Raises:
        TrainingError: that is so.
    """
    if max(learner.in_a_row for learner in session.learners.values()) >= _PATIENCE:
        raise TrainingError(
            f"{session.problem} was not finite in {_PATIENCE} steps in a row, up to step {session.step}: "
            f"start a new run with a lower --lr or --precision fp32, from the weights of this one with --init"
        )


def _batches(plan: Plan, start: int) -> Generator[Pair]:
    """This process's share of the batches from step `start` on."""
    config, world = plan.config, plan.world
    sampler = CountedSampler(start, config.steps, config.batch_size, world.rank, world.size)
    return batches(plan.patches, sampler, config.workers)


def _on_device(pair: Pair, device: torch.device) -> Pair:
    degraded, target = (image.to(device, memory_format=torch.channels_last) for image in pair)
    return degraded, target


def _announce(plan: Plan, damaged: list[str], monitor: Monitor) -> None:
    config, patch = plan.config, plan.patches.patch
    monitor.message(
        f"{config.model} {config.scale}x, objective {plan.objective.name}, {len(plan.patches.files)} images, "
        f"targets of {patch}x{patch} pixels, {config.steps} steps of {config.batch_size}"
    )
    if plan.skipped:
        names = ", ".join(file.name for file in plan.skipped[:5])
        more = f" and {len(plan.skipped) - 5} more" if len(plan.skipped) > 5 else ""
        monitor.message(f"skipped {len(plan.skipped)} images smaller than the patch: {names}{more}")
    for sentence in damaged:
        monitor.message(sentence)
