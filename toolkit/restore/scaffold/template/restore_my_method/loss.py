"""The loss: initially the Charbonnier loss."""

from __future__ import annotations

from torch import Tensor, nn

from restore_my_method.options import LossOptions

__all__ = ["Loss", "build"]


class Loss(nn.Module):
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


def build(options: LossOptions) -> nn.Module:
    """Build the loss."""
    return Loss(options.epsilon)
