"""The options that commands share, each with its flag and help text in one place.

A command uses one as the annotation of a parameter, and chooses the default itself::

    def export(model: options.ModelArgument, *, scale: options.Scale = None, json: options.Json = False): ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from restore.choices import Engine as EngineName
from restore.choices import Precision as PrecisionName
from restore.errors import UsageError, escaped

__all__ = [
    "ChosenModel",
    "Cluster",
    "Computing",
    "Device",
    "Engine",
    "Files",
    "Json",
    "MaxPixels",
    "Metrics",
    "Model",
    "ModelArgument",
    "Models",
    "Precision",
    "Recursive",
    "Scale",
    "SelfEnsemble",
    "Set",
    "Tile",
    "by_name",
    "labels_of",
    "options_of_model",
    "out",
    "sole_label",
]

Model = Annotated[
    str, typer.Option("--model", metavar="NAME[:WEIGHTS][+...]", help="Use a model; see 'restore list'.")
]
"""One model, for a command that has a default."""

ChosenModel = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="auto|NAME[:WEIGHTS][+...]",
        help="Use a model, see 'restore list'; auto chooses one for each image.",
    ),
]
"""One model, or ``auto``."""

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        metavar="auto|NAME[:WEIGHTS][+...]",
        help="Add a model, see 'restore list', or auto, which chooses one for each image. Repeatable.",
        show_default=False,
    ),
]
"""At least one model, or ``auto``."""

ModelArgument = Annotated[
    str,
    typer.Argument(help="NAME[:WEIGHTS], or a chain A+B; see 'restore list'.", show_default=False),
]
"""One model, as the subject of a command."""

Scale = Annotated[
    int | None,
    typer.Option(
        "--scale",
        min=1,
        help="Set the output pixels per input pixel along one side.",
        show_default="the model's own, usually 4",
    ),
]
"""Integer scale of a model; `None` is the model's own."""

Precision = Annotated[
    PrecisionName,
    typer.Option("--precision", help="Set the number format; auto is bf16 where the hardware has it."),
]
"""Number format in which networks multiply."""

Device = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", help="Set the device: auto, cpu, cuda, cuda:N or mps."),
]
"""Device that runs networks."""

Engine = Annotated[
    EngineName, typer.Option("--engine", help="Set the inference library; all but torch run on the CPU.")
]
"""Library that runs networks."""

SelfEnsemble = Annotated[
    bool,
    typer.Option(
        "--self-ensemble", help="Average the results for eight flips and rotations (8 times as long)."
    ),
]
"""The geometric self-ensemble, see `restore.inference.ensemble`."""


@dataclass(frozen=True, kw_only=True)
class Computing:
    """How the networks of a command run; see `restore.cli.grouping`."""

    precision: Precision = "auto"
    device: Device = "auto"
    engine: Engine = "torch"
    self_ensemble: SelfEnsemble = False


Tile = Annotated[
    str,
    typer.Option("--tile", metavar="auto|off|PIXELS", help="Set the longest side of a tile in input pixels."),
]
"""Size of tiles."""


def _split(names: list[str] | None) -> list[str] | None:
    """Names may be joined by commas, as in the configuration of a training."""
    return names and [name.strip() for joined in names for name in joined.split(",")]


Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Add a metric or a loss. Repeatable.",
        show_default="psnr, ssim",
        callback=_split,
    ),
]
"""Metrics, and losses as metrics; `None` means PSNR and SSIM."""

MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Accept images of up to this many pixels.")
]

Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")]

Files = Annotated[
    list[str],
    typer.Argument(help="Image files, folders or globs; - is standard input.", show_default=False),
]
"""Images to process."""

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME.OPTION=VALUE", help="Set an option of NAME, see 'restore info'. Repeatable."
    ),
]
"""Options of the entries that a command uses."""

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS|local:N",
        help="Run on a Dask cluster, or on N new processes here.",
        show_default="this process",
    ),
]
"""Where images are worked on; `None` is this process."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
"""Results for programs instead of text."""


def by_name(
    assigned: Iterable[str] | None, known: Collection[str], default: str = ""
) -> dict[str, dict[str, Any]]:
    """The values of `Set` as name -> option -> value.

    Args:
        assigned: texts such as ``jpeg.quality=30``.
        known: the names that the command uses.
        default: the name that an option without one belongs to, if any.

    Raises:
        UsageError: a text has another form, or another name.

        >>> by_name(["jpeg.quality=30", "jpeg.rounds=2"], {"jpeg", "psnr"})
        {'jpeg': {'quality': 30, 'rounds': 2}}
    """
    from restore.config import assignments
    from restore.registry import owner_of

    options: dict[str, dict[str, Any]] = {}
    for key, value in assignments(assigned or ()):
        name = owner_of(key, known)
        if not name and default and "." not in key:
            options.setdefault(default, {})[key] = value
            continue
        if not name:
            raise UsageError(
                f"`set` takes NAME.OPTION=VALUE, but got '{escaped(key)}'",
                hint=f"use one of the names {', '.join(sorted(known))}",
            )
        options.setdefault(name, {})[key.removeprefix(f"{name}.")] = value
    return options


def labels_of(models: Iterable[str]) -> set[str]:
    """The names under which options of models are given, those of the parts of chains included."""
    from restore.registry import ModelReference

    return {label for model in models for label in ModelReference.parse(model).labels}


def sole_label(models: Sequence[str]) -> str:
    """The name of the model if there is a single one, which is no chain; else an empty text."""
    labels = labels_of(models)
    return labels.pop() if len(models) == len(labels) == 1 else ""


def options_of_model(model: str, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The part of `chosen`, from `by_name`, that belongs to a model, as ``LABEL.OPTION`` -> value.

    >>> options_of_model("ffdnet:jpeg+bicubic", {"ffdnet": {"quality": 30}, "psnr": {"luma": True}})
    {'ffdnet.quality': 30}
    """
    from restore.registry import ModelReference

    labels = ModelReference.parse(model).labels
    return {f"{label}.{key}": value for label in labels for key, value in chosen.get(label, {}).items()}


def out(help: str, **settings: Any) -> Any:  # noqa: A002 (typer's own name)
    """The option ``-o`` / ``--out``; what may be written differs between commands.

    Args:
        help: what is written, and where without the option.
        settings: more arguments of `typer.Option`.
    """
    return typer.Option("-o", "--out", metavar="PATH", help=help, **settings)
