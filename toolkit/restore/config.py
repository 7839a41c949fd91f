"""The configuration of a training run: every field with unit and meaning, unknown keys refused.

Values come from a TOML file (`--config`), from `--set key=value` and from options of their own
(`--lr`), the later ones winning; naming one key in the last two ways at once is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from restore.errors import OptionsError, nearest
from restore.files import atomic_file
from restore.interfaces import parse

__all__ = ["Precision", "TrainingConfig", "assignments", "read_toml", "resolve", "write_toml"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class TrainingConfig(BaseModel):
    """All that decides a run's result. Written to ``config.toml`` in the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field("enhancenet", description="name of a model")
    loss: str = Field("e", description="name of an objective, or of a single loss")
    data: list[Path] = Field(description="folders of training images, searched recursively")
    val: list[Path] = Field([], description="folders of validation images; none: no validation")
    scale: int = Field(4, ge=1, description="target pixels per input pixel, along one side")
    init: str | None = Field(None, description="NAME[:WEIGHTS] to begin from; none: a fresh network")

    steps: int = Field(100_000, ge=1, description="updates of the generator")
    batch_size: int = Field(16, ge=1, description="images in a batch, over all processes")
    patch_size: int | None = Field(
        None, ge=1, description="side of the square target in pixels; none: what the objective asks for"
    )
    lr: float = Field(1e-4, gt=0, description="learning rate of Adam at its highest")
    lr_final: float = Field(0.01, ge=0, le=1, description="learning rate at the end, as a share of `lr`")
    warmup: int = Field(100, ge=0, description="steps over which the learning rate rises from zero")
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of Adam's two averages")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the generator's moving average; 0: none")
    clip: float = Field(1.0, ge=0, description="largest norm of the generator's gradient; 0: no limit")
    seed: int = Field(0, ge=0, description="of initialisation, crops and augmentation")

    augment: bool = Field(True, description="flip and turn the patches by quarters")
    degradation: str = Field("bicubic", description="name of the degradation that makes the inputs")

    model_options: dict[str, Any] = Field({}, description="options of the model")
    degradation_options: dict[str, Any] = Field({}, description="options of the degradation")
    terms: dict[str, dict[str, Any]] = Field(
        {}, description="changes to the objective's terms: loss -> weight and options"
    )
    adversary: dict[str, Any] = Field(
        {}, description="changes to the objective's adversary: weight and options of the discriminator"
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to train")
    devices: int = Field(1, ge=1, description="processes, one a device")
    precision: Precision = Field("auto", description="auto: bf16 where the processor has it, else fp32")
    workers: int = Field(1, ge=0, description="processes that load images; 0: the training process itself")
    cache_gib: float = Field(2.0, ge=0, description="memory for decoded images, in GiB over all workers")

    log_every: int = Field(10, ge=1, description="steps between two lines of log.jsonl")
    validate_every: int = Field(500, ge=1, description="steps between two validations")
    checkpoint_every: int = Field(500, ge=1, description="steps between two checkpoints")


def resolve(
    file: Path | None, assigned: Iterable[str], flags: Mapping[str, Any], losses: Iterable[str] = ()
) -> TrainingConfig:
    """Merge a file, `key=value` assignments and options of the command line into one configuration.

    Args:
        file: a TOML file, or none.
        assigned: ``key=value`` with dots for nested keys; values are read as TOML, and as plain text
            where they are not TOML. A key that begins with the name of a loss means that term:
            ``mse.luma=true`` is ``terms.mse.luma=true``.
        flags: options that the user gave; ``None`` means not given.
        losses: names of losses, for that short form.

    Raises:
        OptionsError: an unknown key, a wrong value, or one key given twice.
    """
    values = read_toml(file) if file else {}
    given = {key: value for key, value in flags.items() if value is not None}
    names = set(losses)
    for key, value in assignments(assigned):
        path = key.split(".")
        if path[0] in given:
            flag = path[0].replace("_", "-")
            raise OptionsError(f"'{path[0]}' is given twice: by --{flag} and by --set {key}; keep one")
        if path[0] in names and path[0] not in TrainingConfig.model_fields:
            path = ["terms", *path]
        _assign(values, path, value)
    values.update(given)
    hidden = set(values) - set(TrainingConfig.model_fields)
    if hidden:
        key = sorted(hidden)[0]
        known = [*TrainingConfig.model_fields, *names]
        raise OptionsError(
            f"the training configuration has no '{key}'.{nearest(key, known)} Known: {', '.join(known)}"
        )
    return parse(TrainingConfig, values, "the training configuration")


def assignments(pairs: Iterable[str]) -> list[tuple[str, Any]]:
    """Split ``key=value`` and read the values as TOML, or as plain text.

    Raises:
        OptionsError: there is no ``=``, or no key before it.
    """
    result = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise OptionsError(f"--set takes key=value, but got '{pair}'")
        result.append((key.strip(), _value(text.strip())))
    return result


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        OptionsError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionsError(f"cannot read the configuration '{file}': {error}") from error


def write_toml(config: TrainingConfig, file: Path) -> None:
    """Write `config`, all fields resolved; keys without a value are left out."""
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    with atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for index, part in enumerate(path[:-1]):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise OptionsError(
                f"'{'.'.join(path[: index + 1])}' is a value, so '{'.'.join(path)}' cannot be set"
            )
    values[path[-1]] = value
