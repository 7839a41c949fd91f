"""Options that users can set. This module must not import torch, so that `restore info` is fast."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["CompactOptions"]


class CompactOptions(Options):
    """Size of the network; the defaults are those of the authors' `realesr-general-x4v3`."""

    features: int = Field(64, ge=1, description="feature maps of each hidden layer")
    convolutions: int = Field(32, ge=0, description="hidden convolutions between the first and the last")
