"""`restore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from restore.cli import console
from restore.cli.training_display import cockpit
from restore.config import TrainingConfig, TrainingPrecision
from restore.errors import UsageError

__all__ = ["train"]

_RUN_HELP = "Folder of the run; a new one, unless --resume. Left out: runs/MODEL_LOSS_xSCALE."
_SET_HELP = (
    "Set any field of the configuration, or any option of what it names, such as ema=0, "
    "perceptual.layers=pool2:1 or adversary.gate.threshold=0.8. The config.toml of a run has all fields. "
    "Repeatable."
)


def _field(name: str, *flags: str) -> Any:
    """The option for a field of the configuration, with the meaning and the default that it has there."""
    field = TrainingConfig.model_fields[name]
    meaning = str(field.description)
    repeatable = " Repeatable." if field.annotation == list[Path] else ""
    is_given = field.is_required() or field.default in (None, [])
    return typer.Option(
        *flags,
        help=f"{meaning[0].upper()}{meaning[1:]}.{repeatable}",
        show_default=False if is_given else str(field.default),
    )


def train(
    *,
    model: Annotated[str | None, _field("model")] = None,
    loss: Annotated[str | None, _field("loss")] = None,
    data: Annotated[list[Path] | None, _field("data")] = None,
    val: Annotated[list[Path] | None, _field("val")] = None,
    scale: Annotated[int | None, _field("scale")] = None,
    run: Annotated[Path | None, typer.Option(help=_RUN_HELP)] = None,
    init: Annotated[str | None, _field("init")] = None,
    steps: Annotated[int | None, _field("steps")] = None,
    batch_size: Annotated[int | None, _field("batch_size")] = None,
    accumulate: Annotated[int | None, _field("accumulate")] = None,
    patch_size: Annotated[int | None, _field("patch_size")] = None,
    lr: Annotated[float | None, _field("lr")] = None,
    seed: Annotated[int | None, _field("seed")] = None,
    checkpoint_every: Annotated[int | None, _field("checkpoint_every")] = None,
    device: Annotated[str | None, _field("device")] = None,
    devices: Annotated[int | None, _field("devices")] = None,
    nodes: Annotated[int | None, _field("nodes")] = None,
    precision: Annotated[TrainingPrecision | None, _field("precision")] = None,
    compile_: Annotated[bool | None, _field("compile", "--compile/--no-compile")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the fields.")] = None,
    assign: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=_SET_HELP)] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of --run.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Stream the log to stdout, one JSON object a line.")
    ] = False,
) -> None:
    """Train a model on folders of images.

    Everything is written to the folder of the run: config.toml, generator.safetensors (use it as
    MODEL:RUN/generator.safetensors), checkpoints/, log.jsonl, events for TensorBoard and, with --val,
    samples/. Ctrl-C saves first; --resume goes on, and with more --steps makes a run longer.
    """
    from restore import training
    from restore.config import resolve, resolve_again
    from restore.registry import discover

    flags = {
        "model": model,
        "loss": loss,
        "data": data or None,
        "val": val or None,
        "scale": scale,
        "init": init,
        "steps": steps,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "patch_size": patch_size,
        "lr": lr,
        "seed": seed,
        "checkpoint_every": checkpoint_every,
        "device": device,
        "devices": devices,
        "nodes": nodes,
        "precision": precision,
        "compile": compile_,
    }
    with training.said_once():
        registry = discover()
        if not training.is_helper():
            console.tell_problems(registry)
        given = (config, assign or [], flags, registry.losses)
        if not resume:
            settings = resolve(*given)
        elif run is not None:
            settings = resolve_again(run, *given)
        else:
            raise UsageError("--resume needs --run DIR: the folder of the run that is to go on")

    with cockpit(json=json) as monitor:
        outcome = training.train(settings, registry, run or settings.folder, resume=resume, monitor=monitor)
    if outcome.interrupted:
        console.message(
            f"stopped at step {outcome.step}, everything is saved: go on with --resume --run {outcome.run}"
        )
        raise typer.Exit(130)
    console.message(f"done: use it as {settings.model}:{outcome.weights}")
