"""The entries of the plugin. This module must not import torch: `lazy` imports code when it is used."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import LossSpec, ModelSpec, ObjectiveSpec, Term, lazy
from restore_espcn.options import EspcnOptions, HuberOptions

CONTRACT = 2  # the version of the plugin contract

_SHI = "Shi et al.: Real-time single image and video super-resolution (ESPCN), CVPR 2016, arXiv 1609.05158"
_HUBER = "Huber: Robust estimation of a location parameter, Annals of Mathematical Statistics, 1964"


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Return the model."""
    return [
        ModelSpec(
            "espcn",
            "ESPCN: three convolutions at the resolution of the input, then a pixel shuffle",
            build=lazy("restore_espcn.network:build"),
            halo=lazy("restore_espcn.network:halo"),
            options=EspcnOptions,
            reference=_SHI,
        )
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """Return a loss that any objective of any plugin can use."""
    return [
        LossSpec(
            "huber",
            "Huber loss: the absolute error, quadratic near zero",
            build=lazy("restore_espcn.loss:build"),
            options=HuberOptions,
            reference=_HUBER,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Return an objective for `--loss`."""
    return [
        ObjectiveSpec(
            "espcn",
            "Huber loss on small patches (the paper uses the squared error)",
            terms=(Term("huber"),),
            patch_size=68,  # 17 input pixels at 4x, as in the paper
            reference=_SHI,
        )
    ]
