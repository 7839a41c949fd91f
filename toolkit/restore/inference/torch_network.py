"""A model as PyTorch runs it fastest on one device."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from restore.checkpoint import Chain, LoadedModel, channels_last
from restore.inference.cuda_graphs import CudaGraphRunner, Network, captured, sent
from restore.inference.ensemble import self_ensembled

__all__ = ["Network", "torch_network", "working_module"]


def torch_network(
    model: LoadedModel, device: torch.device, dtype: torch.dtype, *, self_ensemble: bool = False
) -> Network:
    """Fused where the model can be, else as written under autocast; on a CUDA device as a CUDA graph.

    Args:
        model: its network is moved to `device` unless it can be fused, which makes a copy.
        device: where to run.
        dtype: what to multiply in.
        self_ensemble: see `self_ensembled`.
    """
    module = channels_last(working_module(model, dtype, autocast=True).to(device)).eval()

    def run(tile: Tensor, *numbers: Tensor) -> Tensor:
        tile = sent(tile, device).contiguous(memory_format=torch.channels_last)
        restored: Tensor = module(tile, *(sent(number, device) for number in numbers))
        return restored.float()

    network = self_ensembled(run) if self_ensemble else run
    return CudaGraphRunner(network, partial(captured, device=device)) if device.type == "cuda" else network


def working_module(model: LoadedModel, dtype: torch.dtype, *, autocast: bool = False) -> nn.Module:
    """The fused network where there is one, else the plain one; of a chain, a chain of these.

    Args:
        model: its network is not changed.
        dtype: what a fused network multiplies in.
        autocast: run plain networks under autocast to `dtype`.
    """
    if model.parts:
        modules = [working_module(part, dtype, autocast=autocast) for part in model.parts]
        return Chain(modules, [len(part.conditions) for part in model.parts]).eval()
    if model.spec.fuse is not None:
        return model.spec.fuse(model.module, dtype).eval()
    return _Autocast(model.module, dtype) if autocast and dtype != torch.float32 else model.module


class _Autocast(nn.Module):
    """A network under autocast, which returns float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, image: Tensor, *numbers: Tensor) -> Tensor:
        with torch.autocast(image.device.type, dtype=self.dtype):
            restored: Tensor = self.network(image, *numbers)
        return restored.float()
