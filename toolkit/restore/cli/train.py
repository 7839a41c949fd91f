"""`restore train`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

import typer
from pydantic_core import PydanticUndefined

from restore.cli import console, options
from restore.cli.training_display import progress_display
from restore.config import Source, TrainingConfig
from restore.errors import UsageError
from restore.registry import ModelReference

if TYPE_CHECKING:
    from restore.training import TrainingResult

__all__ = ["FIELDS", "train"]

FIELDS = (
    "model", "loss", "data", "degraded", "source", "val", "val_degraded", "metric", "keep", "degradation",
    "scale", "init", "init_partial", "steps", "batch_size", "accumulate", "patch_size", "lr", "seed",
    "checkpoint_every", "device", "devices", "nodes", "precision", "compile",
)  # fmt: skip
"""Fields of the configuration with an option of their own; the others are set by ``--set``."""

_METAVARS = {
    **dict.fromkeys(("model", "loss", "metric", "degradation"), "NAME"),
    **dict.fromkeys(("data", "degraded", "val", "val_degraded"), "FOLDER"),
    "source": "KEY=VALUE,...",
    "keep": "best:METRIC",
    "init": "MODEL:WEIGHTS",
}
"""What the help calls the values of fields whose types say little."""

DETERMINISTIC = "RESTORE_DETERMINISTIC"
"""Environment variable: 0 lets cuDNN use convolutions whose results differ between runs."""

_SET_HELP = (
    "Set any field of the configuration, or any option of an entry that it names, such as ema=0, "
    "perceptual.layers=pool2:1 or adversary.gate.threshold=0.8. The config.toml of a run lists all fields. "
    "Repeatable."
)

Run = Annotated[
    Path | None,
    typer.Option(help="Folder of the run; new, unless --resume.", show_default="runs/MODEL_LOSS_xSCALE"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint of --run.")]


def _option(name: str) -> inspect.Parameter:
    """The option of a field, with the type, the meaning and the default that it has in the configuration."""
    field = TrainingConfig.model_fields[name]
    meaning = str(field.description)
    flag = f"--{name.replace('_', '-')}"
    is_list = get_origin(field.annotation) is list
    option = typer.Option(
        f"{flag}/--no-{flag.removeprefix('--')}" if field.annotation is bool else flag,
        help=f"{meaning[0].upper()}{meaning[1:]}.{' Repeatable.' if is_list else ''}",
        show_default=_shown(field.default),
        metavar=_METAVARS.get(name),
    )
    given: Any = list[str] if field.annotation == list[Source] else field.annotation
    kind: Any = Annotated[given | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _shown(default: Any) -> str | bool:
    """How the help shows the default of a field, if it has one that says something."""
    if default in (None, []) or default is PydanticUndefined:
        return False
    return ", ".join(default) if isinstance(default, list) else str(default)


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Declare the options of `FIELDS` to typer in place of the command's ``**fields``."""
    own = inspect.signature(command, eval_str=True)
    parameters = [
        parameter for parameter in own.parameters.values() if parameter.kind != parameter.VAR_KEYWORD
    ]
    parameters = [*map(_option, FIELDS), *parameters]
    command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined] # read by typer
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


@_with_fields
def train(
    *,
    run: Run = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the fields.")] = None,
    assign: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=_SET_HELP)] = None,
    resume: Resume = False,
    json: options.Json = False,
    **fields: Any,
) -> None:
    """Train a model on folders of images.

    Writes to the folder of the run: config.toml, inputs.png (what it is trained on), generator.safetensors
    (use it as MODEL:RUN/generator.safetensors), checkpoints/, log.jsonl, TensorBoard events and, with --val,
    samples/. With --keep best:METRIC, also generator-best-METRIC.safetensors.
    Ctrl-C saves first; --resume continues, and with more --steps extends a run.
    """
    from restore import training
    from restore.allocator import keep_memory
    from restore.config import resolve, resolve_again
    from restore.registry import discover

    with training.reported_once():
        registry = discover()
        if not training.is_other_rank():
            console.report_problems(registry)
        fields = {name: None if value == [] else value for name, value in fields.items()}
        given = (config, assign or [], fields, training.shortcuts(registry))
        if not resume:
            settings = resolve(*given)
        elif run is not None:
            settings = resolve_again(run, *given)
        else:
            raise UsageError("`resume` needs `run`: the folder of the run to continue")
        folder = run or _default_folder(settings)

    keep_memory()
    deterministic = os.environ.get(DETERMINISTIC) != "0"
    with progress_display(json=json) as monitor:
        result = training.train(
            settings,
            registry,
            folder,
            resume=resume,
            deterministic=deterministic,
            monitor=monitor,
        )
    _report(result, settings)


def _default_folder(settings: TrainingConfig) -> Path:
    reference = ModelReference.parse(settings.model)
    model = f"{reference.name}-{Path(reference.weights).stem}" if reference.weights else reference.name
    return Path("runs") / f"{model}_{settings.loss}_x{settings.scale}"


def _report(result: TrainingResult, settings: TrainingConfig) -> None:
    if result.skipped >= 0.1 * result.step > 0:
        console.message(
            f"warning: {result.skipped} of {result.step} updates were skipped because a loss or gradient was "
            f"not finite: start a new run with a lower `lr` or with `precision=fp32`"
        )
    if result.interrupted:
        console.message(
            f"stopped at step {result.step}, everything is saved: continue with --resume --run {result.run}"
        )
        raise typer.Exit(130)
    model = ModelReference.parse(settings.model).name
    console.message(f"done: use it as {model}:{result.weights}")
    for metric, file in result.best_weights.items():
        console.message(f"best {metric}, of step {result.best[metric].step}: {model}:{file}")
