"""The optimizers of PyTorch as entries, and which parameters decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from restore_optimization.options import AdamOptions, AdamWOptions, ScheduleFreeOptions
from restore_optimization.schedule_free import ScheduleFreeAdamW

__all__ = ["build_adam", "build_adamw", "build_schedule_free", "decayed"]

Groups = Sequence[dict[str, Any]]


def build_adam(groups: Groups, options: AdamOptions) -> torch.optim.Optimizer:
    """Adam without weight decay."""
    return torch.optim.Adam(groups, betas=options.betas, eps=options.eps)


def build_adamw(groups: Groups, options: AdamWOptions) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(_decayed(groups, options), betas=options.betas, eps=options.eps)


def build_schedule_free(groups: Groups, options: ScheduleFreeOptions) -> torch.optim.Optimizer:
    """Schedule-free AdamW."""
    return ScheduleFreeAdamW(_decayed(groups, options), betas=options.betas, eps=options.eps)


def decayed(groups: Groups, weight_decay: float, *, vectors: bool = False) -> list[dict[str, Any]]:
    """Split `groups` so that weights decay, and vectors (biases, scales) do only if `vectors` says so.

    Example:
        >>> layer = torch.nn.Linear(2, 3)
        >>> groups = decayed([{"params": list(layer.parameters()), "lr": 1e-3}], 0.1)
        >>> [(group["weight_decay"], len(group["params"])) for group in groups]
        [(0.1, 1), (0.0, 1)]
    """
    result = []
    for group in groups:
        for decays in (True, False):
            chosen = [each for each in group["params"] if (vectors or each.ndim > 1) is decays]
            if chosen:
                result.append(group | {"params": chosen, "weight_decay": weight_decay if decays else 0.0})
    return result


def _decayed(groups: Groups, options: AdamWOptions) -> list[dict[str, Any]]:
    return decayed(groups, options.weight_decay, vectors=options.decay_vectors)
