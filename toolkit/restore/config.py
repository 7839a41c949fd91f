"""The configuration of a training run: every field with unit and meaning, unknown keys refused.

Values come from a TOML file (`--config`), from `--set key=value` and from options of their own
(`--lr`). The last two win over the file; naming one key in both ways is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from restore.errors import OptionsError, UsageError, nearest
from restore.files import atomic_file
from restore.interfaces import parse

__all__ = [
    "CONFIG_FILE",
    "TrainingConfig",
    "TrainingPrecision",
    "assignments",
    "read_toml",
    "resolve",
    "resolve_again",
    "write_toml",
]

CONFIG_FILE = "config.toml"
"""In the folder of a run: its configuration."""

TrainingPrecision = Literal["auto", "fp32", "bf16", "fp16"]

_FREE = {"log_every", "shares_every", "validate_every", "checkpoint_every", "workers", "cache_gib"}
"""Fields that a resumed run may change, because they cannot change what is learnt."""

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainingConfig(BaseModel):
    """All that decides a run's result. Written to ``config.toml`` in the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field("enhancenet", description="name of a model")
    loss: str = Field(description="name of an objective, or of a single loss")
    data: list[Path] = Field(min_length=1, description="folders of training images, searched recursively")
    val: list[Path] = Field([], description="folders of validation images; none: no validation")
    scale: int = Field(4, ge=1, description="target pixels per input pixel, along one side")
    init: str | None = Field(None, description="NAME[:WEIGHTS] to begin from; none: a fresh network")

    steps: int = Field(100_000, ge=1, description="updates of the generator")
    batch_size: int = Field(16, ge=1, description="images in a batch, over all processes and parts")
    accumulate: int = Field(
        1, ge=1, description="parts into which a batch is cut, so that it needs less memory"
    )
    patch_size: int | None = Field(
        None, ge=1, description="side of the square target in pixels; none: what the objective asks for"
    )
    optimizer: Literal["adam", "soap"] = Field(
        "adam",
        description="what turns gradients into updates; 'soap' is Adam in the eigenbasis of each layer's "
        "gradients: costlier steps, fewer of them",
    )
    lr: float = Field(1e-4, gt=0, description="learning rate at its highest")
    lr_discriminator: float | None = Field(
        None, gt=0, description="the same of the discriminator; none: `lr`"
    )
    lr_final: float = Field(0.01, ge=0, le=1, description="learning rate at the end, as a share of `lr`")
    warmup: int = Field(
        default_factory=lambda given: min(100, given["steps"] // 10),
        ge=0,
        description="steps over which the learning rate rises from zero; left out: 100, but at most a tenth "
        "of `steps`",
    )
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="decay of the optimiser's two averages")
    ema: Decay = Field(0.999, description="decay of the generator's moving average; 0: none")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient of each network; 0: no limit")
    seed: int = Field(0, ge=0, lt=2**63, description="of initialisation, crops and augmentation")

    augment: bool = Field(True, description="flip and turn the patches by quarters")
    recolor: bool = Field(
        False, description="exchange the colour channels of the patches, every order as often: variety"
    )
    degradation: str = Field("bicubic", description="name of the degradation that makes the inputs")

    model_options: dict[str, Any] = Field({}, description="options of the model")
    degradation_options: dict[str, Any] = Field({}, description="options of the degradation")
    terms: dict[str, dict[str, Any]] = Field(
        {}, description="changes to the objective's terms: loss -> weight and options"
    )
    adversary: dict[str, Any] = Field(
        {}, description="changes to the objective's adversary: weight and options of the discriminator"
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="where to train: auto, cpu, cuda, mps"
    )
    devices: int | None = Field(
        None,
        ge=1,
        description="processes on each machine, one a device; none: as torchrun or srun started, or 1",
    )
    nodes: int | None = Field(None, ge=1, description="machines; none: as torchrun or srun started, or 1")
    precision: TrainingPrecision = Field(
        "auto", description="auto: bf16 where the processor has it, else fp32"
    )
    compile: bool = Field(False, description="compile the networks with torch.compile")
    workers: int = Field(1, ge=0, description="processes that load images; 0: the training process itself")
    cache_gib: float = Field(2.0, ge=0, description="memory for decoded images, in GiB on each machine")

    log_every: int = Field(10, ge=1, description="steps between two lines of log.jsonl")
    shares_every: int = Field(
        100, ge=0, description="steps between two measurements of each term's share of the gradient; 0: never"
    )
    validate_every: int = Field(500, ge=1, description="steps between two validations")
    checkpoint_every: int = Field(500, ge=1, description="steps between two checkpoints")

    @property
    def folder(self) -> Path:
        """Where the run is written unless the user names a folder."""
        return Path("runs") / f"{self.model}_{self.loss}_x{self.scale}"


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
        OptionsError: an unknown key, a wrong value, or one key given both as a flag and as an assignment.
    """
    return _resolve({}, file, assigned, flags, losses)


def resolve_again(
    run: Path,
    file: Path | None,
    assigned: Iterable[str],
    flags: Mapping[str, Any],
    losses: Iterable[str] = (),
) -> TrainingConfig:
    """The configuration with which `run` goes on: its own, which whatever is given again has to agree with.

    Only what cannot change the result so far may differ: `steps`, upwards, and how often something is
    logged, measured or saved, `workers` and `cache_gib`.

    Args:
        run: folder of the run.
        file: see `resolve`, as the rest.
        assigned: like ``--set``.
        flags: options of the command line.
        losses: names of losses.

    Raises:
        OptionsError: as for `resolve`.
        UsageError: there is no run in this folder, another setting differs from that of the run, or it would
            become shorter.
    """
    own = run / CONFIG_FILE
    if not own.is_file():
        raise UsageError(f"there is no run to resume in '{run}', which has no {CONFIG_FILE}: check --run")
    begun = resolve(own, [], {})
    wanted = _resolve(begun.model_dump(mode="json"), file, assigned, flags, losses)
    before, after = begun.model_dump(mode="json"), wanted.model_dump(mode="json")
    if wanted.steps < begun.steps:
        raise UsageError(
            f"a resumed run can be made longer, not shorter, but 'steps' is {wanted.steps} here and "
            f"{begun.steps} in '{own}': leave it away, or give a larger number"
        )
    for key in sorted(after.keys() - _FREE - {"steps"}):
        if after[key] != before[key]:
            raise UsageError(
                f"a resumed run keeps its settings, but '{key}' is {after[key]!r} here and {before[key]!r} "
                f"in '{own}': leave it away, or start a new run with --init"
            )
    return wanted


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


def _resolve(
    values: dict[str, Any],
    file: Path | None,
    assigned: Iterable[str],
    flags: Mapping[str, Any],
    losses: Iterable[str],
) -> TrainingConfig:
    """`values`, which are changed in place, with everything else on top of them."""
    if file:
        _merge(values, read_toml(file))
    given = {key: value for key, value in flags.items() if value is not None}
    names = set(losses) - set(TrainingConfig.model_fields)
    for key, value in assignments(assigned):
        path = key.split(".")
        if path[0] in given:
            flag = path[0].replace("_", "-")
            raise OptionsError(f"'{path[0]}' is given twice: by --{flag} and by --set {key}; keep one")
        path = ["terms", *path] if path[0] in names else path
        if path[0] == "terms" and len(path) > 3:
            raise OptionsError(
                f"'{key}' reaches into an option that is set as a whole: write it as in "
                f"--set perceptual.layers=pool2:0.2,pool5:0.02"
            )
        _assign(values, path, value)
    values.update(given)
    unknown = sorted(set(values) - set(TrainingConfig.model_fields))
    if unknown:
        known = [*TrainingConfig.model_fields, *sorted(names)]
        raise OptionsError(
            f"the training configuration has no '{unknown[0]}'.{nearest(unknown[0], known)} "
            f"Known: {', '.join(known)}"
        )
    for key in ("loss", "data"):
        if key not in values:
            meaning = TrainingConfig.model_fields[key].description
            raise OptionsError(f"a run needs --{key}: {meaning}; see 'restore train --help'")
    return parse(TrainingConfig, values, "the training configuration")


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


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
