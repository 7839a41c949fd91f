"""The Huber loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from restore_espcn.options import HuberOptions

__all__ = ["Huber", "build"]


class Huber(nn.Module):
    """The absolute error, quadratic near zero.

    Mean of ``d**2 / (2 * delta)`` where ``d = abs(restored - target)`` is below `delta`, else of
    ``d - delta / 2``.

    Args:
        delta: the difference below which the loss is quadratic rather than linear.
    """

    def __init__(self, delta: float = 1e-2) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """Two images ``(B, 3, H, W)`` -> a scalar."""
        return F.smooth_l1_loss(restored, target, beta=self.delta)


def build(options: HuberOptions) -> nn.Module:
    """Build the loss."""
    return Huber(options.delta)
