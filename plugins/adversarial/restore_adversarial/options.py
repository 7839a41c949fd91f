"""Options of the entries of this plugin."""

from __future__ import annotations

from pydantic import Field

from restore.interfaces import Options

__all__ = [
    "DctOptions",
    "PatchOptions",
    "UNetOptions",
    "VanillaOptions",
    "VggStyleOptions",
    "WassersteinOptions",
]


class VanillaOptions(Options):
    """Label smoothing (Salimans et al. 2016, section 3.4)."""

    real_label: float = Field(
        1.0, gt=0.5, le=1, description="the discriminator's label of target images; below 1: label smoothing"
    )


class WassersteinOptions(Options):
    """The gradient penalty (Gulrajani et al. 2017)."""

    gradient_penalty: float = Field(
        10.0, ge=0, allow_inf_nan=False, description="weight of the gradient penalty; 0: none"
    )


class UNetOptions(Options):
    """Size of the U-Net discriminator; the defaults are Real-ESRGAN's."""

    width: int = Field(64, ge=1, le=1024, description="filters of the first level, doubled at each below")
    skip: bool = Field(True, description="add each level's features to those of the same size on the way up")


class PatchOptions(Options):
    """Size of the patch discriminator; the defaults are pix2pix's 70x70."""

    width: int = Field(64, ge=1, le=1024, description="filters of the first layer")
    layers: int = Field(3, ge=1, le=6, description="convolutions of stride 2: each doubles the patch")
    scales: int = Field(
        1, ge=1, le=4, description="discriminators, each on images of half the size of the one before"
    )
    spectral: bool = Field(False, description="normalize the spectral norm of each convolution")


class DctOptions(Options):
    """Size of the discriminator on cosine transforms."""

    block: int = Field(
        4, ge=2, le=16, description="side of the blocks in pixels: the enlargement, or a multiple of it"
    )
    width: int = Field(128, ge=1, le=1024, description="filters of the first layer")


class VggStyleOptions(Options):
    """Size of the VGG-style discriminator; the defaults are ESRGAN's."""

    width: int = Field(64, ge=1, le=1024, description="filters of the first stage")
    hidden: int = Field(100, ge=1, description="units of the first linear layer")
