"""The training loop, from a configuration to the weights: read `train`, then `train_step`."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import starmap
from pathlib import Path

import torch
from torch import Tensor

from restore.checkpoint import latest_checkpoint
from restore.config import TrainingConfig
from restore.data import CountedSampler, Sample, batches
from restore.errors import TrainingError
from restore.interfaces import notes_of
from restore.registry import Registry
from restore.training.adversarial import Batch
from restore.training.inputs import write_inputs
from restore.training.interruption import Interruption
from restore.training.log import Monitor, RunLog
from restore.training.measures import observe
from restore.training.networks import build
from restore.training.objective import captured
from restore.training.optimization import learning_rate, seed_all, update_average
from restore.training.processes import connect, exit_other_ranks
from restore.training.result import TrainingResult, announce, result_of
from restore.training.run_folder import (
    CHECKPOINTS,
    check_free,
    check_same_images,
    create,
    locked,
    rewind,
    save,
)
from restore.training.session import Session, begin, from_checkpoint, prepare_losses
from restore.training.setup import TrainingSetup, make_fabric, set_up
from restore.training.validation import Validation, sample_file

__all__ = ["train", "train_step"]

_PATIENCE = 10  # skipped updates in a row after which a run gives up


def train(
    config: TrainingConfig,
    registry: Registry,
    run: Path,
    *,
    resume: bool = False,
    deterministic: bool = False,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a generator and write the run into the folder `run`.

    With several devices, Fabric starts one process for each unless a launcher did; only rank 0 returns. The
    processes that load images are forked: call this before torch has run in several threads, or set
    `workers` to 0.

    Args:
        config: all settings.
        registry: where to look up what `config` names.
        run: a new or empty folder, or with `resume` one that has a checkpoint.
        resume: continue from the last whole checkpoint.
        deterministic: have cuDNN use deterministic convolutions, so that a resumed run ends with the same
            bytes on a GPU too. The command line does; on a CPU it changes nothing.
        monitor: called with messages and log lines.

    Returns:
        How the run ended: complete, or stopped early because validations did not improve, or interrupted by
        Ctrl-C or SIGTERM; everything is saved.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong, the folder is not empty or in use by
            another process, the model has no parameters, or the run does not fit the memory.
        DataError: a folder of images cannot be used.
        ImageError: an image cannot be read.
        TrainingError: there is nothing to resume from, the disk is full, or ten updates in a row were not
            finite.
    """
    setup = set_up(config, registry, resume=resume)
    fabric = make_fabric(setup)
    monitor = monitor if monitor and setup.launch.rank == 0 else Monitor()
    # Before the processes are connected, unless those of another machine would wait in vain for this one.
    early = setup.launch.rank == 0 and setup.launch.nodes == 1
    with ExitStack() as stack:
        if early:
            stack.enter_context(locked(run)) if resume else check_free(run)
        checkpoint, damaged = latest_checkpoint(run / CHECKPOINTS) if resume else (None, [])
        if checkpoint is not None:
            check_same_images(setup, checkpoint)
        step = checkpoint.step if checkpoint else 0
        data = stack.enter_context(closing(_batches(setup, step)))
        networks = build(setup, registry, fabric.device)
        group = connect(fabric)
        stack.enter_context(exit_other_ranks(group))
        group.check_equal(settings=setup.own_settings, images=setup.images.fingerprint, step=step)
        session = begin(setup, networks, group)
        announce(setup, damaged, monitor)
        if checkpoint is None:
            for sentence in group.on_rank_zero(setup.images.misaligned) or []:
                monitor.message(f"warning: {sentence}")
        else:
            from_checkpoint(session, checkpoint)
            monitor.message(f"resumed from step {session.step}")
        prepare_losses(session)
        for note in notes_of(session.objective):
            monitor.message(f"warning: {note}; results cannot be compared with those of other weights")
        validation = Validation(setup, run, group)

        def open_folder() -> None:
            if not (early and resume):
                stack.enter_context(locked(run))
            rewind(session, run, monitor) if resume else create(session, run)

        group.on_rank_zero(open_folder)
        if deterministic:
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True))
        interruption = stack.enter_context(Interruption())
        _train_steps(session, data, validation, monitor, interruption)
    return result_of(session, run)


def _train_steps(
    session: Session,
    data: Iterator[Sample],
    validate: Validation,
    monitor: Monitor,
    interruption: Interruption,
) -> None:
    config, group, saved = session.setup.config, session.group, session.step
    run, best = validate.run, session.best
    log = RunLog(run, group, monitor, session.step)

    def is_due(every: int) -> bool:
        return session.step % every == 0 or session.step == config.steps

    while session.step < config.steps and not group.any(interruption.requested or best.is_exhausted):
        batch, *fresh = [
            _on_device(group.on_all_ranks(lambda: next(data)), group.fabric.device)
            for _ in range(_batches_per_step(session.setup))
        ]
        if session.step == 0:
            group.on_rank_zero(partial(write_inputs, batch, run))
        values = train_step(session, batch, fresh)
        log.add(session.step, values, session.problem)
        _check_patience(session)
        if is_due(config.log_every):
            log.line(
                step=session.step,
                steps=config.steps,
                batch_size=config.batch_size,
                rate=_rate(session, session.step - 1, config.lr),
                skipped=session.skipped,
            )
        if session.setup.validation.sets and is_due(config.validate_every):
            session.metrics = group.on_rank_zero(lambda: validate(session)) or {}
            group.on_rank_zero(
                lambda: best.update(session.step, session.metrics, session.average.module.state_dict)
            )
            log.validation(session.step, session.metrics, sample_file(run, session.step), validate.lower)
        if is_due(config.checkpoint_every):
            group.on_rank_zero(lambda: save(session, run))
            saved = session.step
    if saved != session.step:
        group.on_rank_zero(lambda: save(session, run))
    if session.step < config.steps and best.is_exhausted:
        monitor.message(f"stopped early at step {session.step}: {best.reason}")


