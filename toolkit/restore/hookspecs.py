"""The hooks of a plugin. Each returns entries, and is called once, when the plugins are discovered.

A plugin is a module that an entry point of the group ``restore.plugins`` refers to. It states the version of
this contract and implements any of the hooks::

    from restore.hookspecs import hookimpl
    from restore.interfaces import ModelSpec

    CONTRACT = 2

    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return [...]

The module must not import torch, because it is imported for ``restore list`` too; see
`restore.interfaces.lazy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pluggy

from restore.interfaces import (
    AdversarialLossSpec,
    AugmentationSpec,
    DegradationSpec,
    DiscriminatorSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    OptimizerSpec,
    PublishedTable,
    ScheduleSpec,
    SetMetricSpec,
)

__all__ = ["CHANGES", "CONTRACT", "hookimpl"]

CONTRACT = 2
"""Version of the hooks and entries. It is raised when plugins have to be changed."""

CHANGES: Mapping[int, str] = {
    2: (
        "an objective takes adversaries=(Adversary(...),) in place of adversary=Adversary(...); a "
        "degradation returns Degraded(image, parameters), and states by margin how much surrounding it needs "
        "and by resizes whether it divides the size; parameters of a loss that require a gradient are "
        "trained, so freeze those of a fixed network; Weights has license and metrics in place of licence "
        "and figures"
    )
}
"""Version -> what to change in a plugin for the version before, for each version from 2 to `CONTRACT`."""

PROJECT = "restore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator of a plugin's implementation of a hook."""


@hookspec
def restore_models() -> Sequence[ModelSpec]:
    """Models: networks that turn a degraded image into a restored one."""


@hookspec
def restore_losses() -> Sequence[LossSpec]:
    """Losses: single terms that compare a restored image with its target."""


@hookspec
def restore_objectives() -> Sequence[ObjectiveSpec]:
    """Objectives: weighted sums of losses, and adversaries."""


@hookspec
def restore_discriminators() -> Sequence[DiscriminatorSpec]:
    """Discriminators: networks that distinguish restored images from real ones."""


@hookspec
def restore_adversarial_losses() -> Sequence[AdversarialLossSpec]:
    """Adversarial losses: how a discriminator's logits become the losses of both networks."""


@hookspec
def restore_optimizers() -> Sequence[OptimizerSpec]:
    """Optimizers: how gradients become updates of the weights."""


@hookspec
def restore_schedules() -> Sequence[ScheduleSpec]:
    """Schedules: how the learning rate changes over a run, after the warm-up."""


@hookspec
def restore_augmentations() -> Sequence[AugmentationSpec]:
    """Augmentations: random changes to training pairs that add variety."""


@hookspec
def restore_metrics() -> Sequence[MetricSpec]:
    """Metrics: measures by which models are compared."""


@hookspec
def restore_set_metrics() -> Sequence[SetMetricSpec]:
    """Set metrics: measures of all results on a data set together, such as distances of distributions."""


@hookspec
def restore_degradations() -> Sequence[DegradationSpec]:
    """Degradations: functions that make the degraded image from its target."""


@hookspec
def restore_tables() -> Sequence[PublishedTable]:
    """Tables: the published values of a paper."""
