"""Parameters, multiply-adds and peak memory of a model."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from restore.evaluation.rows import Cost
from restore.inference import Restorer
from restore.inference.conditions import samples
from restore.inference.ensemble import VIEWS

__all__ = ["cost", "multiply_adds", "parameters", "peak_memory"]

_SIDE = 16  # input pixels of the image on which operations are counted


def cost(restorer: Restorer, largest: Tensor) -> Cost:
    """Parameters, multiply-adds and peak memory; restores `largest`, ``(1, 3, H, W)``, once.

    >>> from restore.inference import load
    >>> cost(load("srcnn", scale=2, device="cpu"), torch.rand(1, 3, 16, 16)).parameters > 0
    True
    """
    model = restorer.model
    operations = multiply_adds(model.module, restorer.scale, samples(model, batch=1))
    if operations is not None and restorer.self_ensemble:
        operations *= VIEWS
    return Cost(parameters(model.module), operations, peak_memory(restorer, largest))


def parameters(network: nn.Module) -> int:
    """Number of parameters.

    Example:
        >>> parameters(nn.Conv2d(3, 8, 3))
        224
    """
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, scale: int, numbers: Sequence[Tensor] = ()) -> float | None:
    """Multiply-adds per output pixel, for an input of 16x16 pixels.

    Counts convolutions and matrix products, including padding; elementwise operations are not counted.
    `numbers` are what the network takes beside the image, ``(1,)`` each.

    >>> multiply_adds(nn.Conv2d(3, 8, 3, padding=1), scale=1)
    216.0

    Returns:
        ``None`` for a network that cannot process such an input.
    """
    like = next(network.parameters(), torch.empty(0))
    image = torch.full((1, 3, _SIDE, _SIDE), 0.5, device=like.device, dtype=torch.float32)
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            network(image, *(number.to(image.device) for number in numbers))
    except (RuntimeError, ValueError):
        return None
    return counter.get_total_flops() / 2 / (_SIDE * scale) ** 2


def peak_memory(restorer: Restorer, image: Tensor) -> int | None:
    """Peak memory of PyTorch's tensors in bytes while `image`, ``(1, 3, H, W)``, is restored.

    The result is counted, the weights are not.

    Returns:
        ``None`` for another engine, whose memory cannot be measured.

    Example:
        >>> from restore.inference import load
        >>> peak_memory(load("srcnn", scale=2, device="cpu"), torch.rand(1, 3, 16, 16)) > 0
        True
    """
    if restorer.engine != "torch":
        return None
    device = restorer.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        restorer.restore(image)
        peak: int = torch.cuda.max_memory_allocated(device)
        return peak - before
    if device.type != "cpu":
        return None
    with _Live() as live:
        restorer.restore(image)
    return int(live.peak)


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **kwargs or {})
        given = {tensor.untyped_storage() for tensor in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage not in given and storage not in self._known:
                self._known.add(storage)
                self._now += storage.nbytes()
                weakref.finalize(storage, self._forget, storage.nbytes())
        self.peak = max(self.peak, self._now)
        return result

    def _forget(self, size: int) -> None:
        self._now -= size


def _tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors with visible memory of their own; packed weights of a library have none."""
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
            yield leaf
