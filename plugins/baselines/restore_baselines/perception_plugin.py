"""Entry point of the metrics and losses that need the extra ``restorekit[metrics]``."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import Extra, LossSpec, MetricSpec, lazy
from restore_baselines.options import LpipsLossOptions, LpipsOptions

CONTRACT = 2

EXTRAS = (Extra("torchmetrics", "pip install 'restorekit[metrics]'"),)


_LPIPS = (
    "Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features as a perceptual "
    "metric, CVPR 2018"
)
_DISTS = (
    "Ding, Ma, Wang, Simoncelli: Image quality assessment: unifying structure and texture similarity, "
    "TPAMI 2020"
)


@hookimpl
def restore_losses() -> list[LossSpec]:
    """The same distances as losses; a model trained with one is better compared by another."""
    return [
        LossSpec(
            "lpips",
            "Learned perceptual image patch similarity",
            lazy("restore_baselines.perception_losses:build_lpips"),
            LpipsLossOptions,
            reference=_LPIPS,
        ),
        LossSpec(
            "dists",
            "Deep image structure and texture similarity",
            lazy("restore_baselines.perception_losses:build_dists"),
            reference=_DISTS,
        ),
    ]


@hookimpl
def restore_metrics() -> list[MetricSpec]:
    """LPIPS and DISTS."""
    return [
        MetricSpec(
            "lpips",
            "Learned perceptual image patch similarity",
            build=lazy("restore_baselines.perception:build_lpips"),
            protocol=lazy("restore_baselines.perception:lpips_protocol"),
            better="lower",
            options=LpipsOptions,
            reference=_LPIPS,
        ),
        MetricSpec(
            "dists",
            "Deep image structure and texture similarity",
            build=lazy("restore_baselines.perception:build_dists"),
            protocol=lazy("restore_baselines.perception:dists_protocol"),
            better="lower",
            reference=_DISTS,
        ),
    ]
