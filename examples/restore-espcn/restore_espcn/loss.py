"""The Charbonnier loss."""

from __future__ import annotations

from torch import Tensor, nn

from restore_espcn.options import CharbonnierOptions

__all__ = ["Charbonnier", "build"]


class Charbonnier(nn.Module):
    """Mean of ``sqrt((restored - target)**2 + epsilon**2)``: the absolute error, smooth at zero.

    Args:
        epsilon: the difference below which the loss is quadratic rather than linear.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """Two images ``(B, 3, H, W)`` -> a scalar."""
        return ((restored - target).square() + self.epsilon**2).sqrt().mean()


def build(options: CharbonnierOptions) -> nn.Module:
    """Build the loss."""
    return Charbonnier(options.epsilon)
