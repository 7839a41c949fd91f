"""Entry point of the plugin: adversarial losses and discriminators."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import AdversarialLossSpec, DiscriminatorSpec, lazy
from restore_adversarial.options import (
    PatchOptions,
    UNetOptions,
    VanillaOptions,
    VggStyleOptions,
    WassersteinOptions,
)

CONTRACT = 2

_ESRGAN = "Wang et al.: ESRGAN, ECCV workshops 2018, arXiv 1809.00219"
_ISOLA = "Isola et al.: Image-to-image translation with conditional adversarial networks, CVPR 2017"
_WANG = "Wang, Xie, Dong, Shan: Real-ESRGAN, ICCV workshops 2021, arXiv 2107.10833"


@hookimpl
def restore_adversarial_losses() -> list[AdversarialLossSpec]:
    """The usual formulas."""
    return [
        AdversarialLossSpec(
            "vanilla",
            "Cross entropy with the non-saturating generator; EnhanceNet's Eq. 8 and 9",
            lazy("restore_adversarial.losses:build_vanilla"),
            VanillaOptions,
            reference="Goodfellow et al.: Generative adversarial nets, NeurIPS 2014",
        ),
        AdversarialLossSpec(
            "hinge",
            "Hinge loss",
            lazy("restore_adversarial.losses:build_hinge"),
            reference="Miyato et al.: Spectral normalization for GANs, ICLR 2018, Eq. 16 and 17",
        ),
        AdversarialLossSpec(
            "lsgan",
            "Least squares",
            lazy("restore_adversarial.losses:build_lsgan"),
            reference="Mao et al.: Least squares GANs, ICCV 2017, Eq. 9",
        ),
        AdversarialLossSpec(
            "wgan",
            "Wasserstein distance with gradient penalty",
            lazy("restore_adversarial.losses:build_wgan"),
            WassersteinOptions,
            reference="Gulrajani et al.: Improved training of Wasserstein GANs, NeurIPS 2017, Eq. 3",
        ),
        AdversarialLossSpec(
            "relativistic",
            "Relativistic average, as in ESRGAN",
            lazy("restore_adversarial.losses:build_relativistic"),
            reference="Jolicoeur-Martineau: The relativistic discriminator, ICLR 2019; ESRGAN, Eq. 1 and 2",
        ),
    ]


@hookimpl
def restore_discriminators() -> list[DiscriminatorSpec]:
    """A logit for each pixel, for each patch, and for an image."""
    return [
        DiscriminatorSpec(
            "unet",
            "U-Net with spectral normalization: a logit for each pixel",
            lazy("restore_adversarial.unet:build"),
            UNetOptions,
            reference=_WANG,
        ),
        DiscriminatorSpec(
            "patch",
            "PatchGAN: a logit for each patch, on one scale or several",
            lazy("restore_adversarial.patch:build"),
            PatchOptions,
            reference=_ISOLA,
        ),
        DiscriminatorSpec(
            "vgg",
            "SRGAN's and ESRGAN's, in the form of VGG: one logit for an image",
            lazy("restore_adversarial.vgg_style:build"),
            VggStyleOptions,
            reference=_ESRGAN,
        ),
    ]
