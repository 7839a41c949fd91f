"""Entry point of the plugin: its entries, without importing torch before one is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from restore.hookspecs import hookimpl
from restore.interfaces import (
    Adversary,
    DiscriminatorSpec,
    LossSpec,
    ModelSpec,
    ObjectiveSpec,
    PublishedTable,
    Term,
    Weights,
    lazy,
)
from restore_enhancenet.gate import PerformanceGate
from restore_enhancenet.options import (
    DiscriminatorOptions,
    GeneratorOptions,
    PerceptualOptions,
    TextureOptions,
)
from restore_enhancenet.tables import tables

CONTRACT = 2

_PAPER = "Sajjadi, Schölkopf, Hirsch: EnhanceNet, ICCV 2017, arXiv 1612.07919"

_E_X4 = Weights(
    "e",
    scale=4,
    source=Path(__file__).parent / "weights" / "enhancenet_e_x4.safetensors",
    sha256="0139ab5033c96325b471b5602f75169f2617c55164c54aabf6448f03db92c849",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="1,971 images, then 1,789 that overlap with them; mean of sixteen runs of l1 and e",
    metrics={
        "Set5 PSNR (dB)": 31.93,
        "Set14 PSNR (dB)": 28.37,
        "Set5 vgg distance": 0.1347,
        "Set5 texture distance": 0.0696,
        "Set14 vgg distance": 0.2647,
        "Set14 texture distance": 0.1817,
    },
    lowest_quality=100,
    highest_noise=0,
    title="Enlarge faithfully",
    summary="Enlarges clean images and invents no texture. For documents, drawings and measurements.",
)

_E_X2 = replace(
    _E_X4,
    scale=2,
    source=Path(__file__).parent / "weights" / "enhancenet_e_x2.safetensors",
    sha256="e3119b84b5c9c7d78ca14206eb396b67be4d837f356eb24f7c93f83ad1c0223a",
    trained="2,449 photos; 4,000 steps of l1 from e at 4x, batches of 16 patches",
    metrics={
        "Set5 PSNR (dB)": 37.60,
        "Set14 PSNR (dB)": 33.26,
        "Set5 vgg distance": 0.0251,
        "Set5 texture distance": 0.0106,
        "Set14 vgg distance": 0.0625,
        "Set14 texture distance": 0.0344,
    },
    task="enlarge",
)

_PAT_X4 = Weights(
    "pat",
    scale=4,
    source=Path(__file__).parent / "weights" / "enhancenet_pat_x4.safetensors",
    sha256="2a6904efd049e17b0a64c56f354bf55b6cd61e6dc43f28d983e7a3e7ee015d2d",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="2,877 photos; 3,100 steps of pat from e, then 4,732 of 24 patches",
    metrics={
        "Set5 PSNR (dB)": 29.84,
        "Set14 PSNR (dB)": 26.76,
        "Set5 vgg distance": 0.1267,
        "Set5 texture distance": 0.0314,
        "Set14 vgg distance": 0.2416,
        "Set14 texture distance": 0.0924,
    },
    lowest_quality=100,
    highest_noise=0,
    task="enlarge",
    title="Enlarge with fine texture",
    summary="Enlarges clean photos and adds plausible fine texture, such as that of hair and grass.",
)

_PHOTO_X4 = Weights(
    "photo",
    scale=4,
    source=Path(__file__).parent / "weights" / "enhancenet_photo_x4.safetensors",
    sha256="b5b48dcb76fc1fed7a74c13f729aac5be627ad6f575ec54be7cec99402433cd8",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="2,358 photos, degraded; 20 residual blocks; a mean of two runs of l1 and two of pat",
    metrics={
        "Set14 JPEG 75 PSNR (dB)": 25.50,
        "Set14 JPEG 75 vgg distance": 0.4107,
        "Set14 JPEG 75 texture distance": 0.1988,
        "Set14 JPEG 50 PSNR (dB)": 24.98,
        "Set14 JPEG 50 vgg distance": 0.4532,
        "Set14 JPEG 50 texture distance": 0.2170,
        "Set14 noise 10 and JPEG 75 PSNR (dB)": 24.88,
        "Set14 noise 10 and JPEG 75 vgg distance": 0.4383,
        "Set14 noise 10 and JPEG 75 texture distance": 0.1870,
    },
    lowest_quality=30,
    highest_noise=15,
    task="enlarge",
    title="Enlarge photos from the web",
    summary="Enlarges compressed or noisy photos, such as those from messages and websites, and cleans them.",
)

_BLURRED_X4 = replace(
    _PHOTO_X4,
    name="blurred",
    source=Path(__file__).parent / "weights" / "enhancenet_blurred_x4.safetensors",
    sha256="afb7f9ef86a0053263184ba1c542372d70661769e08ad8690780c43c8eebd916",
    trained="2,358 photos, blurred and degraded; 20 residual blocks; a mean of one run of l1 and one of pat",
    metrics={
        "Set14 blur 0.7, noise 5 and JPEG 60 PSNR (dB)": 24.17,
        "Set14 blur 0.7, noise 5 and JPEG 60 vgg distance": 0.5334,
        "Set14 blur 0.7, noise 5 and JPEG 60 texture distance": 0.3450,
        "Set14 blur 1, noise 5 and JPEG 60 PSNR (dB)": 23.59,
        "Set14 blur 1, noise 5 and JPEG 60 vgg distance": 0.5760,
        "Set14 blur 1, noise 5 and JPEG 60 texture distance": 0.3923,
    },
    highest_blur=1.5,
    title="Enlarge blurred photos",
    summary="Enlarges and sharpens photos that are out of focus, shaken or soft, and cleans them.",
)

_PHOTO_X2 = replace(
    _PHOTO_X4,
    scale=2,
    source=Path(__file__).parent / "weights" / "enhancenet_photo_x2.safetensors",
    sha256="0b7afcdbf1f6b8c4561f7c0baafc4a97beea21489bc038390583ea8794f29c4e",
    trained="1,488 photos, degraded; 2,000 steps of l1 from e, then 900 of pat, and their mean",
    metrics={
        "Set14 JPEG 75 PSNR (dB)": 30.39,
        "Set14 JPEG 75 vgg distance": 0.2132,
        "Set14 JPEG 75 texture distance": 0.0893,
        "Set14 JPEG 50 PSNR (dB)": 29.39,
        "Set14 JPEG 50 vgg distance": 0.2676,
        "Set14 JPEG 50 texture distance": 0.1133,
        "Set14 noise 10 and JPEG 75 PSNR (dB)": 29.66,
        "Set14 noise 10 and JPEG 75 vgg distance": 0.2371,
        "Set14 noise 10 and JPEG 75 texture distance": 0.0801,
    },
)


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Return the generator."""
    return [
        ModelSpec(
            "enhancenet",
            "EnhanceNet: residual blocks, nearest-neighbor upsampling, a residual on top of bicubic",
            build=lazy("restore_enhancenet.generator:build"),
            halo=lazy("restore_enhancenet.generator:halo"),
            scales=(2, 3, 4, 8),
            options=GeneratorOptions,
            weights=(_PAT_X4, _E_X4, _PHOTO_X4, _BLURRED_X4, _E_X2, _PHOTO_X2),
            reference=_PAPER,
            fuse=lazy("restore_enhancenet.fused:fuse"),
            memory=lazy("restore_enhancenet.fused:memory"),
        )
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """The two losses on features of VGG-19."""
    return [
        LossSpec(
            "perceptual",
            "Difference of VGG-19 features, by default squared and normalized to a mean of one",
            build=lazy("restore_enhancenet.losses:build_perceptual"),
            options=PerceptualOptions,
            reference=f"{_PAPER}, section 4.2.2",
        ),
        LossSpec(
            "texture",
            "Squared difference of Gram matrices of VGG-19 features over 16x16 patches",
            build=lazy("restore_enhancenet.losses:build_texture"),
            options=TextureOptions,
            reference=f"{_PAPER}, section 4.2.3",
        ),
    ]


@hookimpl
def restore_discriminators() -> list[DiscriminatorSpec]:
    """Return the discriminator."""
    return [
        DiscriminatorSpec(
            "enhancenet",
            "EnhanceNet's discriminator: ten convolutions, two fully connected layers",
            build=lazy("restore_enhancenet.discriminator:build"),
            options=DiscriminatorOptions,
            reference=f"{_PAPER}, supplement, table 1",
        )
    ]


_MSE, _PERCEPTUAL, _TEXTURE = Term("mse"), Term("perceptual"), Term("texture")
_WEIGHTED_MSE = Term("mse", 100.0)
"""The paper does not give the weight of the MSE against the adversary in EA and EAT. With 100, starting from
the weights of E, its share of the generator's gradient is 0.3 to 0.5, like that of the perceptual loss in
PAT."""


def _adversary(weight: float) -> Adversary:
    return Adversary("enhancenet", weight, PerformanceGate())


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Table 2 of the paper, with the weights of its supplement; those of EA and EAT are this project's."""

    def row(name: str, summary: str, terms: tuple[Term, ...], adversary: Adversary | None) -> ObjectiveSpec:
        adversaries = () if adversary is None else (adversary,)
        return ObjectiveSpec(name, summary, terms, adversaries, patch_size=128, reference=_PAPER)

    return [
        row("e", "MSE: the highest PSNR", (_MSE,), None),
        row("p", "Perceptual loss", (_PERCEPTUAL,), None),
        row("ea", "MSE and adversarial loss (weights not published)", (_WEIGHTED_MSE,), _adversary(1.0)),
        row("pa", "Perceptual and adversarial loss", (_PERCEPTUAL,), _adversary(1.0)),
        row(
            "eat",
            "MSE, adversarial and texture loss (weights not published)",
            (_WEIGHTED_MSE, _TEXTURE),
            _adversary(2.0),
        ),
        row(
            "pat",
            "Perceptual, adversarial and texture loss: the paper's best-looking results",
            (_PERCEPTUAL, _TEXTURE),
            _adversary(2.0),
        ),
    ]


@hookimpl
def restore_tables() -> list[PublishedTable]:
    """Return tables 3 and 4 of the paper."""
    return tables(_PAPER)
