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
    evaluate,
    export,
    plugin,
    prepare,
    reproduce,
    show,
    train,
    upscale,
)
from restore.errors import RestoreError, in_one_line

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


app.command("upscale")(upscale.upscale)
app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("reproduce")(reproduce.reproduce)
app.command("compare")(compare.compare)
app.command("blend")(blend.blend)
app.command("export")(export.export)
app.command("list")(show.list_entries)
app.command("info")(show.info)
app.command("doctor")(doctor.doctor)
app.add_typer(plugin.app, name="plugin")


def main() -> None:
    """Entry point of the program: every error becomes one sentence and an exit code; Ctrl-C exits 130."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no reason to stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except RestoreError as error:
        _fail(error, str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe went away: no message, and none from Python's own flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        name = f" '{error.filename}'" if error.filename else ""
        _fail(error, f"{error.strerror or error}{name}: make room, or choose another place", 1)
    except Exception as error:  # the last door: nobody is shown a bare traceback
        sentence = (
            f"unexpected {type(error).__name__}: {in_one_line(error)}; 'restore doctor' tells whether the "
            f"installation is sound; if it is, run again with 'restore --debug' and report it"
        )
        _fail(error, sentence, 1)


def _fail(error: Exception, sentence: str, code: int) -> None:
    if console.state.debug:
        raise error
    console.error(sentence)
    sys.exit(code)
