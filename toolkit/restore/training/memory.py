"""Lower bounds of the memory that a run needs, so that what cannot fit is refused before it starts."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from restore.config import TrainingConfig
from restore.data import Sample
from restore.errors import UsageError
from restore.training.launch import LaunchEnvironment

__all__ = [
    "BYTES_PER_PARAMETER",
    "check_cache",
    "check_images_of_batch",
    "check_processes",
    "check_step",
    "machine_memory",
    "total_memory",
]

BYTES_PER_PARAMETER = 20
"""Of the generator: weight, gradient, the two averages of Adam and the moving average, in float32."""

_PROCESS = 200 * 2**20  # bytes of a training process that has done nothing but import torch
_LOADER = 20 * 2**20  # bytes of a forked process that loads images
_PREFETCHED = 4  # batches per loading process, see `restore.data.batches`


def machine_memory() -> int:
    """Return the physical memory of this machine in bytes; 2**62 if it is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**62


def total_memory(device: torch.device) -> int:
    """Return the memory of `device` in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return machine_memory()


def check_processes(config: TrainingConfig, devices: int) -> None:
    """Check that the processes of this machine fit its memory.

    Raises:
        UsageError: they do not.
    """
    _check(
        devices * (_PROCESS + config.workers * _LOADER),
        f"`devices={devices}` with `workers={config.workers}` each",
        "use fewer processes",
    )


def check_cache(config: TrainingConfig) -> None:
    """Check that the cache of decoded images fits the memory of this machine.

    Raises:
        UsageError: it does not.
    """
    default = float(TrainingConfig.model_fields["cache_gib"].default)
    if config.cache_gib > default:
        _check(config.cache_gib * 2.0**30, f"`cache_gib={config.cache_gib:g}`", "use a smaller `cache_gib`")


def check_images_of_batch(config: TrainingConfig, patch: int, launch: LaunchEnvironment) -> None:
    """Check that the batches that are loaded ahead fit the memory of this machine.

    Args:
        config: of the run.
        patch: side of the target in pixels.
        launch: the processes.

    Raises:
        UsageError: they do not.
    """
    pair = 4 * 3 * (patch**2 + (patch // config.scale) ** 2)
    batches = 1 + _PREFETCHED * config.workers
    _check(
        pair * config.batch_size // launch.nodes * batches,
        f"the images of `batch_size={config.batch_size}` with targets of {patch}x{patch} pixels, of which "
        f"{batches} batches are loaded at a time,",
        "use a smaller `batch_size` or `patch_size`",
    )


def check_step(
    generator: nn.Module, config: TrainingConfig, sample: Sample, device: torch.device, ranks: int
) -> None:
    """Check that the backward pass of the generator fits the memory of `device`.

    Measured on one patch; losses and discriminators come on top.

    Args:
        generator: on the CPU; it is left as it was.
        config: of the run.
        sample: one training sample.
        device: where the generator will be trained.
        ranks: number of processes over which a batch is spread.

    Raises:
        UsageError: it does not.
    """
    images = config.batch_size // (ranks * config.accumulate)
    activations = _saved(generator, sample) // (1 if config.precision == "fp32" else 2)
    weights = BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in generator.parameters())
    _check(
        weights + images * activations,
        f"a step with `batch_size={config.batch_size}`",
        "use a smaller `batch_size`, or split it by `accumulate`",
        total_memory(device),
    )


def _saved(network: nn.Module, sample: Sample) -> int:
    """Measure the bytes that autograd saves for the backward pass of one sample."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = network.training
    # In evaluation mode, so that no statistics are updated and no random numbers drawn.
    network.eval()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(sample.degraded[None], *sample.conditions[None].unbind(1))
    network.train(was_training)
    return sum(size for place, size in kept.items() if place not in parameters)


def _check(needed: float, subject: str, hint: str, available: int | None = None) -> None:
    available = machine_memory() if available is None else available
    if needed > available:
        raise UsageError(
            f"{subject} would take at least {_gib(needed)} of memory, but there are {_gib(available)}",
            hint=hint,
        )


def _gib(amount: float) -> str:
    gib = min(amount / 2**30, 1e12)
    return f"{gib:,.1f} GiB" if gib < 1e12 else "more than 1e12 GiB"
