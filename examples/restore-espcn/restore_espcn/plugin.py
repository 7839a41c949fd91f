"""Entry point of the plugin: says what it brings. Nothing here imports torch; `lazy` does when it must."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import LossSpec, ModelSpec, ObjectiveSpec, Term, lazy
from restore_espcn.options import CharbonnierOptions, EspcnOptions

CONTRACT = 1  # the version of restore's contract that this plugin was written for

_SHI = "Shi et al.: Real-time single image and video super-resolution (ESPCN), CVPR 2016, arXiv 1609.05158"
_CHARBONNIER = "Charbonnier et al.: Two deterministic half-quadratic regularization algorithms, ICIP 1994"


@hookimpl
def restore_models() -> list[ModelSpec]:
    """The network."""
    return [
        ModelSpec(
            "espcn",
            "ESPCN: three convolutions at the input's size, then the pixels are shuffled into place",
            build=lazy("restore_espcn.network:build"),
            halo=lazy("restore_espcn.network:halo"),
            options=EspcnOptions,
            reference=_SHI,
        )
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """A loss that any objective can name, this plugin's or another's."""
    return [
        LossSpec(
            "charbonnier",
            "Charbonnier distance: absolute error with a round tip",
            build=lazy("restore_espcn.loss:build"),
            options=CharbonnierOptions,
            reference=_CHARBONNIER,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """A recipe for `--loss`."""
    return [
        ObjectiveSpec(
            "espcn",
            "Charbonnier distance on small patches; the paper took the squared error",
            terms=(Term("charbonnier"),),
            patch_size=68,  # 17 input pixels at 4x, as in the paper
            reference=_SHI,
        )
    ]
