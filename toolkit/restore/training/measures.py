"""Measurements of a training step besides its losses. None of them changes the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore.faithfulness import color_shift
from restore.training.session import Session

__all__ = ["gradient_shares", "observe"]


def observe(
    session: Session, terms: Mapping[str, Tensor], restored: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """Compute values of one step for the log, on their device to avoid a synchronization.

    Args:
        session: between the terms and the backward pass; not changed.
        terms: name -> weighted scalar, with their graphs.
        restored: ``(B, 3, H, W)``.
        target: of the same shape.

    Returns:
        ``color_shift``, and every `shares_every` steps, the first included, ``share_<term>`` of each term.
    """
    values = {"color_shift": color_shift(restored.detach(), target, torch.float32)}
    every = session.setup.config.shares_every
    if every and session.step % every == 0:
        # Scaled, as for the update: float16 would lose small gradients, and shares stay the same.
        scaled = {name: session.learner.scaler.scale(term) for name, term in terms.items()}
        shares = gradient_shares(scaled, session.generator, session.group.fabric.backward)
        values |= {f"share_{name}": share for name, share in shares.items()}
    return values


def gradient_shares(
    terms: Mapping[str, Tensor], generator: nn.Module, backward: Callable[[Any], None]
) -> dict[str, Tensor]:
    """Compute each term's share of the gradient: its norm divided by the sum of all norms.

    The graphs are kept for the backward pass, and no gradient is left in the parameters. With several
    processes the shares are those of this process's part of the batch.

    Args:
        terms: name -> weighted scalar.
        generator: its parameters are those of the gradients.
        backward: backward function of the engine that wrapped `generator`.

    Returns:
        Name -> share in [0, 1]; empty if there is only one term.
    """
    if len(terms) < 2:
        return {}
    parameters = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    gradients = [_Gradient(term, parameters) for term in terms.values()]
    for gradient in gradients:
        if gradient.term.requires_grad:
            backward(gradient)
    norms = torch.stack([gradient.norm for gradient in gradients])
    shares = norms / norms.sum().clamp_min(torch.finfo(norms.dtype).tiny)  # not 0 / 0
    return dict(zip(terms, shares, strict=True))


class _Gradient:
    """Stands in for a loss: in mixed precision Fabric refuses gradients that it does not compute itself."""

    def __init__(self, term: Tensor, parameters: list[nn.Parameter]) -> None:
        self.term = term
        self.parameters = parameters
        self.norm = term.new_zeros(())

    def backward(self) -> None:
        # Unlike that of a loss it accumulates nothing in the parameters, and triggers no all-reduce.
        found = torch.autograd.grad(self.term, self.parameters, retain_graph=True, allow_unused=True)
        self.norm = nn.utils.get_total_norm([gradient for gradient in found if gradient is not None])
