"""A model as PyTorch runs it fastest on one device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from restore.checkpoint import LoadedModel

__all__ = ["Network", "torch_network"]

Network = Callable[[Tensor], Tensor]
"""``(B, 3, h, w)`` in [0, 1] on any device -> ``(B, 3, scale*h, scale*w)`` on the network's, both float32."""


def torch_network(model: LoadedModel, device: torch.device, dtype: torch.dtype) -> Network:
    """Fused where the model can be, else as written under autocast.

    Args:
        model: its network is moved to `device` unless it can be fused, which makes a copy.
        device: where to run.
        dtype: what to multiply in.
    """
    fused = model.spec.fuse is not None
    module = model.spec.fuse(model.module, dtype) if model.spec.fuse is not None else model.module
    module = module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def run(tile: Tensor) -> Tensor:
        tile = tile.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=dtype, enabled=not fused and dtype != torch.float32):
            restored: Tensor = module(tile)
        return restored.float()

    return run
