"""Entry point of the plugin: adversarial losses, discriminators, and the objectives of (Real-)ESRGAN."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import (
    AdversarialLossSpec,
    Adversary,
    DiscriminatorSpec,
    ObjectiveSpec,
    Term,
    lazy,
)
from restore_adversarial.options import (
    DctOptions,
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
    """A logit for each pixel, for each patch of pixels or of frequencies, and for an image."""
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
            "dct",
            "Patch discriminator on the cosine transform of 4x4 blocks: removes woven patterns",
            lazy("restore_adversarial.dct:build"),
            DctOptions,
        ),
        DiscriminatorSpec(
            "vgg",
            "SRGAN's and ESRGAN's, in the form of VGG: one logit for an image",
            lazy("restore_adversarial.vgg_style:build"),
            VggStyleOptions,
            reference=_ESRGAN,
        ),
    ]


_VGG_L1 = {"relu": False, "normalize": False, "distance": "l1"}
"""Both objectives compare features of VGG-19 before the ReLU by their mean absolute difference. The distance
is that of the authors' configurations; the ESRGAN paper does not state it."""

_SHARPENED = {"sharpen": True}
"""Real-ESRGAN trains the pixel and the perceptual term on sharpened targets; its discriminator sees the
plain ones (``l1_gt_usm``, ``percep_gt_usm`` and ``gan_gt_usm`` of its configuration)."""

_FIVE_LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """The weights are those of the papers and of the authors' published configurations."""
    return [
        ObjectiveSpec(
            "esrgan",
            "Features of VGG-19 before the ReLU, a relativistic adversary, a little L1",
            terms=(
                Term("l1", 1e-2),
                Term("perceptual", 1.0, {"layers": {"conv5_4": 1.0}, **_VGG_L1}),
            ),
            # The weight is for the sum of Eq. 2; the authors' code takes the mean of its two terms.
            adversaries=(Adversary("vgg", 5e-3, loss="relativistic"),),
            patch_size=128,
            reference=f"{_ESRGAN}, Eq. 2 and 3, section 4.1",
        ),
        ObjectiveSpec(
            "realesrgan",
            "L1 and features of VGG-19 on sharpened targets, an adversary with a logit for each pixel",
            terms=(
                Term("l1", 1.0, _SHARPENED),
                Term("perceptual", 1.0, {"layers": _FIVE_LAYERS, **_VGG_L1, **_SHARPENED}),
            ),
            adversaries=(Adversary("unet", 1e-1),),
            patch_size=256,
            reference=f"{_WANG}, section 4.1",
        ),
    ]
