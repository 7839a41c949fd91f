"""The start of a run: from its settings to a session that is about to take a step."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from restore.checkpoint import Checkpoint, latest_checkpoint
from restore.data import CountedSampler, Sample, batches
from restore.interfaces import notes_of
from restore.registry import Registry
from restore.training.log import Monitor
from restore.training.networks import Networks, build
from restore.training.processes import ProcessGroup, connect, exit_other_ranks
from restore.training.result import announce
from restore.training.run_folder import CHECKPOINTS, check_free, check_same_images, create, locked, rewind
from restore.training.session import Session, begin, from_checkpoint, prepare_losses
from restore.training.setup import TrainingSetup, make_fabric
from restore.training.validation import Validation

__all__ = ["Started", "batches_per_step", "start"]


class Started(NamedTuple):
    """What the steps of a run need."""

    session: Session
    data: Iterator[Sample]
    """This rank's share of the batches."""
    validation: Validation


@contextmanager
def start(
    setup: TrainingSetup, registry: Registry, run: Path, monitor: Monitor, *, resume: bool
) -> Iterator[Started]:
    """Start the processes and open the folder of a run; afterwards, close what was opened.

    Args:
        setup: what was checked of the settings.
        registry: where to look up what the settings name.
        run: the folder.
        monitor: called with messages.
        resume: continue from the last whole checkpoint.

    Raises:
        As for `restore.training.train`.
    """
    fabric = make_fabric(setup)
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
        announce(setup, damaged, monitor)
        session = _session(setup, networks, group, checkpoint, monitor)
        validation = Validation(setup, run, group)
        if not resume:  # a run that cannot be validated can still be brought to its end
            group.on_rank_zero(validation.check)

        def open_folder() -> None:
            if not (early and resume):
                stack.enter_context(locked(run))
            rewind(session, run, monitor) if resume else create(session, run)

        group.on_rank_zero(open_folder)
        yield Started(session, data, validation)


def _session(
    setup: TrainingSetup,
    networks: Networks,
    group: ProcessGroup,
    checkpoint: Checkpoint | None,
    monitor: Monitor,
) -> Session:
    """A session with its losses prepared, before its first step or at the step of a checkpoint."""
    session = begin(setup, networks, group)
    if checkpoint is None:
        for sentence in group.on_rank_zero(setup.images.misaligned) or []:
            monitor.message(f"warning: {sentence}")
    else:
        from_checkpoint(session, checkpoint)
        monitor.message(f"resumed from step {session.step}")
    prepare_losses(session)
    for note in notes_of(session.objective):
        monitor.message(f"warning: {note}; results cannot be compared with those of other weights")
    return session


def _batches(setup: TrainingSetup, start: int) -> Generator[Sample]:
    """This rank's share of the batches from step `start` on."""
    config, launch, each = setup.config, setup.launch, batches_per_step(setup)
    sampler = CountedSampler(start * each, config.steps * each, config.batch_size, launch.rank, launch.size)
    return batches(setup.images.samples, sampler, config.workers)


def batches_per_step(setup: TrainingSetup) -> int:
    """One, and one more for each update of a discriminator that asks for fresh images."""
    return 1 + sum(each.steps for each in setup.objective.adversaries if each.fresh)
