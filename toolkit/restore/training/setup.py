"""Build everything that a run needs from its configuration, and report errors before processes start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from restore.checkpoint import LoadedModel
from restore.config import TrainingConfig
from restore.data import Targets
from restore.errors import UsageError
from restore.inference import choose_device, choose_precision
from restore.interfaces import (
    AdversarialLoss,
    Adversary,
    GradientPenalty,
    ModelSpec,
    ObjectiveSpec,
    Schedule,
    parse,
)
from restore.registry import Registry
from restore.tiling import round_up
from restore.training.initialization import Start, find_model, find_start
from restore.training.launch import LaunchEnvironment, find_launch
from restore.training.memory import check_cache, check_images_of_batch, check_processes
from restore.training.recipe import recipe
from restore.training.sources import TrainingImages, training_images
from restore.training.validation_plan import ValidationPlan, plan_validation

__all__ = ["TrainingSetup", "make_fabric", "set_up"]

_SHARES = 100  # of a schedule that are looked at before a run starts


@dataclass(frozen=True)
class TrainingSetup:
    """A checked configuration with the entries, images and options that it names."""

    config: TrainingConfig
    launch: LaunchEnvironment
    model: ModelSpec
    start: Start
    """The options of the model, and the weights that it starts from."""
    objective: ObjectiveSpec
    images: TrainingImages
    validation: ValidationPlan
    make_optimizer: Callable[[Sequence[dict[str, Any]]], torch.optim.Optimizer]
    """Parameter groups -> the optimizer of any network."""
    schedule: Schedule
    adversarial_losses: list[AdversarialLoss]
    """One for each adversary of the objective."""
    conditional: list[bool]
    """Whether the discriminator of each adversary takes the degraded images, too."""

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings that have to agree on all ranks; files may have another path on each machine."""
        return {name: value for name, value in self.config.settings.items() if name != "init"}

    @property
    def targets(self) -> Targets:
        """The targets that losses are prepared on: the same for every run on these images."""
        return Targets(self.images.samples)

    def generator(self) -> nn.Module:
        """The network to be trained: with fresh weights, or with those that `init` or `model` names."""
        if self.start.initial is not None:
            return self.start.initial.module.train()
        return self.model.build(self.config.scale, self.start.options).train()

    def trained(self, module: nn.Module) -> LoadedModel:
        """`module`, the generator or its average, with what is needed to run it."""
        return self.start.trained(self.model, self.config.scale, module)


@contextmanager
def _single_threaded() -> Iterator[None]:
    # The processes that load images are forked later, which is safe only before torch's threads run.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_single_threaded()
def set_up(config: TrainingConfig, registry: Registry, *, resume: bool = False) -> TrainingSetup:
    """Look up every name, check every option and open every folder.

    Args:
        config: the request; in the copy that is returned, the options of the model and the number of
            processes are resolved.
        registry: all entries.
        resume: the weights come from a checkpoint, so those that `init` names are not read.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong, or the machine lacks the memory.
        DataError: a folder of images cannot be used.
        ImageError: an image cannot be read.
        WeightsError: the weights that `init` names cannot be loaded.
    """
    spec = find_model(config, registry)
    spec.check_scale(config.scale)
    objective = recipe(config.loss, registry, config.terms, config.adversary)
    adversaries = objective.adversaries
    adversarial_losses = _checked_losses(objective, registry)
    _check_compile(config, objective, adversarial_losses, registry)
    launch = find_launch(config.devices, config.nodes)
    config = config.model_copy(update={"devices": launch.devices, "nodes": launch.nodes})
    _check_batch(config, launch)
    patch = _patch_size(config, objective)
    check_processes(config, launch.devices)
    check_cache(config)
    check_images_of_batch(config, patch, launch)
    start = find_start(config, spec, registry, resume=resume)
    loaders = max(config.workers, 1) * launch.devices
    conditions = spec.conditions(start.options)
    images = training_images(config, patch, conditions, registry, loaders=loaders)
    return TrainingSetup(
        config=config.model_copy(
            update={"model_options": start.options.model_dump(mode="json", exclude_none=True)}
        ),
        launch=launch,
        model=spec,
        start=start,
        objective=objective,
        images=images,
        validation=plan_validation(config, registry),
        make_optimizer=_optimizer(config, registry),
        schedule=_schedule(config, registry),
        adversarial_losses=adversarial_losses,
        conditional=[registry.discriminators[each.discriminator].conditional for each in adversaries],
    )


