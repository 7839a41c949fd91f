"""The networks of a run, built and checked on the CPU before the processes are connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restore.checkpoint import build_within
from restore.data import Sample
from restore.errors import UsageError, first_line
from restore.interfaces import (
    AdversarialLoss,
    Adversary,
    DiscriminatorSpec,
    Logits,
    check_preparation,
    parse,
)
from restore.registry import Registry
from restore.training.adversarial import AdversarialBatch
from restore.training.compiler import check_compiler
from restore.training.memory import BYTES_PER_PARAMETER, check_step, total_memory
from restore.training.objective import Objective, captured, check_layers, described
from restore.training.optimization import seed_all
from restore.training.setup import TrainingSetup

__all__ = ["Networks", "build", "discriminator_inputs"]


@dataclass(frozen=True)
class Networks:
    """Networks on the CPU, in float32."""

    generator: nn.Module
    objective: Objective
    discriminators: list[nn.Module]
    """One for each adversary of the objective."""


def build(setup: TrainingSetup, registry: Registry, device: torch.device) -> Networks:
    """Build all networks in a fixed order, so that each draws the same random numbers from a seed.

    Args:
        setup: of the run.
        registry: all entries.
        device: where they will be trained.

    Raises:
        UsageError: the model has no parameters, a network does not fit the memory, or `torch.compile` does
            not work on this machine.
        RestoreError: a loss lacks what it needs.
    """
    config, patch = setup.config, setup.images.samples.patch
    if config.compile:
        check_compiler(device)
    if setup.start.initial is None:
        limit = total_memory(device) // BYTES_PER_PARAMETER
        build_within(setup.generator, limit, f"model '{config.model}' with these options")
    seed_all(config.seed)
    generator = setup.generator()
    if not any(parameter.requires_grad for parameter in generator.parameters()):
        raise UsageError(f"model '{config.model}' has no parameters to train", hint="choose another `model`")
    objective = Objective(setup.objective, registry, config.feature_shift)
    check_preparation(objective)
    check_layers(generator, objective.generator_layers)
    sample = setup.images.samples[0]
    _check_sizes(sample, patch, config.scale)
    discriminators = []
    for adversary, loss in zip(setup.objective.adversaries, setup.adversarial_losses, strict=True):
        discriminators.append(_discriminator(adversary, registry, patch, device))
        logits = _logits(discriminators[-1], registry.discriminators[adversary.discriminator], sample)
        _check_adversarial_loss(loss, adversary.loss, logits)
    check_step(generator, config, sample, device, setup.launch.size)
    _check_losses(objective, generator, sample, config.model)
    return Networks(generator, objective, discriminators)


def discriminator_inputs(sample: Sample, *, conditional: bool) -> tuple[Tensor, ...]:
    """A batch of two targets, which batch normalization needs, and their conditions if it takes some."""
    images, degraded = (tensor.expand(2, -1, -1, -1) for tensor in (sample.target, sample.degraded))
    return (images, AdversarialBatch(images, images, degraded).condition()) if conditional else (images,)


def _check_sizes(sample: Sample, patch: int, scale: int) -> None:
    """Refuse augmentations that change the size of a patch."""
    shapes = [tuple(image.shape) for image in (sample.degraded, sample.target)]
    wanted = [(3, patch // scale, patch // scale), (3, patch, patch)]
    if shapes != wanted:
        raise UsageError(f"the augmentations turn patches of {wanted} into {shapes}", hint="omit some")


def _logits(network: nn.Module, spec: DiscriminatorSpec, sample: Sample) -> Logits:
    """The logits of a target twice, from a discriminator that is refused if it gives something else."""
    patch = sample.target.shape[-1]
    try:
        with _evaluated(network):
            logits = network(*discriminator_inputs(sample, conditional=spec.conditional))
    except Exception as error:  # whatever the code of a plugin can raise
        raise UsageError(
            f"discriminator '{spec.name}' fails on targets of {patch}x{patch} pixels "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    scales = logits if isinstance(logits, list | tuple) and logits else [logits]
    for scale in scales:
        shape = tuple(scale.shape) if isinstance(scale, Tensor) else ()
        if shape != (2, 1) and (len(shape) != 4 or shape[:2] != (2, 1)):
            raise UsageError(
                f"discriminator '{spec.name}' gives {described(logits)} for two images, not logits of the "
                f"shape (2, 1) or (2, 1, h, w), or a list of these"
            )
    checked: Logits = logits
    return checked


def _check_adversarial_loss(loss: AdversarialLoss, name: str, logits: Logits) -> None:
    """Refuse an adversarial loss that fails on the logits of its discriminator, or gives no scalar."""
    try:
        values = (
            loss.generator(logits, logits if loss.needs_real else None),
            loss.discriminator(logits, logits),
        )
    except Exception as error:  # whatever the code of a plugin can raise
        raise UsageError(
            f"the adversarial loss '{name}' fails on {described(logits)} ({type(error).__name__}: "
            f"{first_line(error)})"
        ) from error
    for value in values:
        if not isinstance(value, Tensor) or value.ndim:
            raise UsageError(f"the adversarial loss '{name}' gives {described(value)}, not one scalar")


def _check_losses(objective: Objective, generator: nn.Module, sample: Sample, model: str) -> None:
    """Refuse a model whose result has another size than the target, and losses that fail on it."""
    degraded, target = sample.degraded[None], sample.target[None]
    with _evaluated(generator), captured(generator, objective.generator_layers) as features:
        restored = generator(degraded, *sample.conditions[None].unbind(1))
        if restored.shape != target.shape:
            raise UsageError(
                f"model '{model}' gives {described(restored)} for {described(degraded)}, whose target is "
                f"{described(target)}"
            )
        objective.check(restored, target, degraded=degraded, step=0, features=features)


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """Try `network` without changing its statistics, its mode or the state of the random generator."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        network.train(was_training)


def _discriminator(adversary: Adversary, registry: Registry, patch: int, device: torch.device) -> nn.Module:
    spec = registry.discriminators[adversary.discriminator]
    options = parse(spec.options, adversary.options, f"discriminator '{spec.name}'")
    limit = total_memory(device) // BYTES_PER_PARAMETER
    build_within(lambda: spec.build(patch, options), limit, f"discriminator '{spec.name}' with these options")
    try:
        return spec.build(patch, options)
    except ValueError as error:
        raise UsageError(f"discriminator '{spec.name}': {error}", hint="change `patch_size`") from error
