"""Entry point of the plugin: optimizers and learning-rate schedules."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import OptimizerSpec, ScheduleSpec, lazy
from restore_optimization.options import (
    AdamOptions,
    AdamWOptions,
    CosineOptions,
    MultistepOptions,
    ScheduleFreeOptions,
    SoapOptions,
    WsdOptions,
)

CONTRACT = 2


@hookimpl
def restore_optimizers() -> list[OptimizerSpec]:
    """Adam, AdamW, SOAP and schedule-free AdamW."""
    return [
        OptimizerSpec(
            "adam",
            "Adam",
            lazy("restore_optimization.optimizers:build_adam"),
            AdamOptions,
            reference="Kingma, Ba: Adam, ICLR 2015",
        ),
        OptimizerSpec(
            "adamw",
            "Adam with decoupled weight decay",
            lazy("restore_optimization.optimizers:build_adamw"),
            AdamWOptions,
            reference="Loshchilov, Hutter: Decoupled weight decay regularization, ICLR 2019",
        ),
        OptimizerSpec(
            "soap",
            "Adam in the eigenbasis of each layer's gradients: costlier steps, fewer of them",
            lazy("restore_optimization.soap:build"),
            SoapOptions,
            reference="Vyas et al.: SOAP, 2024, arXiv 2409.11321",
        ),
        OptimizerSpec(
            "schedule-free",
            "AdamW that averages its weights instead of letting the rate fall: use schedule=constant",
            lazy("restore_optimization.optimizers:build_schedule_free"),
            ScheduleFreeOptions,
            reference="Defazio et al.: The road less scheduled, NeurIPS 2024, arXiv 2405.15682",
        ),
    ]


@hookimpl
def restore_schedules() -> list[ScheduleSpec]:
    """Of the learning rate, after the warm-up."""
    return [
        ScheduleSpec(
            "cosine",
            "Half a cosine from the peak rate to its final share",
            lazy("restore_optimization.schedules:build_cosine"),
            CosineOptions,
            reference="Loshchilov, Hutter: SGDR, ICLR 2017",
        ),
        ScheduleSpec(
            "multistep",
            "A factor at each milestone",
            lazy("restore_optimization.schedules:build_multistep"),
            MultistepOptions,
        ),
        ScheduleSpec(
            "constant", "The peak rate throughout", lazy("restore_optimization.schedules:build_constant")
        ),
        ScheduleSpec(
            "wsd",
            "Warm-up, stable, decay: the peak rate, then a fall at the end",
            lazy("restore_optimization.schedules:build_wsd"),
            WsdOptions,
            reference="Haegele et al.: Scaling laws and compute-optimal training, 2024, arXiv 2405.18392",
        ),
    ]
