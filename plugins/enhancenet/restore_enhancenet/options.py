"""What can be changed about the entries of this plugin. Free of torch, so that it can be listed."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = ["GeneratorOptions"]


class GeneratorOptions(Options):
    """Size of the generator; the defaults are Table 1 of the paper."""

    width: int = Field(64, ge=1, description="feature maps of each hidden layer")
    blocks: int = Field(10, ge=0, description="residual blocks")
