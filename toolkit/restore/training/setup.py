"""From a configuration to everything that a run needs; whatever is wrong is said before training starts."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restore.checkpoint import LoadedModel, load_model
from restore.config import TrainingConfig
from restore.data import Patches, find_images, fingerprint, usable
from restore.errors import TrainingError, UsageError
from restore.evaluation import Dataset, dataset
from restore.inference import choose_device, choose_precision
from restore.interfaces import Adversary, ModelSpec, ObjectiveSpec, Options, parse
from restore.registry import Registry
from restore.training.objective import NoOpponent, Opponent, Rival, recipe

__all__ = ["Plan", "make_fabric", "make_opponent", "make_plan", "versions"]

_FABRIC_PRECISION = {torch.float32: "32-true", torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed"}


@dataclass(frozen=True)
class Plan:
    """A checked configuration, with what its names mean."""

    config: TrainingConfig
    model: ModelSpec
    options: Options
    objective: ObjectiveSpec
    patch: int
    """Side of the target in pixels."""
    files: list[Path]
    skipped: list[Path]
    """Images smaller than the patch."""
    patches: Patches
    validation: list[Dataset]
    fingerprint: str
    initial: LoadedModel | None

    def generator(self) -> nn.Module:
        """The network to be trained: fresh, or from the weights that `init` names."""
        if self.initial is not None:
            return self.initial.module.train()
        return self.model.build(self.config.scale, self.options).train()


def make_plan(config: TrainingConfig, registry: Registry) -> Plan:
    """Look up every name, check every option and open every folder.

    Raises:
        UsageError: a name, an option, a scale or a patch size is wrong.
        DataError: a folder or an image cannot be used.
    """
    spec, scale = registry.models[config.model], config.scale
    spec.check_scale(scale)
    objective = recipe(config.loss, registry, config.terms, config.adversary)
    patch = config.patch_size or -(-objective.patch_size // scale) * scale
    if patch % scale:
        raise UsageError(
            f"--patch-size {patch} is not a multiple of the scale {scale}: use {patch // scale * scale}"
        )
    if config.batch_size % config.devices:
        raise UsageError(f"--batch-size {config.batch_size} cannot be shared by {config.devices} devices")
    initial = _initial(config, registry)
    options = (
        initial.options if initial else parse(spec.options, config.model_options, f"model '{spec.name}'")
    )
    degradation = registry.degradations[config.degradation]
    degrade = degradation.build(
        scale,
        parse(degradation.options, config.degradation_options, f"degradation '{degradation.name}'"),
    )
    files, skipped = usable(find_images(config.data), patch)
    cache = int(config.cache_gib * 2**30) // max(config.workers, 1)
    patches = Patches(
        files, patch, scale, degrade, seed=config.seed, augment=config.augment, cache_bytes=cache
    )
    validation = [
        dataset(
            folder,
            registry,
            scale,
            degradation=config.degradation,
            options=config.degradation_options,
        )
        for folder in config.val
    ]
    for data in validation:
        find_images([data.targets])
    return Plan(
        config,
        spec,
        options,
        objective,
        patch,
        files,
        skipped,
        patches,
        validation,
        fingerprint(files),
        initial,
    )


def make_fabric(config: TrainingConfig) -> Fabric:
    """The engine: devices and precision. Not launched yet."""
    device = choose_device(config.device)
    precision = _FABRIC_PRECISION[choose_precision(config.precision, device)]
    return Fabric(accelerator=device.type, devices=config.devices, precision=precision)  # type: ignore[arg-type]


def make_opponent(plan: Plan, registry: Registry, fabric: Fabric) -> Opponent:
    """Whom the generator plays against."""
    adversary = plan.objective.adversary
    return NoOpponent() if adversary is None else _rival(adversary, plan, registry, fabric)


def versions() -> dict[str, str]:
    """Of what can change a result."""
    packages = ("restorekit", "torch", "lightning-fabric", "numpy", "pillow")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }


def _initial(config: TrainingConfig, registry: Registry) -> LoadedModel | None:
    if config.init is None:
        return None
    initial = load_model(config.init, registry, config.scale)
    if initial.spec.name != config.model:
        raise UsageError(f"--init {config.init} is not a '{config.model}': use --model {initial.spec.name}")
    wanted = parse(initial.spec.options, config.model_options, f"model '{config.model}'")
    if config.model_options and wanted != initial.options:
        raise UsageError(
            f"--init {config.init} has other options ({initial.options}) than those given ({wanted})"
        )
    if not any(True for _ in initial.module.parameters()):
        raise TrainingError(f"model '{config.model}' has nothing to learn")
    return initial


def _rival(adversary: Adversary, plan: Plan, registry: Registry, fabric: Fabric) -> Rival:
    spec, config = registry.discriminators[adversary.discriminator], plan.config
    options = parse(spec.options, adversary.options, f"discriminator '{spec.name}'")
    network = spec.build(plan.patch, options).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, betas=config.betas)
    module, wrapped = fabric.setup(network, optimizer)

    def reduce(tensor: Tensor) -> Tensor:
        result = fabric.all_reduce(tensor, reduce_op="mean")
        return result if isinstance(result, Tensor) else tensor

    return Rival(adversary.weight, adversary.gate, module, wrapped, reduce, fabric.backward)
