"""The fields of a training configuration, each with its unit and meaning; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "Source", "TrainingConfig", "TrainingPrecision"]

CONFIG_FILE = "config.toml"
"""The configuration of a run, in its folder."""

WEIGHTS_FILE = "generator.safetensors"
"""The averaged generator, in the folder of a run."""

TrainingPrecision = Literal["auto", "fp32", "bf16", "fp16"]
"""Number format in which networks are trained."""

Decay = Annotated[float, Field(ge=0, lt=1)]


def _split(value: Any) -> Any:
    """Names may be joined by commas, as in ``psnr,ssim``."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [name.strip() for item in value for name in item.split(",")]
    return value


Names = Annotated[list[str], BeforeValidator(_split)]


class Source(BaseModel):
    """One of several sources of training images, as a table or in one line of text.

    >>> Source.model_validate("data=HR,degraded=LR,weight=3").weight
    3.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: list[Path] = Field(min_length=1, description="folders of training images")
    degraded: list[Path] = Field([], description="folders of their degraded images, one for each of `data`")
    degradation: str | None = Field(
        None, description="degradation that makes the inputs, without `degraded`; none: that of the run"
    )
    degradation_options: dict[str, Any] = Field({}, description="options of `degradation`")
    weight: float = Field(1.0, gt=0, description="share of the samples, relative to the other sources")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Accept ``key=value,key=value``; folders may be given more than once."""
        if not isinstance(value, str):
            return value
        fields: dict[str, Any] = {}
        for part in value.split(","):
            key, equals, text = part.partition("=")
            if not equals:
                raise ValueError("a source in one line is KEY=VALUE,KEY=VALUE, such as data=HR,degraded=LR")
            if key in {"data", "degraded"}:
                fields.setdefault(key, []).append(text)
            else:
                fields[key] = text
        return fields


class TrainingConfig(BaseModel):
    """All settings that decide the result of a run. Stored as ``config.toml`` in the folder of the run.

    >>> TrainingConfig(loss="e", data=["photos"], steps=500).warmup
    50
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(
        "enhancenet",
        description="name of a model; NAME:FILE for one that is built from a file, such as spandrel",
    )
    loss: str = Field(description="name of an objective, or of a single loss")
    data: list[Path] = Field([], description="folders of training images, searched recursively")
    degraded: list[Path] = Field(
        [],
        description="folders of their degraded images, one for each of `data`; none: made by `degradation`",
    )
    source: list[Source] = Field(
        [],
        description="in place of `data`: one of several sources, such as data=HR,degraded=LR,weight=3; keys "
        "are data, degraded, degradation and weight",
    )
    val: list[Path] = Field([], description="folders of validation images; none: no validation")
    val_degraded: list[Path] = Field(
        [], description="folders of their degraded images, one for each of `val`; none: made by `degradation`"
    )
    metric: Names = Field(
        ["psnr"],
        min_length=1,
        description="metrics to measure in each validation; losses can be used as metrics",
    )
    keep: Names = Field(
        [],
        description="weights to keep besides the last: best:METRIC keeps those with the best mean of a "
        "metric over all folders of `val`",
    )
    patience: int = Field(
        0,
        ge=0,
        description="validations in a row without a better value of the metrics of `keep`, or else of the "
        "first of `metric`, after which the run stops; 0: never",
    )
    scale: int = Field(4, ge=1, description="target pixels per input pixel, along one side")
    init: str | None = Field(None, description="NAME[:WEIGHTS] to start from; none: fresh weights")
    init_partial: bool = Field(False, description="take over the tensors of `init` that fit, and list them")

    steps: int = Field(100_000, ge=1, description="updates of the generator")
    batch_size: int = Field(16, ge=1, description="images in a batch, over all processes and parts")
    accumulate: int = Field(1, ge=1, description="parts into which a batch is split to save memory")
    patch_size: int | None = Field(
        None, ge=1, description="side of the square target in pixels; none: what the objective asks for"
    )
    optimizer: str = Field("adam", description="name of the optimizer of all networks")
    schedule: str = Field("cosine", description="name of the schedule of the learning rate after the warm-up")
    lr: float = Field(1e-4, gt=0, description="peak learning rate")
    lr_discriminator: float | None = Field(
        None, gt=0, description="peak learning rate of the discriminator; none: `lr`"
    )
    rates: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {},
        description="pattern of names of the generator's parameters, such as 'tail.*' -> factor of their "
        "learning rate; 0 freezes them",
    )
    warmup: int = Field(
        default_factory=lambda given: min(100, given["steps"] // 10),
        ge=0,
        description="steps over which the learning rate rises from zero; by default 100, at most a tenth of "
        "`steps`",
    )
    warmup_discriminator: int | None = Field(
        None, ge=0, description="the same for discriminators; none: `warmup`"
    )
    ema: Decay = Field(0.999, description="decay of the generator's moving average; 0: none")
    clip: float = Field(1.0, ge=0, description="largest gradient norm of each network; 0: no limit")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of initialization, crops and augmentation")

    augmentations: Names = Field(
        ["turn"], description="names of the augmentations of the patches, in their order"
    )
    degradation: str = Field(
        "bicubic",
        description="degradation that makes the inputs, or a chain such as blur+bicubic+jpeg",
    )

    model_options: dict[str, Any] = Field({}, description="options of the model")
    degradation_options: dict[str, Any] = Field({}, description="options of the degradation")
    metric_options: dict[str, dict[str, Any]] = Field(
        {}, description="options of the metrics of a validation: name -> options"
    )
    augmentation_options: dict[str, dict[str, Any]] = Field(
        {}, description="options of the augmentations: name -> options"
    )
    optimizer_options: dict[str, Any] = Field({}, description="options of the optimizer")
    schedule_options: dict[str, Any] = Field({}, description="options of the schedule")
    feature_shift: int = Field(
        0,
        ge=0,
        description="pixels by which images are shifted at most, in another way at each step, before losses "
        "compare features of a network, whose poolings then lie on no fixed grid of the image",
    )
    terms: dict[str, dict[str, Any]] = Field(
        {}, description="changes to the objective's terms: label -> weight and options"
    )
    adversary: dict[str, Any] = Field(
        {}, description="changes to the objective's adversary, or to each of several by its label"
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="device to train on: auto, cpu, cuda, mps"
    )
    devices: int | None = Field(
        None,
        ge=1,
        description="processes on each machine, one per device; none: as torchrun or srun started, or 1",
    )
    nodes: int | None = Field(None, ge=1, description="machines; none: as torchrun or srun started, or 1")
    precision: TrainingPrecision = Field(
        "auto", description="number format; auto: bf16 where the processor has it, else fp32"
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
    def settings(self) -> dict[str, Any]:
        """Everything but the folders of images, which can move and differ from machine to machine."""
        values = self.model_dump(mode="json", exclude={"data", "degraded", "val", "val_degraded"})
        for source in values["source"]:
            del source["data"], source["degraded"]
        return values

    @property
    def sources(self) -> list[Source]:
        """The sources of the training images: those of `source`, or a single one of `data`."""
        return self.source or [Source(data=self.data, degraded=self.degraded)]

    def degradation_of(self, source: Source) -> tuple[str, Mapping[str, Any]]:
        """The degradation of a source without `degraded`, and its options: its own, or those of the run."""
        if source.degradation is None:
            return self.degradation, self.degradation_options
        return source.degradation, source.degradation_options
