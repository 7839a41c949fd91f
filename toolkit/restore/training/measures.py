"""What a step says about itself besides its losses. Nothing here changes what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore.training.session import Session

__all__ = ["gradient_shares", "observe", "tint"]


def observe(
    session: Session, terms: Mapping[str, Tensor], restored: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """Figures of one step for the log, still on their device: a GPU would have to wait for a number.

    Args:
        session: between the terms and the backward pass; it stays as it is.
        terms: name -> weighted scalar, with their graphs.
        restored: ``(B, 3, H, W)``.
        target: of the same shape.

    Returns:
        ``tint``, and every `shares_every` steps, the first included, ``share_<term>`` of each term.
    """
    figures = {"tint": tint(restored, target)}
    every = session.plan.config.shares_every
    if every and session.step % every == 0:
        # Scaled, as what is learnt from: float16 would lose small gradients, and shares stay the same.
        scaled = {name: session.learner.scaler.scale(term) for name, term in terms.items()}
        shares = gradient_shares(scaled, session.generator, session.team.fabric.backward)
        figures |= {f"share_{name}": share for name, share in shares.items()}
    return figures


def gradient_shares(
    terms: Mapping[str, Tensor], generator: nn.Module, backward: Callable[[Any], None]
) -> dict[str, Tensor]:
    """How much each term pulls at the generator: the norm of its gradient, divided by the sum of all norms.

    The graphs are kept for the backward pass, and no gradient is left in the parameters. With several
    processes the shares are those of this process's part of the batch.

    Args:
        terms: name -> weighted scalar.
        generator: whose parameters the gradients are taken to.
        backward: backpropagation of the engine that wrapped `generator`.

    Returns:
        Name -> share in [0, 1]; nothing where there is only one term.
    """
    if len(terms) < 2:
        return {}
    parameters = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    gradients = [_Gradient(term, parameters) for term in terms.values()]
    for gradient in gradients:
        if gradient.term.requires_grad:
            backward(gradient)
    norms = torch.stack([gradient.norm for gradient in gradients])
    shares = norms / norms.sum().clamp_min(torch.finfo(norms.dtype).tiny)  # all zero: nobody pulls
    return dict(zip(terms, shares, strict=True))


def tint(restored: Tensor, target: Tensor) -> Tensor:
    """How much redder, greener and bluer the restored images are than their targets.

    Args:
        restored: ``(B, 3, H, W)``, 1 is white.
        target: of the same shape.

    Returns:
        ``(3,)``, difference of the channels' means in 1/255.
    """
    colors = [image.detach().float().mean((0, 2, 3)) for image in (restored, target)]
    return (colors[0] - colors[1]) * 255


class _Gradient:
    """Poses as a loss: in mixed precision Fabric refuses gradients that it does not compute itself."""

    def __init__(self, term: Tensor, parameters: list[nn.Parameter]) -> None:
        self.term = term
        self.parameters = parameters
        self.norm = term.new_zeros(())

    def backward(self) -> None:
        # Unlike a loss it leaves nothing in the parameters, and tells distributed training nothing.
        found = torch.autograd.grad(self.term, self.parameters, retain_graph=True, allow_unused=True)
        self.norm = nn.utils.get_total_norm([gradient for gradient in found if gradient is not None])