def make_fabric(setup: TrainingSetup) -> Fabric:
    """Create the engine (processes, devices and precision) without launching it.

    Raises:
        UsageError: the machine lacks the device, or has fewer of them.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it logs each default that it chooses
    config, launch = setup.config, setup.launch
    device = choose_device(config.device)
    available = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, launch.devices)
    if launch.devices > available:
        raise UsageError(
            f"`devices={launch.devices}` is more than the {available} of type {device.type} in this machine",
            hint=f"use `devices={available}`",
        )
    if device.type == "mps" and launch.nodes > 1:
        raise UsageError(f"`nodes={launch.nodes}` does not work with mps", hint="use `device=cpu`")
    return Fabric(
        accelerator=device.type,
        devices=launch.devices,
        num_nodes=launch.nodes,
        # Buffers are equal on all ranks, or statistics of a batch, of which those of rank 0 are saved; and
        # torch cannot broadcast a buffer in channels_last.
        strategy=DDPStrategy(forward_sync_buffers=False) if launch.size > 1 else "auto",
        plugins=[launch.environment, _precision(choose_precision(config.precision, device), device)],
    )


def _precision(dtype: torch.dtype, device: torch.device) -> Precision:
    if dtype == torch.float32:
        return Precision()
    if dtype == torch.bfloat16:
        return MixedPrecision("bf16-mixed", device.type)
    # Fabric's own scaler is disabled: each network has one (see `Learner`).
    return MixedPrecision("16-mixed", device.type, torch.amp.GradScaler(device.type, enabled=False))


def _checked_losses(objective: ObjectiveSpec, registry: Registry) -> list[AdversarialLoss]:
    """The adversarial loss of each adversary; all options of the objective are checked."""
    losses = []
    for term in objective.terms:
        parse(registry.losses[term.loss].options, term.options, f"loss '{term.loss}'")
    for adversary in objective.adversaries:
        spec = registry.discriminators[adversary.discriminator]
        parse(spec.options, adversary.options, f"discriminator '{spec.name}'")
        losses.append(_adversarial_loss(adversary, registry))
    return losses


def _adversarial_loss(adversary: Adversary, registry: Registry) -> AdversarialLoss:
    spec = registry.adversarial_losses[adversary.loss]
    return spec.build(parse(spec.options, adversary.loss_options, f"adversarial loss '{spec.name}'"))


def _check_compile(
    config: TrainingConfig,
    objective: ObjectiveSpec,
    adversarial_losses: Sequence[AdversarialLoss],
    registry: Registry,
) -> None:
    """Refuse settings that compiled networks do not support."""
    if not config.compile:
        return
    for adversary, loss in zip(objective.adversaries, adversarial_losses, strict=True):
        if adversary.r1 or isinstance(loss, GradientPenalty):
            raise UsageError(
                f"the adversary '{adversary.label}' penalizes gradients, which a compiled network cannot",
                hint="omit `compile`",
            )
    for term in objective.terms:
        if "features" in registry.losses[term.loss].inputs:
            raise UsageError(
                f"the loss '{term.loss}' asks for features, which a compiled network does not show",
                hint="omit `compile`",
            )


def _optimizer(
    config: TrainingConfig, registry: Registry
) -> Callable[[Sequence[dict[str, Any]]], torch.optim.Optimizer]:
    spec = registry.optimizers[config.optimizer]
    options = parse(spec.options, config.optimizer_options, f"optimizer '{spec.name}'")
    return lambda groups: spec.build(groups, options)


def _schedule(config: TrainingConfig, registry: Registry) -> Schedule:
    spec = registry.schedules[config.schedule]
    schedule = spec.build(parse(spec.options, config.schedule_options, f"schedule '{spec.name}'"))
    for step in range(0, config.steps, max(config.steps // _SHARES, 1)):
        share = schedule(step, config.steps)
        if not 0 <= share <= 1:  # which a NaN is not either
            raise UsageError(
                f"schedule '{spec.name}' gives {share:g} as the share of the peak rate at step {step} of "
                f"{config.steps}, which has to lie in [0, 1]"
            )
    return schedule


def _check_batch(config: TrainingConfig, launch: LaunchEnvironment) -> None:
    share = launch.size * config.accumulate
    if config.batch_size % share:
        parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
        raise UsageError(
            f"`batch_size={config.batch_size}` cannot be divided evenly among {launch.size} devices{parts}",
            hint=f"use `batch_size={max(round(config.batch_size / share), 1) * share}`",
        )


def _patch_size(config: TrainingConfig, objective: ObjectiveSpec) -> int:
    """Side of the target in pixels: as requested, or what the objective asks for, rounded up."""
    scale = config.scale
    patch = config.patch_size or round_up(objective.patch_size, scale)
    if patch % scale:
        raise UsageError(
            f"`patch_size={patch}` is not a multiple of the scale {scale}",
            hint=f"use `patch_size={max(patch // scale, 1) * scale}`",
        )
    return patch
