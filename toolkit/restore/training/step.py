"""One step of training: the generator, then the discriminators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import starmap

import torch
from torch import Tensor

from restore.data import Sample
from restore.training.adversarial import AdversarialBatch
from restore.training.measures import observe
from restore.training.objective import captured
from restore.training.optimization import learning_rate, seed_all, update_average
from restore.training.session import Session

__all__ = ["rate", "train_step"]


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
        learner.begin(rate(session, step, learner.peak, discriminator=name.startswith("discriminator")))
    seed_all(session.setup.config.seed, step, fabric.global_rank)
    session.metrics = {}
    _look_ahead(session, batch)
    images, seen = [], []
    measurements = session.objective.measurements if session.group.size > 1 else []
    before = [tensor.clone() for tensor in measurements]
    for part, sample in enumerate(_parts(session, batch)):
        degraded, target, _ = sample
        with captured(session.network, session.objective.generator_layers) as features:
            restored = _restored(session, sample)  # (B/parts, 3, scale*h, scale*w)
        with fabric.autocast():
            terms = session.terms(restored, target, degraded=degraded, step=step, features=features)
        for adversary in session.adversaries:
            terms |= adversary.term(AdversarialBatch(restored, target, degraded), part)
        seen.append(observe(session, terms, restored, target))
        generator.backward(terms)
        if session.losses is not None:
            session.losses.record(terms)
        images.append(restored.detach())
    session.group.average_changes(measurements, before)
    session.step += 1
    values = generator.update()
    if not values:
        return {}
    if session.losses is not None:
        session.losses.update()
    update_average(session.average, generator.module, session.step, generator.averages)
    observed = {name: torch.stack([part[name] for part in seen]).mean(0) for name in seen[0]}
    compared = AdversarialBatch(torch.cat(images), batch.target, batch.degraded)
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
            AdversarialBatch(_restored(session, part), part.target, part.degraded)
            for part in starmap(Sample, chunks)
        ]
    for adversary in waiting:
        adversary.look_ahead(parts)


def _train_discriminators(
    session: Session, batch: AdversarialBatch, fresh: Iterator[Sample], step: int
) -> dict[str, float | Tensor]:
    values: dict[str, float | Tensor] = {}
    for trainer in session.adversaries:
        for _ in range(trainer.adversary.steps):
            images = batch
            if trainer.adversary.fresh:
                sample = next(fresh)
                with torch.no_grad():
                    images = AdversarialBatch(_restored(session, sample), sample.target, sample.degraded)
            values |= trainer.update(images, step)
    return values


def rate(session: Session, step: int, peak: float, *, discriminator: bool = False) -> float:
    """The learning rate of a step, for a network whose highest one is `peak`."""
    config = session.setup.config
    warmup = config.warmup
    if discriminator and config.warmup_discriminator is not None:
        warmup = config.warmup_discriminator
    return learning_rate(step, peak=peak, warmup=warmup, steps=config.steps, schedule=session.setup.schedule)
