"""Options that users can set. This module must not import torch, so that `restore info` is fast."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["DiscriminatorOptions", "LossOptions", "NetworkOptions"]


class NetworkOptions(Options):
    """Size of the network."""

    width: int = Field(32, ge=1, description="feature maps of each hidden layer")
    blocks: int = Field(4, ge=0, description="number of residual blocks")


class LossOptions(Options):
    """Options of the loss."""

    epsilon: float = Field(
        1e-3, gt=0, description="difference (1 is white) below which the loss is quadratic"
    )


class DiscriminatorOptions(Options):
    """Size of the discriminator."""

    width: int = Field(
        32, ge=1, description="feature maps of the first layer; each further layer has twice as many"
    )
