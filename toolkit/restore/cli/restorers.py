"""The models of a command that measures several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from restore.cli import console, options

if TYPE_CHECKING:
    from restore.inference import AnyRestorer
    from restore.registry import Registry

__all__ = ["restorers"]


def restorers(
    models: Sequence[str],
    registry: Registry,
    scale: int | None,
    chosen: Mapping[str, Mapping[str, Any]],
    computing: options.Computing,
) -> list[AnyRestorer]:
    """Load all models of a command, and print a note for each way in which their results are not exact.

    Args:
        models: ``NAME[:WEIGHTS]``, chains, or ``auto``.
        registry: the known models.
        scale: of all models; `None` is each model's own.
        chosen: name -> option -> value, from `restore.cli.options.by_name`.
        computing: how they run.
    """
    from restore.inference import load_at

    loaded = [
        load_at(name, registry, scale, options.options_of_model(name, chosen), **vars(computing))
        for name in models
    ]
    for each in loaded:
        console.report_notes(each)
    return loaded
