"""Entry point of the plugin: its entries, without importing torch."""

from __future__ import annotations

from pathlib import Path

from restore.hookspecs import hookimpl
from restore.interfaces import (
    DegradationSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    Term,
    Weights,
    lazy,
)
from restore_baselines.options import (
    BicubicDegradationOptions,
    CharbonnierOptions,
    FidelityOptions,
    PixelOptions,
    SrcnnOptions,
)

CONTRACT = 2

_DONG = "Dong, Loy, He, Tang: Image super-resolution using deep convolutional networks, TPAMI 2015"
_KEYS = "Keys: Cubic convolution interpolation for digital image processing, 1981"
_WANG = "Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, 2004"

_SRCNN_X4 = Weights(
    "mse",
    scale=4,
    source=Path(__file__).parent / "weights" / "srcnn_mse_x4.safetensors",
    sha256="a8a0c0d5c9a1228503150a8186ed433d9ff18dc6b3bcf3578993df8d764f3fdc",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="1,265 photos, 6,000 steps of MSE on luma, batches of 6 patches of 160x160 pixels",
    metrics={"Set5 PSNR (dB)": 30.66, "Set14 PSNR (dB)": 27.61},
    title="Enlarge with SRCNN",
    summary="Enlarges clean images with a small network of 2015. For comparison.",
)


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Bicubic and SRCNN."""
    return [
        ModelSpec(
            "bicubic",
            "Bicubic enlargement, as MATLAB's imresize",
            build=lazy("restore_baselines.models:build_bicubic"),
            halo=lazy("restore_baselines.models:halo_bicubic"),
            reference=_KEYS,
        ),
        ModelSpec(
            "srcnn",
            "SRCNN 9-5-5: three convolutions on the luma of the bicubic enlargement",
            build=lazy("restore_baselines.models:build_srcnn"),
            halo=lazy("restore_baselines.models:halo_srcnn"),
            options=SrcnnOptions,
            weights=(_SRCNN_X4,),
            reference=_DONG,
        ),
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """Losses on pixels, structures and frequencies, and the consistency with the input."""
    return [
        LossSpec("mse", "Mean squared error", lazy("restore_baselines.losses:build_mse"), PixelOptions),
        LossSpec("l1", "Mean absolute error", lazy("restore_baselines.losses:build_l1"), PixelOptions),
        LossSpec(
            "charbonnier",
            "Absolute error with a smooth minimum",
            lazy("restore_baselines.losses:build_charbonnier"),
            CharbonnierOptions,
            reference="Lai, Huang, Ahuja, Yang: LapSRN, CVPR 2017, Eq. 2",
        ),
        LossSpec(
            "ms-ssim",
            "One minus the multi-scale structural similarity",
            lazy("restore_baselines.structure:build"),
            reference="Zhao, Gallo, Frosio, Kautz: Loss functions for image restoration, 2017, Eq. 8",
        ),
        LossSpec(
            "fft",
            "Mean absolute error of the Fourier coefficients",
            lazy("restore_baselines.frequency:build"),
            reference="Cho et al.: MIMO-UNet, ICCV 2021, Eq. 7",
        ),
        LossSpec(
            "consistency",
            "Mean absolute error between the downscaled result and the input",
            lazy("restore_baselines.losses:build_consistency"),
            inputs=("restored", "degraded"),
        ),
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """The objective of SRCNN."""
    return [
        ObjectiveSpec(
            "srcnn",
            "Mean squared error on luma, as SRCNN was trained",
            terms=(Term("mse", 1.0, {"luma": True}),),
            reference=_DONG,
        )
    ]


@hookimpl
def restore_metrics() -> list[MetricSpec]:
    """PSNR and SSIM, by default by the protocol of the super-resolution literature, and NIQE."""
    protocol = lazy("restore_baselines.measures:fidelity_protocol")
    return [
        MetricSpec(
            "psnr",
            "Peak signal-to-noise ratio, on luma or RGB",
            build=lazy("restore_baselines.measures:build_psnr"),
            protocol=protocol,
            better="higher",
            unit="dB",
            digits=2,
            options=FidelityOptions,
        ),
        MetricSpec(
            "ssim",
            "Structural similarity, on luma or RGB",
            build=lazy("restore_baselines.measures:build_ssim"),
            protocol=protocol,
            better="higher",
            options=FidelityOptions,
            reference=_WANG,
        ),
        MetricSpec(
            "niqe",
            "Natural image quality evaluator, without a target",
            build=lazy("restore_baselines.measures:build_niqe"),
            protocol=lazy("restore_baselines.measures:niqe_protocol"),
            better="lower",
            digits=3,
            reference="Mittal, Soundararajan, Bovik: A completely blind image quality analyzer, 2013",
            needs_target=False,
        ),
    ]


@hookimpl
def restore_degradations() -> list[DegradationSpec]:
    """MATLAB's bicubic downscaling, and Pillow's Lanczos."""
    return [
        DegradationSpec(
            "bicubic",
            "Bicubic downscaling, as MATLAB's imresize",
            build=lazy("restore_baselines.measures:build_degradation"),
            protocol=lazy("restore_baselines.measures:degradation_protocol"),
            margin=lazy("restore_baselines.measures:degradation_margin"),
            options=BicubicDegradationOptions,
            reference=_KEYS,
        ),
        DegradationSpec(
            "lanczos",
            "Lanczos downscaling, as Pillow's on 8-bit images",
            build=lazy("restore_baselines.measures:build_lanczos"),
            protocol=lazy("restore_baselines.measures:lanczos_protocol"),
            margin=lazy("restore_baselines.measures:degradation_margin"),
        ),
    ]
