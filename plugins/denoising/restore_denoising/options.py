"""Options of the models of this plugin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from restore.interfaces import Options

__all__ = ["DncnnOptions", "FfdnetOptions"]


class FfdnetOptions(Options):
    """Size and form of FFDNet; the defaults are the paper's for color images, in residual form."""

    strength: Literal["sigma", "quality"] = Field(
        "sigma",
        description="the number that the network is given: 'sigma', the noise in levels of 255, or "
        "'quality', that of a JPEG from 1 to 100",
    )
    form: Literal["residual", "plain"] = Field(
        "residual",
        description="'residual' adds every second layer's result to its input, and the last one's to the "
        "image: it trains about ten times as fast as the paper's 'plain' stack",
    )
    width: int = Field(96, ge=1, le=1024, description="feature maps of each hidden layer")
    layers: int = Field(
        12, ge=4, le=64, multiple_of=2, description="convolutions, the first and the last included"
    )


class DncnnOptions(Options):
    """Size of DnCNN; the defaults are those of the paper's blind denoiser of color images, CDnCNN-B."""

    layers: int = Field(20, ge=3, le=64, description="convolutions, the first and the last included")
    width: int = Field(64, ge=1, le=1024, description="feature maps of each hidden layer")
