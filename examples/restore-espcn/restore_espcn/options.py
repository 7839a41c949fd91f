"""Options that users can set. This module must not import torch, so that `restore info` is fast."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["EspcnOptions", "HuberOptions"]


class EspcnOptions(Options):
    """Size of the network; the default is the paper's 5-3-3."""

    width: int = Field(64, ge=2, description="feature maps of the first layer; the second has half as many")


class HuberOptions(Options):
    """Options of the loss."""

    delta: float = Field(1e-2, gt=0, description="difference (1 is white) below which the loss is quadratic")
