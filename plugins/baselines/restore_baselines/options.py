"""The options of this plugin's entries. Imports no torch, so that they can be listed without it."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from restore.interfaces import Options

__all__ = [
    "BicubicDegradationOptions",
    "CharbonnierOptions",
    "FidelityOptions",
    "LpipsLossOptions",
    "LpipsOptions",
    "PixelOptions",
    "SrcnnOptions",
]


class SrcnnOptions(Options):
    """Size and initialization of SRCNN; the default is the largest network of the paper, 9-5-5."""

    middle: Literal[1, 3, 5] = Field(5, description="side of the second layer's filters in pixels: 9-N-5")
    initialization: Literal["identity", "paper"] = Field(
        "identity",
        validation_alias=AliasChoices("initialization", "initialisation"),  # the name in older weights
        description="'identity' starts close to bicubic; 'paper' is N(0, 0.001), which converges very slowly",
    )


class PixelOptions(Options):
    """The values that a pixel loss compares."""

    luma: bool = Field(False, description="compare BT.601 luma only, as for SRCNN")
    sharpen: bool = Field(False, description="compare with the sharpened target, as Real-ESRGAN does")


class CharbonnierOptions(Options):
    """Shape of the Charbonnier loss."""

    epsilon: float = Field(
        1e-3, gt=0, allow_inf_nan=False, description="difference below which it is quadratic"
    )


class BicubicDegradationOptions(Options):
    """The variant of MATLAB's bicubic."""

    release: Literal["current", "older"] = Field(
        "current", description="'older' replicates edge pixels and rounds after each of the two passes"
    )


class FidelityOptions(Options):
    """What PSNR and SSIM compare."""

    channels: Literal["luma", "rgb"] = Field(
        "luma", description="'luma' as the super-resolution literature, 'rgb' as that of denoising"
    )
    border: int | None = Field(
        None, ge=0, description="pixels cut from each side; by default as many as the scale, none at scale 1"
    )

    def shaved(self, scale: int) -> int:
        """The pixels that are cut from each side."""
        if self.border is not None:
            return self.border
        return scale if scale > 1 else 0


class LpipsOptions(Options):
    """The network of LPIPS."""

    net: Literal["alex", "vgg", "squeeze"] = Field(
        "alex", description="'alex' is the authors' choice for measuring; many papers report 'vgg'"
    )


class LpipsLossOptions(Options):
    """The network of LPIPS as a loss."""

    net: Literal["alex", "vgg", "squeeze"] = Field(
        "vgg",
        description="'vgg' is the authors' choice for a loss, being closer to the usual perceptual loss",
    )
