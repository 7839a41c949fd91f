"""The networks of a run, built and checked on the CPU before the processes are connected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from restore.checkpoint import build_within
from restore.errors import UsageError
from restore.interfaces import Adversary, check_preparation, parse
from restore.registry import Registry
from restore.training.compiler import check_compiler
from restore.training.memory import BYTES_PER_PARAMETER, check_step, total_memory
from restore.training.objective import Objective, check_layers
from restore.training.optimization import seed_all
from restore.training.setup import TrainingSetup

__all__ = ["Networks", "build"]


@dataclass(frozen=True)
class Networks:
    """Networks on the CPU, in float32."""

    generator: nn.Module
    objective: Objective
    discriminators: list[nn.Module]
    """One for each adversary of the objective."""


def build(setup: TrainingSetup, registry: Registry, device: torch.device) -> Networks:
    """Build all networks, in an order that fixes what each draws from the seed.

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
    objective = Objective(setup.objective, registry)
    check_preparation(objective)
    check_layers(generator, objective.generator_layers)
    discriminators = [
        _discriminator(adversary, registry, patch, device) for adversary in setup.objective.adversaries
    ]
    check_step(generator, config, setup.images.samples[0], device, setup.launch.size)
    return Networks(generator, objective, discriminators)


def _discriminator(adversary: Adversary, registry: Registry, patch: int, device: torch.device) -> nn.Module:
    spec = registry.discriminators[adversary.discriminator]
    options = parse(spec.options, adversary.options, f"discriminator '{spec.name}'")
    limit = total_memory(device) // BYTES_PER_PARAMETER
    build_within(lambda: spec.build(patch, options), limit, f"discriminator '{spec.name}' with these options")
    try:
        return spec.build(patch, options)
    except ValueError as error:
        raise UsageError(f"discriminator '{spec.name}': {error}", hint="change `patch_size`") from error
