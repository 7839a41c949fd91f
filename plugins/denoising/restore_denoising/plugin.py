"""Entry point of the plugin: models that remove noise and compression artifacts."""

from __future__ import annotations

from pathlib import Path

from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, PublishedTable, Weights, lazy
from restore_denoising.options import DncnnOptions, FfdnetOptions
from restore_denoising.tables import tables

CONTRACT = 2

_WEIGHTS = Path(__file__).parent / "weights"

_NOISE = Weights(
    "noise",
    scale=1,
    source=_WEIGHTS / "ffdnet_noise_x1.safetensors",
    sha256="3d1d1c451b8eb83e788e3f03b113707ce97725be9a81b843b5b581c9447b870e",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="2,320 photos; 23,000 steps of l1 on noise of 0 to 75 levels, the last 4,000 of 0 to 45",
    metrics={
        "Set14 sigma 15 PSNR (dB)": 32.89,
        "Set14 sigma 25 PSNR (dB)": 30.68,
        "Set14 sigma 50 PSNR (dB)": 27.67,
    },
    lowest_quality=100,
    highest_noise=75,
    task="denoise",
    title="Remove noise",
    summary="Removes noise without enlarging. For photos taken in low light.",
)

_JPEG = Weights(
    "jpeg",
    scale=1,
    source=_WEIGHTS / "ffdnet_jpeg_x1.safetensors",
    sha256="9b29f82cca005f704d0c46e6b31eb05e4b6f7a7724cd3443a6c632a9901fe510",
    license="Apache-2.0; trained on research data sets, see the model card",
    trained="2,320 photos; 7,200 steps of l1 on JPEG of quality 5 to 95, the last 5,000 of 8 to 60",
    metrics={
        "Set14 quality 10 PSNR (dB)": 30.26,
        "Set14 quality 20 PSNR (dB)": 32.60,
        "Set14 quality 40 PSNR (dB)": 34.82,
    },
    lowest_quality=5,
    highest_noise=0,
    task="deblock",
    title="Remove JPEG artifacts",
    summary="Removes the blocks and halos of JPEG compression without enlarging.",
)


def _two(scale: int, options: FfdnetOptions) -> int:  # noqa: ARG001 - squares of 2x2 pixels become channels
    return 2


def _ffdnet_halo(scale: int, options: FfdnetOptions) -> int:  # noqa: ARG001 - scale 1 is the only one
    """The layers' radius at half the resolution, from a pixel at either position in its square: 25."""
    return 2 * options.layers + 1


def _dncnn_halo(scale: int, options: DncnnOptions) -> int:  # noqa: ARG001 - scale 1 is the only one
    """One pixel for each layer: 20."""
    return options.layers


def _strength(options: FfdnetOptions) -> tuple[str, ...]:
    """The number that the network is given."""
    return (options.strength,)


_FFDNET = "Zhang, Zuo, Zhang: FFDNet, IEEE TIP 2018, arXiv 1710.04026"


@hookimpl
def restore_tables() -> list[PublishedTable]:
    """Color denoising by FFDNet."""
    return tables(_FFDNET)


@hookimpl
def restore_models() -> list[ModelSpec]:
    """FFDNet and DnCNN."""
    return [
        ModelSpec(
            "ffdnet",
            "FFDNet: denoising by a given or estimated strength, at half the resolution",
            build=lazy("restore_denoising.ffdnet:build"),
            halo=_ffdnet_halo,
            scales=(1,),
            options=FfdnetOptions,
            weights=(_NOISE, _JPEG),
            reference=_FFDNET,
            fuse=lazy("restore_denoising.fused:fuse_ffdnet"),
            memory=lazy("restore_denoising.fused:ffdnet_memory"),
            stride=_two,
            conditions=_strength,
        ),
        ModelSpec(
            "dncnn",
            "DnCNN: blind denoising",
            build=lazy("restore_denoising.dncnn:build"),
            halo=_dncnn_halo,
            scales=(1,),
            options=DncnnOptions,
            reference="Zhang, Zuo, Chen, Meng, Zhang: Beyond a Gaussian denoiser, IEEE TIP 2017, "
            "arXiv 1608.03981",
            fuse=lazy("restore_denoising.fused:fuse_dncnn"),
            memory=lazy("restore_denoising.fused:dncnn_memory"),
        ),
    ]
