"""From a configuration to everything that a run needs; whatever is wrong is said before training starts."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from restore.checkpoint import LoadedModel, load_model
from restore.config import TrainingConfig
from restore.data import Augmentation, Patches, Targets, check_images, find_images, fingerprint, usable
from restore.errors import UsageError
from restore.evaluation import Dataset, Meter, dataset, meters
from restore.inference import choose_device, choose_precision
from restore.interfaces import Degrade, ModelSpec, ObjectiveSpec, Options, parse
from restore.registry import Registry
from restore.training.recipe import recipe
from restore.training.world import World, find_world

__all__ = ["Plan", "make_fabric", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """A checked configuration, with what its names mean."""

    config: TrainingConfig
    world: World
    """The processes that train."""
    model: ModelSpec
    options: Options
    objective: ObjectiveSpec
    patches: Patches
    skipped: list[Path]
    """Images smaller than the patch."""
    validation: list[Dataset]
    meters: list[Meter]
    """What a validation measures."""
    fingerprint: str
    """Of the images that are trained on."""
    initial: LoadedModel | None
    """What `config.init` names."""

    @property
    def own_settings(self) -> dict[str, Any]:
        """What has to be equal in all processes; folders may have another path on each machine."""
        return self.config.model_dump(mode="json", exclude={"data", "val", "init"})

    @property
    def samples(self) -> Targets:
        """What losses measure before the first step: the same for every run on these images."""
        return Targets(self.patches)

    def generator(self) -> nn.Module:
        """The network to be trained: fresh, or with the weights that `init` names."""
        if self.initial is not None:
            return self.initial.module.train()
        return self.model.build(self.config.scale, self.options).train()


def make_plan(config: TrainingConfig, registry: Registry, *, resume: bool = False) -> Plan:
    """Look up every name, check every option and open every folder.

    Args:
        config: what the user wants; in the plan's copy the options of the model and the number of
            processes are resolved.
        registry: where to look.
        resume: the weights come from a checkpoint, so those that `init` names are not needed.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong.
        DataError: a folder of images cannot be used.
        ImageError: an image cannot be read.
        WeightsError: the weights that `init` names cannot be loaded.
    """
    spec = _model(config, registry)
    spec.check_scale(config.scale)
    objective = recipe(config.loss, registry, config.terms, config.adversary)
    world = find_world(config.devices, config.nodes)
    config = config.model_copy(update={"devices": world.devices, "nodes": world.nodes})
    _check_shares(config, world)
    initial = None if resume or config.init is None else _initial(config.init, config, registry)
    options = initial.options if initial else _options(spec, config)
    resolved = options.model_dump(mode="json", exclude_none=True)
    patches, skipped = _patches(config, world, _patch_size(config, objective), _degradation(config, registry))
    return Plan(
        config=config.model_copy(update={"model_options": resolved}),
        world=world,
        model=spec,
        options=options,
        objective=objective,
        patches=patches,
        skipped=skipped,
        validation=_validation(config, registry),
        meters=meters(["psnr"], registry, config.scale) if config.val else [],
        fingerprint=fingerprint(patches.files),
        initial=initial,
    )


def make_fabric(config: TrainingConfig) -> Fabric:
    """The engine: processes, devices and precision. Not launched yet.

    Raises:
        UsageError: the machine has no such device, or not so many of them.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of each choice made for it
    world = find_world(config.devices, config.nodes)
    device = choose_device(config.device)
    available = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, world.devices)
    if world.devices > available:
        raise UsageError(
            f"--devices {world.devices} is more than the {available} of type {device.type} in this machine"
        )
    if device.type == "mps" and world.nodes > 1:
        raise UsageError(f"--nodes {world.nodes} does not work with mps: use --device cpu")
    return Fabric(
        accelerator=device.type,
        devices=world.devices,
        num_nodes=world.nodes,
        # Buffers are equal everywhere or statistics of a batch, of which the leader's are saved; besides,
        # torch cannot broadcast a single one in channels_last.
        strategy=DDPStrategy(forward_sync_buffers=False) if world.size > 1 else "auto",
        plugins=[world.environment, _precision(choose_precision(config.precision, device), device)],
    )


def _precision(dtype: torch.dtype, device: torch.device) -> Precision:
    if dtype == torch.float32:
        return Precision()
    if dtype == torch.bfloat16:
        return MixedPrecision("bf16-mixed", device.type)
    # Its own scaler does nothing: each network that learns has one.
    return MixedPrecision("16-mixed", device.type, torch.amp.GradScaler(device.type, enabled=False))


def _check_shares(config: TrainingConfig, world: World) -> None:
    share = world.size * config.accumulate
    if config.batch_size % share:
        parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
        raise UsageError(
            f"--batch-size {config.batch_size} cannot be shared evenly by {world.size} devices{parts}: use "
            f"{max(round(config.batch_size / share), 1) * share}"
        )


def _model(config: TrainingConfig, registry: Registry) -> ModelSpec:
    name, colon, _ = config.model.partition(":")
    if colon:
        raise UsageError(
            f"--model {config.model} names weights: to begin from them, use --model {name} "
            f"--init {config.model}"
        )
    return registry.models[name]


def _options(spec: ModelSpec, config: TrainingConfig, known: Options | None = None) -> Options:
    """The model's options: those that the user gave, the rest from `known` weights or by default."""
    base = known.model_dump() if known else {}
    return parse(spec.options, {**base, **config.model_options}, f"model '{spec.name}'")


def _initial(reference: str, config: TrainingConfig, registry: Registry) -> LoadedModel:
    initial = load_model(reference, registry, config.scale)
    if initial.spec.name != config.model:
        raise UsageError(f"--init {reference} is not a '{config.model}': use --model {initial.spec.name}")
    wanted = _options(initial.spec, config, initial.options)
    if wanted != initial.options:
        raise UsageError(
            f"--init {reference} has the options ({initial.options}), not ({wanted}): leave the options away"
        )
    return initial


def _patch_size(config: TrainingConfig, objective: ObjectiveSpec) -> int:
    """Side of the target in pixels: what the user wants, or what the objective asks for, rounded up."""
    scale = config.scale
    patch = config.patch_size or -(-objective.patch_size // scale) * scale
    if patch % scale:
        raise UsageError(
            f"--patch-size {patch} is not a multiple of the scale {scale}: use "
            f"{max(patch // scale, 1) * scale}"
        )
    return patch


def _degradation(config: TrainingConfig, registry: Registry) -> Degrade:
    spec = registry.degradations[config.degradation]
    options = parse(spec.options, config.degradation_options, f"degradation '{spec.name}'")
    return spec.build(config.scale, options)


def _patches(
    config: TrainingConfig, world: World, patch: int, degrade: Degrade
) -> tuple[Patches, list[Path]]:
    files, skipped = usable(find_images(config.data), patch)
    loaders = max(config.workers, 1) * world.devices
    patches = Patches(
        files,
        patch,
        config.scale,
        degrade,
        seed=config.seed,
        augment=Augmentation(turn=config.augment, recolor=config.recolor),
        cache_bytes=int(config.cache_gib * 2**30) // loaders,
    )
    return patches, skipped


def _validation(config: TrainingConfig, registry: Registry) -> list[Dataset]:
    found = []
    for folder in config.val:
        check_images(find_images([folder]))
        found.append(
            dataset(
                folder,
                registry,
                config.scale,
                degradation=config.degradation,
                options=config.degradation_options,
            )
        )
    for name, count in Counter(data.name for data in found).items():
        if count > 1:
            raise UsageError(
                f"{count} folders of --val are called '{name}': rename or leave away one of them"
            )
    return found
