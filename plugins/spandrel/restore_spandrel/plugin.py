"""Entry point of the plugin: a model for all files, and one for each architecture that can be trained.

Imports neither torch nor spandrel.
"""

from __future__ import annotations

from functools import partial

from restore.hookspecs import hookimpl
from restore.interfaces import Extra, ModelSpec, lazy
from restore_spandrel.architectures import ARCHITECTURES

CONTRACT = 2

EXTRAS = (Extra("spandrel", "pip install 'restorekit[spandrel]'"),)

_SPANDREL = "spandrel, https://github.com/chaiNNer-org/spandrel"


@hookimpl
def restore_models() -> list[ModelSpec]:
    """``spandrel:FILE`` for every architecture of the library, and ``spandrel.NAME`` for new networks."""
    return [
        ModelSpec.of_files(
            "spandrel",
            "Community model files, spandrel:FILE: ESRGAN, Compact, SPAN, SwinIR, DAT, HAT and 36 more",
            open=lazy("restore_spandrel.opening:open_file"),
            reference=_SPANDREL,
        ),
        *map(_new, ARCHITECTURES),
    ]


def _new(name: str) -> ModelSpec:
    architecture = ARCHITECTURES[name]
    return ModelSpec(
        f"spandrel.{name}",
        architecture.summary,
        build=partial(lazy("restore_spandrel.fresh:build"), name),
        halo=partial(lazy("restore_spandrel.fresh:halo"), name),
        overlap=partial(lazy("restore_spandrel.fresh:overlap"), name),
        stride=partial(lazy("restore_spandrel.fresh:stride"), name),
        scales=architecture.scales,
        options=architecture.options(),
        reference=_SPANDREL,
    )
