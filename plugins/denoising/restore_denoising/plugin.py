"""Entry point of the plugin: models that remove noise and compression artifacts."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, lazy
from restore_denoising.options import DncnnOptions, FfdnetOptions

CONTRACT = 2


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
            reference="Zhang, Zuo, Zhang: FFDNet, IEEE TIP 2018, arXiv 1710.04026",
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
