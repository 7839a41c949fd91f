"""What a step says about itself besides its losses. Nothing here changes what is learnt."""

from __future__ import annotations

from collections.abc import Mapping

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
        shares = gradient_shares(terms, session.generator)
        figures |= {f"share_{name}": share for name, share in shares.items()}
    return figures


def gradient_shares(terms: Mapping[str, Tensor], generator: nn.Module) -> dict[str, Tensor]:
    """How much each term pulls at the generator: the norm of its gradient, divided by the sum of all norms.

    The graphs are kept for the backward pass, and no gradient is left in the parameters. With several
    processes the shares are those of this process's part of the batch.

    Args:
        terms: name -> weighted scalar.
        generator: whose parameters the gradient is taken to.

    Returns:
        Name -> share in [0, 1]; nothing where there is only one term.
    """
    if len(terms) < 2:
        return {}
    parameters = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    norms = torch.stack([_gradient_norm(term, parameters) for term in terms.values()])
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


def _gradient_norm(term: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    if not term.requires_grad:
        return term.new_zeros(())
    gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    return nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
