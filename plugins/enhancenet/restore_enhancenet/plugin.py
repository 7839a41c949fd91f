"""Entry point of the plugin: what it brings, and nothing that needs torch before it is built."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, ObjectiveSpec, Term, lazy
from restore_enhancenet.options import GeneratorOptions

CONTRACT = 1

_PAPER = "Sajjadi, Schölkopf, Hirsch: EnhanceNet, ICCV 2017, arXiv 1612.07919"


@hookimpl
def restore_models() -> list[ModelSpec]:
    """The generator."""
    return [
        ModelSpec(
            "enhancenet",
            "EnhanceNet: ten residual blocks, nearest-neighbour upsampling, a residual on top of bicubic",
            build=lazy("restore_enhancenet.generator:build"),
            halo=lazy("restore_enhancenet.generator:halo"),
            scales=(2, 3, 4, 8),
            options=GeneratorOptions,
            reference=_PAPER,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Table 2 of the paper, as far as it is there."""
    return [ObjectiveSpec("e", "Pixel-wise MSE: the highest PSNR", (Term("mse"),), reference=_PAPER)]
