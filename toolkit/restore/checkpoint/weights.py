"""Weights: the parameters of a network in a safetensors file that says which network it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from restore.checkpoint.tensors import save_tensors, to_json
from restore.errors import WeightsError, first_line

__all__ = ["WeightsCard", "as_metadata", "read_card", "save_weights"]

_KEY = "restore"  # the only metadata key: safetensors writes several in random order


class WeightsCard(BaseModel):
    """The metadata of a weights file.

    >>> WeightsCard(model="srcnn", scale=4).scale
    4
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str
    """Name of the model."""
    scale: int
    """Output pixels per input pixel along one side."""
    options: dict[str, Any] = {}
    """Options of the model."""
    objective: str = ""
    """What it was trained with."""
    steps: int = 0
    """Optimizer steps."""
    data: str = ""
    """Fingerprint of the training data."""
    metrics: dict[str, float] = {}
    """Results of the last validation by name."""
    versions: dict[str, str] = {}
    """Versions of the libraries that the training used."""
    notes: tuple[str, ...] = ()
    """Remarks on the training, such as a loss whose own weights are of unknown origin."""
    blend: dict[str, float] = {}
    """Share of each file of a weighted mean, by its SHA-256; empty for weights from training."""

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        """Accept the key of files that were written before version 0.2."""
        if isinstance(values, dict) and "figures" in values:
            values = dict(values)
            values.setdefault("metrics", values.pop("figures"))
        return values


def read_card(file: Path) -> WeightsCard:
    """Read the metadata of a weights file without loading its tensors.

    Raises:
        WeightsError: the file is missing or damaged, or was not written by `save_weights`.
    """
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
        return WeightsCard.model_validate_json(metadata[_KEY])
    except KeyError:
        raise WeightsError(
            "the file does not say which model it belongs to",
            path=file,
            hint="pass weights that 'restore train' wrote",
        ) from None
    except (OSError, SafetensorError, ValidationError) as error:
        raise WeightsError(
            f"cannot read the weights: {first_line(error)}", path=file, hint="replace the file"
        ) from error


def save_weights(file: Path, weights: nn.Module | Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write the parameters and buffers of a network with `card`; equal weights give equal bytes.

    Args:
        file: where to write.
        weights: the network, or what its `state_dict` returned.
        card: the metadata.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    save_tensors(file, tensors, as_metadata(card))


def as_metadata(card: WeightsCard) -> dict[str, str]:
    """`card` as the metadata of a safetensors file."""
    return {_KEY: to_json(card.model_dump())}
