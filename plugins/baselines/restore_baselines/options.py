"""What can be changed about the entries of this plugin. Free of torch, so that it can be listed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from restore.interfaces import Options

__all__ = ["BicubicDegradationOptions", "LpipsOptions", "PixelOptions", "SrcnnOptions"]


class SrcnnOptions(Options):
    """Size and initialisation of SRCNN; the defaults are the largest network of the paper, 9-5-5."""

    middle: Literal[1, 3, 5] = Field(5, description="side of the second layer's filters in pixels: 9-N-5")
    initialisation: Literal["identity", "paper"] = Field(
        "identity",
        description="'identity' begins close to bicubic; 'paper' is N(0, 0.001), which needs 1e8 updates to "
        "leave the start",
    )


class PixelOptions(Options):
    """On what a pixel loss is measured."""

    luma: bool = Field(False, description="compare BT.601 luma only, as SRCNN was trained")


class BicubicDegradationOptions(Options):
    """Which MATLAB."""

    release: Literal["current", "older"] = Field(
        "current", description="'older' repeats the edge pixels and rounds after each of the two passes"
    )


class LpipsOptions(Options):
    """With which network LPIPS looks."""

    net: Literal["alex", "vgg", "squeeze"] = Field(
        "alex", description="'alex' is what its authors measure with, 'vgg' what many papers report"
    )
