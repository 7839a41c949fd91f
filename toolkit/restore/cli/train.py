"""`restore train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console
from restore.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from restore.config import TrainingConfig
    from restore.registry import Registry

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
    patch_size: Annotated[int | None, typer.Option(help="Side of the square target in pixels.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of initialisation, crops and augmentation.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes, one a device.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the fields.")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any field; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint of --run.")] = False,
    json: Annotated[bool, typer.Option(help="Stream the log as JSON, one object a line.")] = False,
) -> None:
    """Train a model on folders of images.

    Everything is written to the folder of the run: config.toml, generator.safetensors (use it as
    MODEL:RUN/generator.safetensors), checkpoints/ and log.jsonl. Ctrl-C saves first; --resume goes on.
    """
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
        "patch_size": patch_size,
        "lr": lr,
        "seed": seed,
        "device": device,
        "devices": devices,
    }
    registry = discover()
    console.tell_problems(registry)
    if resume:
        settings, folder = _resumed(run, config, assign or [], flags, registry)
    else:
        settings, folder = _fresh(run, config, assign or [], flags, registry)
    _run(settings, registry, folder, resume=resume, json=json)


def _run(settings: TrainingConfig, registry: Registry, run: Path, *, resume: bool, json: bool) -> None:
    from restore.report import training_line
    from restore.training import Monitor
    from restore.training import train as start

    def log(line: dict[str, Any]) -> None:
        console.emit(line) if json else console.message(training_line(line))

    outcome = start(settings, registry, run, resume=resume, monitor=Monitor(console.message, log))
    if outcome.interrupted:
        console.message(
            f"stopped at step {outcome.step}, everything is saved: go on with --resume --run {run}"
        )
        raise typer.Exit(130)
    console.message(f"done: use it as {settings.model}:{outcome.weights}")


def _fresh(
    run: Path | None, config: Path | None, assign: list[str], flags: dict[str, Any], registry: Registry
) -> tuple[TrainingConfig, Path]:
    from restore.config import resolve

    settings = resolve(config, assign, flags, registry.losses)
    folder = run or Path("runs") / f"{settings.model}_{settings.loss}_x{settings.scale}"
    if folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"the folder '{folder}' is not empty: go on with --resume, or give another --run")
    return settings, folder


def _resumed(
    run: Path | None, config: Path | None, assign: list[str], flags: dict[str, Any], registry: Registry
) -> tuple[TrainingConfig, Path]:
    """The configuration that the run was started with; what is given again must agree with it."""
    from restore.config import resolve

    if run is None:
        raise UsageError("--resume needs --run DIR: the folder of the run that is to go on")
    file = run / "config.toml"
    if not file.is_file():
        raise TrainingError(f"there is no run to resume in '{run}': it has no config.toml")
    settings = resolve(file, [], {})
    again = (
        resolve(config or file, assign, flags, registry.losses)
        if config or assign or any(value is not None for value in flags.values())
        else settings
    )
    changed = [key for key, value in again if value != getattr(settings, key)]
    if changed and not config:
        key = changed[0]
        raise UsageError(
            f"a resumed run keeps its settings, but '{key}' is {getattr(again, key)!r} here and "
            f"{getattr(settings, key)!r} in '{file}': leave it away, or start a new run with --init"
        )
    return settings, run
