"""What a user may change. Free of torch, so that `restore info` can show it at once."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["DiscriminatorOptions", "LossOptions", "NetworkOptions"]


class NetworkOptions(Options):
    """Size of the network."""

    width: int = Field(32, ge=1, description="feature maps of each hidden layer")
    blocks: int = Field(4, ge=0, description="residual blocks, each of which sees two pixels further")


class LossOptions(Options):
    """Shape of the loss around zero."""

    epsilon: float = Field(
        1e-3, gt=0, description="difference (white is 1) below which the loss is quadratic, not linear"
    )


class DiscriminatorOptions(Options):
    """Size of the discriminator."""

    width: int = Field(32, ge=1, description="feature maps of the first layer, doubled in each of the others")
