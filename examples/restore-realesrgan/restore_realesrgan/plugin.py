"""The entries of the plugin. This module must not import torch: `lazy` imports code when it is used."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, ObjectiveSpec, Term, lazy
from restore_realesrgan.options import CompactOptions

CONTRACT = 2  # the version of the plugin contract

_WANG = "Wang, Xie, Dong, Shan: Real-ESRGAN, ICCV workshops 2021, arXiv 2107.10833"


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Return the model."""
    return [
        ModelSpec(
            "realesrgan-compact",
            "SRVGG: convolutions with PReLU at the resolution of the input, then a pixel shuffle",
            build=lazy("restore_realesrgan.network:build"),
            halo=lazy("restore_realesrgan.network:halo"),
            memory=lazy("restore_realesrgan.network:memory"),
            options=CompactOptions,
            reference=_WANG,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Return the objective of the first stage; that of the second, `realesrgan`, comes with the toolkit."""
    return [
        ObjectiveSpec(
            "realesrnet",
            "L1 on sharpened targets: the first stage of Real-ESRGAN",
            terms=(Term("l1", 1.0, {"sharpen": True}),),
            patch_size=256,
            reference=f"{_WANG}, section 4.1",
        )
    ]
