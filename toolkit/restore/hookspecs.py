"""The hooks: what a plugin may bring. Each returns entries; none is called back during work.

A plugin is a module, named by an entry point of the group ``restore.plugins``, that states the
version of this contract and implements any of the hooks::

    from restore.hookspecs import hookimpl
    from restore.interfaces import ModelSpec

    CONTRACT = 1

    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return [...]

All hooks are called once, when the plugins are discovered. The module must not import torch at its
top: it is imported for ``restore list`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pluggy

from restore.interfaces import (
    DegradationSpec,
    DiscriminatorSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    PublishedTable,
)

__all__ = ["CHANGES", "CONTRACT", "hookimpl"]

CONTRACT = 1
"""Version of the hooks and entries. It rises when a plugin has to be changed to go on working."""

CHANGES: Mapping[int, str] = {}
"""Version -> what a plugin of the version before has to change. One entry for each from 2 to `CONTRACT`."""

PROJECT = "restore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's implementation of a hook."""


@hookspec
def restore_models() -> Sequence[ModelSpec]:
    """Models: networks that turn a degraded image into a restored one."""


@hookspec
def restore_losses() -> Sequence[LossSpec]:
    """Losses: single terms that compare a restored image with its target."""


@hookspec
def restore_objectives() -> Sequence[ObjectiveSpec]:
    """Objectives: weighted sums of losses, with at most one adversary."""


@hookspec
def restore_discriminators() -> Sequence[DiscriminatorSpec]:
    """Discriminators: networks that tell restored images from real ones."""


@hookspec
def restore_metrics() -> Sequence[MetricSpec]:
    """Metrics: figures by which models are compared."""


@hookspec
def restore_degradations() -> Sequence[DegradationSpec]:
    """Degradations: how a degraded image is made from its target."""


@hookspec
def restore_tables() -> Sequence[PublishedTable]:
    """Tables: a paper's published figures."""
