"""A loss on spatial frequencies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restore.interfaces import Options

__all__ = ["FrequencyLoss", "build"]


class FrequencyLoss(nn.Module):
    """Mean absolute difference of the Fourier coefficients (Cho et al. 2021, MIMO-UNet, Eq. 7), in float32.

    Real and imaginary parts count separately, over the half plane that a real image needs. The transform is
    orthonormal, so that the loss does not grow with the image.
    """

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, C, H, W)`` twice -> one scalar."""
        with torch.autocast(restored.device.type, enabled=False):
            spectrum = torch.fft.rfft2(restored.float() - target.float(), norm="ortho")
            return torch.view_as_real(spectrum).abs().mean()


def build(options: Options) -> nn.Module:  # noqa: ARG001 - it has none
    """The loss."""
    return FrequencyLoss()
