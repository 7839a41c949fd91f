"""The training loop, from a configuration to the weights: read `train`, then `restore.training.step`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch

from restore.config import TrainingConfig
from restore.data import Sample
from restore.errors import RestoreError, TrainingError
from restore.images.failures import is_out_of_memory
from restore.registry import Registry
from restore.training.inputs import write_inputs
from restore.training.interruption import Interruption
from restore.training.log import Monitor, RunLog
from restore.training.result import TrainingResult, result_of
from restore.training.run_folder import save
from restore.training.session import Session
from restore.training.setup import set_up
from restore.training.start import Started, batches_per_step, start
from restore.training.step import rate, train_step
from restore.training.validation import sample_file

__all__ = ["train"]

_PATIENCE = 10  # skipped updates in a row after which a run gives up


class _StepMemoryError(Exception):
    """The memory ran out in a step of this process.

    Not yet a `TrainingError`, with which a process of another rank would end as if it had succeeded, and the
    others would wait for it.
    """


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
        How the run ended: complete, stopped early because validations did not improve, or interrupted by
        Ctrl-C or SIGTERM; everything is saved.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong, the folder is not empty or in use by
            another process, the model has no parameters, or the run does not fit the memory.
        DataError: a folder of images cannot be used.
        ImageError: an image cannot be read.
        TrainingError: there is nothing to resume from, the disk is full, there is not enough memory for a
            step, or ten updates in a row were not finite.
    """
    setup = set_up(config, registry, resume=resume)
    monitor = monitor if monitor and setup.launch.rank == 0 else Monitor()
    try:
        with start(setup, registry, run, monitor, resume=resume) as started, ExitStack() as stack:
            if deterministic:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True))
            _train_steps(started, monitor, stack.enter_context(Interruption()))
    except _StepMemoryError as error:
        raise TrainingError(
            f"there is not enough memory for a step with `batch_size={config.batch_size}`",
            hint="start a new run with a smaller `batch_size` or `patch_size`, or with `accumulate`, from "
            "the weights of this one by `init`",
        ) from error
    return result_of(started.session, run)


def _train_steps(started: Started, monitor: Monitor, interruption: Interruption) -> None:
    """Train until all steps are done, validations no longer improve, or the user interrupts."""
    session, data, validation = started
    config, group, saved = session.setup.config, session.group, session.step
    run, best = validation.run, session.best
    log = RunLog(run, group, monitor, session.step)

    def is_due(every: int) -> bool:
        return session.step % every == 0 or session.step == config.steps

    def must_validate() -> bool:
        return bool(session.setup.validation.sets) and is_due(config.validate_every)

    if session.validated < session.step and must_validate():  # it failed in the run that is resumed
        _validate(started, log)
        group.on_rank_zero(lambda: save(session, run))
    while session.step < config.steps and not group.any(interruption.requested or best.is_exhausted):
        with _memory_errors(), _saved(started, saved):
            batch, *fresh = [
                _on_device(group.on_all_ranks(lambda: next(data)), group.fabric.device)
                for _ in range(batches_per_step(session.setup))
            ]
        with _memory_errors():
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
                rate=rate(session, session.step - 1, config.lr),
                skipped=session.skipped,
            )
        with _saved(started, saved):
            if must_validate():
                _validate(started, log)
        if is_due(config.checkpoint_every):
            group.on_rank_zero(lambda: save(session, run))
            saved = session.step
    if saved != session.step:
        group.on_rank_zero(lambda: save(session, run))
    if session.step < config.steps and best.is_exhausted:
        monitor.message(f"stopped early at step {session.step}: {best.reason}")


@contextmanager
def _saved(started: Started, last: int) -> Iterator[None]:
    """Save the step that is done if the block fails, unless it is `last`, which was saved before.

    The other ranks may not know of what was raised on rank 0, so they take no part.
    """
    try:
        yield
    except Exception:
        session = started.session
        if session.group.is_rank_zero and session.step != last:
            save(session, started.validation.run)
        raise


def _validate(started: Started, log: RunLog) -> None:
    """Measure the averaged generator, and keep it if it is the best so far."""
    session, validation, group = started.session, started.validation, started.session.group
    session.metrics = group.on_rank_zero(lambda: validation(session)) or {}
    group.on_rank_zero(
        lambda: session.best.update(session.step, session.metrics, session.average.module.state_dict)
    )
    session.validated = session.step
    log.validation(session.step, session.metrics, sample_file(validation.run, session.step), validation.lower)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn whatever is raised when memory runs out into a `_StepMemoryError`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RestoreError) or not is_out_of_memory(error):
            raise
        raise _StepMemoryError from error


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


def _on_device(batch: Sample, device: torch.device) -> Sample:
    degraded, target = (image.to(device, memory_format=torch.channels_last) for image in batch[:2])
    return Sample(degraded, target, batch.conditions.to(device))
