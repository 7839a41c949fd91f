"""An image of the first training samples of a run."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.data import Sample
from restore.images import Photo, write_atomic

__all__ = ["INPUTS_FILE", "inputs", "write_inputs"]

INPUTS_FILE = "inputs.png"
"""In the folder of a run: its first degraded patches, each above its target."""

_COLUMNS = 8


def write_inputs(batch: Sample, run: Path) -> None:
    """Write the first images of a batch into the folder of a run.

    Raises:
        ImageError: the file cannot be written.
    """
    write_atomic(Photo(inputs(batch)), run / INPUTS_FILE)


def inputs(batch: Sample) -> Tensor:
    """Arrange the first images of a batch in columns: the enlarged input above its target.

    Returns:
        ``(1, 3, 2*H, n*W)`` in [0, 1] on the CPU, where H and W are the sides of a target and n is at most 8.

    >>> inputs(Sample(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 16, 16), torch.empty(2, 0))).shape
    torch.Size([1, 3, 32, 32])
    """
    degraded, target, _ = (tensor[:_COLUMNS].float().cpu() for tensor in batch)
    enlarged = F.interpolate(degraded, size=target.shape[2:], mode="nearest")
    columns = torch.cat([enlarged, target], 2).clamp(0, 1)
    return torch.cat(list(columns), 2)[None]
