"""Entry point of the plugin: one model for all files. Imports neither torch nor spandrel."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import Extra, ModelSpec, lazy

CONTRACT = 2

EXTRAS = (Extra("spandrel", "pip install 'restorekit[spandrel]'"),)


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Return the model that stands for every architecture of the library."""
    return [
        ModelSpec.of_files(
            "spandrel",
            "Community model files, spandrel:FILE: ESRGAN, Compact, SPAN, SwinIR, DAT, HAT and 36 more",
            open=lazy("restore_spandrel.opening:open_file"),
            reference="spandrel, https://github.com/chaiNNer-org/spandrel",
        )
    ]
