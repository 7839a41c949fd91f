"""Identify the model in a weights file of `restore train` or of another program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.checkpoint.loaded import LoadedModel
from restore.checkpoint.loading import load_model
from restore.checkpoint.weights import WeightsCard, read_card
from restore.errors import UsageError, WeightsError
from restore.registry import Registry

__all__ = ["SUFFIXES", "WeightsInfo", "inspect_weights"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Of the files that may contain weights."""


@dataclass(frozen=True)
class WeightsInfo:
    """A loaded weights file."""

    file: Path
    model: LoadedModel
    card: WeightsCard | None
    """What `save_weights` noted in it; ``None`` for a file of another program."""

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(parameter.numel() for parameter in self.model.module.parameters())

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON-serializable dict."""
        card, entry = self.card, self.model.entry
        return {
            "model": self.model.spec.name,
            "architecture": self.model.architecture or self.model.spec.summary,
            "size": list(self.model.tags),
            "scale": self.model.scale,
            "parameters": self.parameters,
            "halo": self.model.halo,
            "overlap": self.model.overlap,
            "precisions": sorted(self.model.precisions),
            "trainable": self.model.trainable,
            "options": self.model.options.model_dump(mode="json", exclude_none=True),
            "objective": card.objective if card else "",
            "steps": card.steps if card else None,
            "metrics": card.metrics if card else {},
            "license": entry.license if entry else "",
            "sha256": self.model.digest,
        }


def inspect_weights(file: Path, registry: Registry, name: str = "") -> WeightsInfo:
    """Load a weights file as the model that it belongs to.

    Args:
        file: weights of any model of the registry.
        registry: the known models.
        name: of the model; empty: the one that the file names, or the first that can read it.

    Raises:
        WeightsError: no model can read it.
        UnknownNameError: the model that it names is not installed.
    """
    card = _card(file)
    readers = [spec.name for spec in registry.models.values() if spec.open is not None]
    names = [name] if name else [card.model] if card else readers
    reasons = []
    for each in names:
        try:
            return WeightsInfo(file, load_model(f"{each}:{file}", registry), card)
        except (UsageError, WeightsError) as error:
            reasons.append(error)
    if len(reasons) == 1:
        raise reasons[0]
    raise WeightsError(
        "no installed model can read the file", path=file, hint="install the plugin of its model"
    )


def _card(file: Path) -> WeightsCard | None:
    try:
        return read_card(file)
    except WeightsError:
        return None
