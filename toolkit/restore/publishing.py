"""A record of a training run in the format of OpenModelDB, the community's catalog of models."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from restore.checkpoint import WeightsInfo, inspect_weights
from restore.config import CONFIG_FILE, WEIGHTS_FILE, TrainingConfig, resolve
from restore.data import find_images
from restore.errors import RestoreError, UsageError
from restore.interfaces import ObjectiveSpec
from restore.registry import ModelReference, Registry
from restore.tiling import round_up

__all__ = ["About", "Record", "Resource", "record"]

_ID = r"[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*"
_MODEL_ID = rf"^\d+x-{_ID}$"
Identifier = Annotated[str, Field(pattern=rf"^{_ID}$")]


class _Camel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Resource(_Camel):
    """A file of a model."""

    platform: Literal["pytorch"] = "pytorch"
    type: Literal["safetensors"] = "safetensors"
    size: int = Field(ge=1)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    urls: tuple[Annotated[str, Field(pattern="^https?://")], ...]
    """Where it can be downloaded. The catalog demands at least one."""


class Record(_Camel):
    """A model, by the schema of https://github.com/OpenModelDB/open-model-database (src/lib/schema.ts)."""

    name: str = Field(min_length=1)
    author: Identifier
    license: str | None
    """SPDX expression."""
    tags: tuple[Identifier, ...] = Field(min_length=1)
    description: str = Field(pattern=r"(?s)^\S(.*\S)?$")
    """Markdown."""
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    architecture: str = Field(min_length=1)
    size: tuple[str, ...] | None
    scale: int = Field(ge=1, le=16)
    input_channels: int = 3
    output_channels: int = 3
    resources: tuple[Resource, ...] = Field(min_length=1)
    training_iterations: int = Field(ge=1)
    training_batch_size: int = Field(ge=1)
    training_hr_size: int = Field(ge=1, alias="trainingHRSize")
    """Side of the training targets in pixels."""
    training_otf: bool = Field(alias="trainingOTF")
    """Whether the inputs were made while training."""
    dataset: str
    dataset_size: int | None = Field(None, ge=1)
    """Number of images; ``None`` if their folders are gone."""
    pretrained_model_g: str | None = Field(None, pattern=_MODEL_ID)
    images: tuple[dict[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the catalog; what is unknown and optional is omitted."""
        dumped = self.model_dump(mode="json", by_alias=True)
        return {
            key: value for key, value in dumped.items() if value is not None or key in ("license", "size")
        }


@dataclass(frozen=True)
class About:
    """The fields of a record that are not part of a run."""

    author: str = "unknown"
    """Name in the catalog: letters and digits in words separated by ``-``."""
    license: str | None = None
    """SPDX expression, such as ``CC-BY-4.0``."""
    urls: Sequence[str] = ()
    """Where the weights can be downloaded."""
    tags: Sequence[str] = ()
    """Of the catalog; empty: derived from scale and degradation."""
    name: str = ""
    """Empty: scale and name of the folder."""

    @property
    def missing(self) -> list[str]:
        """The fields without which the catalog does not accept a record, or should not."""
        found = {"author": self.author != "unknown", "license": self.license, "url": self.urls}
        return [name for name, given in found.items() if not given]


def record(run: Path, registry: Registry, about: About) -> Record:
    """Describe a run.

    Args:
        run: folder of a run with at least one step.
        registry: all entries.
        about: what the run does not know.

    Raises:
        UsageError: there is no such run, it has no steps yet, or a field of `about` is not valid.
        WeightsError: its weights cannot be loaded.
    """
    if not (run / CONFIG_FILE).is_file():
        raise UsageError(f"there is no run here: {CONFIG_FILE} is missing", path=run, hint="check `run`")
    config, info = resolve(run / CONFIG_FILE, [], {}), inspect_weights(run / WEIGHTS_FILE, registry)
    if info.card is None or info.card.steps < 1:
        raise UsageError("the run has no trained weights yet", path=run, hint="train it first")
    file, scale = run / WEIGHTS_FILE, info.model.scale
    date = datetime.datetime.fromtimestamp(file.stat().st_mtime, tz=datetime.UTC).date()
    values: dict[str, Any] = {
        "name": about.name or f"{scale}x-{run.resolve().name}",
        "author": about.author,
        "license": about.license,
        "tags": tuple(about.tags) or _tags(config),
        "description": _description(config, info),
        "date": date.isoformat(),
        "architecture": (info.model.architecture or info.model.spec.name).lower(),
        "size": info.model.tags or None,
        "scale": scale,
        "resources": ({"size": file.stat().st_size, "sha256": info.model.digest, "urls": tuple(about.urls)},),
        "training_iterations": info.card.steps,
        "training_batch_size": config.batch_size,
        "training_hr_size": _patch_size(config, registry),
        "training_otf": any(not source.degraded for source in config.sources),
        "dataset": ", ".join(folder.name for folder in _folders(config)),
        "dataset_size": _images(config),
        "pretrained_model_g": _pretrained(config),
    }
    try:
        return Record.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UsageError(
            f"the catalog does not accept {where} = {problem['input']!r}: {problem['msg']}"
        ) from None


_REMOVED = {"jpeg": "jpeg", "webp": "restoration", "noise": "denoise", "blur": "deblur"}
"""Part of the name of a degradation -> tag of a model that removes it."""
_EVERYTHING = ("photo", "bsrgan", "realesrgan")
"""Degradations that are recipes of all of these."""


def _degradations(config: TrainingConfig) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and options of the degradation of each source that has one."""
    return [config.degradation_of(source) for source in config.sources if not source.degraded]


def _tags(config: TrainingConfig) -> tuple[str, ...]:
    parts = [part for name, _ in _degradations(config) for part in name.split("+")]
    removed = {tag for name, tag in _REMOVED.items() if name in parts or set(parts) & set(_EVERYTHING)}
    kind = {"general-upscaler"} if config.scale > 1 else {"restoration"}
    return tuple(sorted(kind | removed))


def _patch_size(config: TrainingConfig, registry: Registry) -> int:
    """Side of the targets in training; a sum of losses is not registered and has the usual one."""
    objective = registry.objectives.get(config.loss, ObjectiveSpec)
    return config.patch_size or round_up(objective.patch_size, config.scale)


def _folders(config: TrainingConfig) -> list[Path]:
    return [folder for source in config.sources for folder in source.data]


def _images(config: TrainingConfig) -> int | None:
    try:
        return len(find_images(_folders(config)))
    except RestoreError:
        return None


def _pretrained(config: TrainingConfig) -> str | None:
    """The model that the run started from, if its file has the name of one in the catalog."""
    for reference in filter(None, (config.init, config.model)):
        name = Path(ModelReference.parse(reference).weights).stem.replace("_", "-")
        if re.fullmatch(_MODEL_ID, name):
            return name
    return None


def _description(config: TrainingConfig, info: WeightsInfo) -> str:
    """Markdown: what was trained how, on what, with which results."""
    card, model = info.card, info.model
    start = config.init or (config.model if model.spec.open is not None else "random weights")
    options = model.options.model_dump(mode="json", exclude_defaults=True)
    made = {f"{name} ({_joined(given)})" if given else name for name, given in _degradations(config)}
    facts = {
        "Model": f"{model.spec.name}: {model.architecture or model.spec.summary}",
        "Options": _joined(options),
        "Parameters": f"{info.parameters:,}",
        "Objective": config.loss,
        "Degradation": ", ".join(sorted(made)) or "pairs of files",
        "Started from": start,
        "Optimizer": f"{config.optimizer}, learning rate {config.lr:g}, {config.schedule} schedule",
    }
    if card is not None:
        facts |= {name: f"{value:.4g}" for name, value in card.metrics.items()}
        facts["Versions"] = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    return "\n".join(["Trained with [restore](https://pypi.org/project/restorekit/).", "", *lines])


def _joined(options: Mapping[str, Any], prefix: str = "") -> str:
    """Options as ``key=value``, those of a chain as ``LABEL.key=value``."""
    parts = []
    for key, value in options.items():
        nested = isinstance(value, Mapping)
        parts.append(_joined(value, f"{prefix}{key}.") if nested else f"{prefix}{key}={value}")
    return ", ".join(filter(None, parts))
