"""Entry point of the metrics that need the extra ``restorekit[metrics]``."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import Extra, MetricSpec, lazy
from restore_baselines.options import LpipsOptions

CONTRACT = 2

EXTRAS = (Extra("torchmetrics", "pip install 'restorekit[metrics]'"),)


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
            reference="Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features "
            "as a perceptual metric, CVPR 2018",
        ),
        MetricSpec(
            "dists",
            "Deep image structure and texture similarity",
            build=lazy("restore_baselines.perception:build_dists"),
            protocol=lazy("restore_baselines.perception:dists_protocol"),
            better="lower",
            reference="Ding, Ma, Wang, Simoncelli: Image quality assessment: unifying structure and texture "
            "similarity, TPAMI 2020",
        ),
    ]
