"""What a user may change. Free of torch, so that `restore info` can show it at once."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["CharbonnierOptions", "EspcnOptions"]


class EspcnOptions(Options):
    """Size of the network; the default is the paper's 5-3-3."""

    width: int = Field(64, ge=2, description="feature maps of the first layer; the second has half as many")


class CharbonnierOptions(Options):
    """Shape of the loss around zero."""

    epsilon: float = Field(
        1e-3, gt=0, description="difference (white is 1) below which the loss is quadratic, not linear"
    )