def train_step(session: Session, batch: Sample, fresh: Sequence[Sample] = ()) -> dict[str, float | Tensor]:
    """One step: the generator, then the discriminators.

    Args:
        session: changed in place.
        batch: its size is a multiple of the number of parts.
        fresh: more batches, for the updates of the adversaries that ask for them.

    Returns:
        Name -> value, for the log; empty when something was not finite and the step was skipped.
    """
    generator, fabric, step = session.learner, session.group.fabric, session.step
    for name, learner in session.learners.items():
        learner.begin(_rate(session, step, learner.peak, discriminator=name.startswith("discriminator")))
    seed_all(session.setup.config.seed, step, fabric.global_rank)
    session.metrics = {}
    _look_ahead(session, batch)
    images, seen = [], []
    for part, sample in enumerate(_parts(session, batch)):
        degraded, target, _ = sample
        with captured(session.network, session.objective.generator_layers) as features:
            restored = _restored(session, sample)  # (B/parts, 3, scale*h, scale*w)
        with fabric.autocast():
            terms = session.terms(restored, target, degraded=degraded, step=step, features=features)
        for adversary in session.adversaries:
            terms |= adversary.term(Batch(restored, target, degraded), part)
        seen.append(observe(session, terms, restored, target))
        generator.backward(terms)
        if session.losses is not None:
            session.losses.record(terms)
        images.append(restored.detach())
    session.step += 1
    values = generator.update()
    if not values:
        return {}
    if session.losses is not None:
        session.losses.update()
    update_average(session.average, generator.module, session.step, generator.averages)
    observed = {name: torch.stack([part[name] for part in seen]).mean(0) for name in seen[0]}
    compared = Batch(torch.cat(images), batch.target, batch.degraded)
    return values | observed | _train_discriminators(session, compared, iter(fresh), step)


def _restored(session: Session, batch: Sample) -> Tensor:
    restored: Tensor = session.learner.module(batch.degraded, *batch.conditions.unbind(1))
    return restored


def _parts(session: Session, batch: Sample) -> Iterator[Sample]:
    """The parts of a batch, for the generator and the losses that are trained with it."""
    parts = session.learner.divide(*batch)
    if session.losses is None:
        yield from (Sample(*part) for part in parts)
        return
    for part, _ in zip(parts, session.losses.divide(batch.degraded), strict=True):
        yield Sample(*part)


def _look_ahead(session: Session, batch: Sample) -> None:
    """Give the adversaries whose losses are of whole batches the logits of all parts of this one."""
    waiting = [adversary for adversary in session.adversaries if adversary.needs_all_logits]
    if not waiting:
        return
    chunks = zip(*(tensor.chunk(session.learner.parts) for tensor in batch), strict=True)
    with torch.no_grad():
        parts = [
            Batch(_restored(session, part), part.target, part.degraded) for part in starmap(Sample, chunks)
        ]
    for adversary in waiting:
        adversary.look_ahead(parts)


def _train_discriminators(
    session: Session, batch: Batch, fresh: Iterator[Sample], step: int
) -> dict[str, float | Tensor]:
    values: dict[str, float | Tensor] = {}
    for trainer in session.adversaries:
        for _ in range(trainer.adversary.steps):
            images = batch
            if trainer.adversary.fresh:
                sample = next(fresh)
                with torch.no_grad():
                    images = Batch(_restored(session, sample), sample.target, sample.degraded)
            values |= trainer.update(images, step)
    return values


def _rate(session: Session, step: int, peak: float, *, discriminator: bool = False) -> float:
    config = session.setup.config
    warmup = config.warmup
    if discriminator and config.warmup_discriminator is not None:
        warmup = config.warmup_discriminator
    return learning_rate(step, peak=peak, warmup=warmup, steps=config.steps, schedule=session.setup.schedule)


def _check_patience(session: Session) -> None:
    """Give up after too many skipped updates of one network in a row.

    Raises:
        TrainingError: an update was skipped ten times in a row.
    """
    if max(learner.in_a_row for learner in session.learners.values()) >= _PATIENCE:
        raise TrainingError(
            f"{session.problem} was not finite in {_PATIENCE} steps in a row, up to step {session.step}",
            hint="start a new run with a lower `lr` or with `precision=fp32`, from the weights of this one "
            "by `init`",
        )


def _batches(setup: TrainingSetup, start: int) -> Generator[Sample]:
    """This rank's share of the batches from step `start` on."""
    config, launch, each = setup.config, setup.launch, _batches_per_step(setup)
    sampler = CountedSampler(start * each, config.steps * each, config.batch_size, launch.rank, launch.size)
    return batches(setup.images.samples, sampler, config.workers)


def _batches_per_step(setup: TrainingSetup) -> int:
    """One, and one more for each update of a discriminator that asks for fresh images."""
    return 1 + sum(each.steps for each in setup.objective.adversaries if each.fresh)


def _on_device(batch: Sample, device: torch.device) -> Sample:
    degraded, target = (image.to(device, memory_format=torch.channels_last) for image in batch[:2])
    return Sample(degraded, target, batch.conditions.to(device))
