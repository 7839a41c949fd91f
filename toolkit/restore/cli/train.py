"""`restore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.cli import console
from restore.cli.cockpit import cockpit
from restore.config import Precision
from restore.errors import UsageError

__all__ = ["train"]

_RUN_HELP = "Folder of the run; a new one, unless --resume. Left out: runs/MODEL_LOSS_xSCALE."


def train(
    *,
    model: Annotated[str | None, typer.Option(help="Name of a model.")] = None,
    loss: Annotated[str | None, typer.Option(help="Name of an objective, or of a single loss.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="Folder of training images; repeatable.")] = None,
    val: Annotated[list[Path] | None, typer.Option(help="Folder of validation images; repeatable.")] = None,
    scale: Annotated[int | None, typer.Option(help="Target pixels per input pixel along one side.")] = None,
    run: Annotated[Path | None, typer.Option(help=_RUN_HELP)] = None,
    init: Annotated[str | None, typer.Option(help="NAME[:WEIGHTS] to begin from.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates of the generator.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a batch, over all devices.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Parts into which a batch is cut, to save memory.")
    ] = None,
    patch_size: Annotated[int | None, typer.Option(help="Side of the square target in pixels.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of initialisation, crops and augmentation.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between two checkpoints.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[int | None, typer.Option(help="Devices to train on, in each machine.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines to train on.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="auto: bf16 where the hardware has it.")] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Compile the networks with torch.compile.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the fields.")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any field; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint of --run.")] = False,
    json: Annotated[bool, typer.Option(help="Stream the log as JSON, one object a line.")] = False,
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
