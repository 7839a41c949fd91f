"""Entry point of the plugin: what it brings, and nothing that needs torch before it is built."""

from __future__ import annotations

from pathlib import Path

from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, ObjectiveSpec, Term, Weights, lazy
from restore_enhancenet.options import GeneratorOptions

CONTRACT = 1

_PAPER = "Sajjadi, Schölkopf, Hirsch: EnhanceNet, ICCV 2017, arXiv 1612.07919"

_E_X4 = Weights(
    "e",
    scale=4,
    source=Path(__file__).parent / "weights" / "enhancenet_e_x4.safetensors",
    sha256="05821c5097d6a341ecbe9e5d4b50e4cda65022db533f11eee3c81f4a95c8d630",
    licence="Apache-2.0; trained on research data sets, see the model card beside the file",
    trained="1,331 photographs, 3,600 steps of l1 and 1,000 of e, batches of 16 patches of 160x160 pixels",
    figures={"Set5 PSNR (dB)": 31.35, "Set14 PSNR (dB)": 28.05},
)


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
            weights=(_E_X4,),
            reference=_PAPER,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Table 2 of the paper, as far as it is there."""
    return [ObjectiveSpec("e", "Pixel-wise MSE: the highest PSNR", (Term("mse"),), reference=_PAPER)]
