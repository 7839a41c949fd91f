"""The command line: parses, calls, prints. No logic, and no torch before a command needs it."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version as installed_version

import typer

from restore.cli import (
    blend,
    compare,
    console,
    doctor,
    errors,
    evaluate,
    export,
    plugin,
    prepare,
    reproduce,
    show,
    train,
    upscale,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="restore",
    help="Image restoration in which every model, loss and discriminator is a plugin.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"restore {installed_version('restorekit')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    debug: bool = typer.Option(False, "--debug", help="Show a traceback when something fails."),
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    console.state.debug = debug


app.command("upscale", cls=errors.Command)(upscale.upscale)
app.command("prepare", cls=errors.Command)(prepare.prepare)
app.command("train", cls=errors.Command)(train.train)
app.command("evaluate", cls=errors.Command)(evaluate.evaluate)
app.command("reproduce", cls=errors.Command)(reproduce.reproduce)
app.command("compare", cls=errors.Command)(compare.compare)
app.command("blend", cls=errors.Command)(blend.blend)
app.command("export", cls=errors.Command)(export.export)
app.command("list", cls=errors.Command)(show.list_entries)
app.command("info", cls=errors.Command)(show.info)
app.command("doctor", cls=errors.Command)(doctor.doctor)
app.add_typer(plugin.app, name="plugin")


def main() -> None:
    """Entry point of the program: every error becomes one sentence and an exit code; Ctrl-C exits 130."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no reason to stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except BrokenPipeError:
        # The reader of a pipe went away: no message, and none from Python's own flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # nobody is shown a bare traceback
        if console.state.debug:
            raise
        console.error(error)
        sys.exit(errors.exit_code(error))
