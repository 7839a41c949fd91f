"""A model as PyTorch runs it fastest on one device."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from restore.checkpoint import LoadedModel, channels_last
from restore.inference.cuda_graphs import Network, Replayed, recorded, sent

__all__ = ["Network", "torch_network"]


def torch_network(model: LoadedModel, device: torch.device, dtype: torch.dtype) -> Network:
    """Fused where the model can be, else as written under autocast; on a GPU of CUDA recorded and replayed.

    Args:
        model: its network is moved to `device` unless it can be fused, which makes a copy.
        device: where to run.
        dtype: what to multiply in.
    """
    fused = model.spec.fuse is not None
    module = model.spec.fuse(model.module, dtype) if model.spec.fuse is not None else model.module
    module = channels_last(module.to(device)).eval()

    def run(tile: Tensor) -> Tensor:
        tile = sent(tile, device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=dtype, enabled=not fused and dtype != torch.float32):
            restored: Tensor = module(tile)
        return restored.float()

    return Replayed(run, partial(recorded, device=device)) if device.type == "cuda" else run
