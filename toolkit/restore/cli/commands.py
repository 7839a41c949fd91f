"""The commands with the summary of each. A command is imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from restore.cli.errors import Command

__all__ = ["COMMANDS", "Deferred", "Group"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "upscale": ("restore.cli.upscale:upscale", "Enlarge photos."),
    "clean": ("restore.cli.clean:clean", "Remove noise and compression from photos."),
    "serve": ("restore.cli.serve:serve", "Restore photos on a web page or through an HTTP API."),
    "prepare": ("restore.cli.prepare:prepare", "Make clean training images from photos."),
    "degrade": ("restore.cli.degrade:degrade", "Make degraded test images from a folder of photos."),
    "train": ("restore.cli.train:train", "Train a model on folders of images."),
    "evaluate": ("restore.cli.evaluate:evaluate", "Measure models against target images."),
    "reproduce": (
        "restore.cli.reproduce:reproduce",
        "Print the tables of a paper with measured values.",
    ),
    "compare": (
        "restore.cli.compare:compare",
        "Show the results of several models on one image.",
    ),
    "blend": ("restore.cli.blend:blend", "Average weights of one network."),
    "export": ("restore.cli.export:export", "Export a model as a graph for other programs."),
    "publish": ("restore.cli.publish:publish", "Describe a run as a record for OpenModelDB."),
    "list": ("restore.cli.show:list_entries", "List models, losses, metrics and all other entries."),
    "info": ("restore.cli.show:info", "Describe an entry, an image or a weights file."),
    "doctor": ("restore.cli.doctor:doctor", "Show versions, devices, plugins, caches and any problems."),
    "plugin": ("restore.cli.plugin:app", "Create or check a plugin."),
}
"""Name -> ``module:function`` (or ``module:app`` for a group) and the first line of its help."""


class Group(TyperGroup):
    """A group of `COMMANDS`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (home, summary) in COMMANDS.items():
            self.add_command(Deferred(name, home, summary))


class Deferred(TyperCommand):
    """Stands for a command in lists, and gives way to it when it is called."""

    def __init__(self, name: str, home: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self.home = home

    def load(self) -> Any:
        """Import the command."""
        module, _, attribute = self.home.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(self.name, cls=Command)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = self.name
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Begin a call, of the command itself."""
        return self.load().make_context(info_name, args, parent, **extra)
