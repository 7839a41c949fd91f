"""The options that commands share, each with its flag and help text in one place.

A command uses one as the annotation of a parameter, and chooses the default itself::

    def export(model: options.ModelArgument, *, scale: options.Scale = None, json: options.Json = False): ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any

import typer

from restore.choices import Engine as EngineName
from restore.choices import Precision as PrecisionName
from restore.errors import UsageError, escaped

__all__ = [
    "Device",
    "Engine",
    "Files",
    "Json",
    "Metrics",
    "Model",
    "ModelArgument",
    "Models",
    "Precision",
    "Recursive",
    "Scale",
    "Set",
    "Tile",
    "by_name",
    "out",
]

Model = Annotated[
    str, typer.Option("--model", metavar="NAME[:WEIGHTS]", help="Use this model; see 'restore list'.")
]
"""One model, for a command that has a default."""

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        metavar="NAME[:WEIGHTS]",
        help="Add a model; see 'restore list'. Repeatable.",
        show_default=False,
    ),
]
"""At least one model."""

ModelArgument = Annotated[
    str, typer.Argument(help="Model to use, NAME or NAME:WEIGHTS; see 'restore list'.", show_default=False)
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

Tile = Annotated[
    str,
    typer.Option("--tile", metavar="auto|off|PIXELS", help="Set the longest side of a tile in input pixels."),
]
"""Size of tiles."""

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", metavar="NAME", help="Add a metric or a loss. Repeatable.", show_default="psnr, ssim"
    ),
]
"""Metrics, and losses as metrics; `None` means PSNR and SSIM."""

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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
"""Results for programs instead of text."""


def by_name(assigned: Iterable[str] | None, known: Collection[str]) -> dict[str, dict[str, Any]]:
    """The values of `Set` as name -> option -> value.

    Args:
        assigned: texts such as ``jpeg.quality=30``.
        known: the names that the command uses.

    Raises:
        UsageError: a text has another form, or another name.

        >>> by_name(["jpeg.quality=30", "jpeg.rounds=2"], {"jpeg", "psnr"})
        {'jpeg': {'quality': 30, 'rounds': 2}}
    """
    from restore.config import assignments

    options: dict[str, dict[str, Any]] = {}
    for key, value in assignments(assigned or ()):
        name = max((name for name in known if key.startswith(f"{name}.")), key=len, default=None)
        if name is None:
            raise UsageError(
                f"`set` takes NAME.OPTION=VALUE, but got '{escaped(key)}'",
                hint=f"use one of the names {', '.join(sorted(known))}",
            )
        options.setdefault(name, {})[key.removeprefix(f"{name}.")] = value
    return options


def out(help: str, **settings: Any) -> Any:  # noqa: A002 (typer's own name)
    """The option ``-o`` / ``--out``; what may be written differs between commands.

    Args:
        help: what is written, and where without the option.
        settings: more arguments of `typer.Option`.
    """
    return typer.Option("-o", "--out", metavar="PATH", help=help, **settings)
