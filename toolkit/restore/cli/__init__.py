"""The command line: parses, calls, prints. No logic, and nothing is imported before a command needs it."""

from __future__ import annotations

import io
import os
import sys

import typer

from restore.cli.commands import Group
from restore.cli.errors import exit_code

__all__ = ["app", "main"]

app = typer.Typer(
    name="restore",
    cls=Group,
    help="Image restoration in which every model, loss and discriminator is a plugin.",
    no_args_is_help=True,
    rich_markup_mode=None,  # importing rich's renderer takes longer than everything else that --help does
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"restore {version('restorekit')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    debug: bool = typer.Option(False, "--debug", help="Show a traceback when something fails."),
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    from restore.cli import console

    console.debug = debug


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
    except Exception as error:  # a traceback is printed only with --debug
        from restore.cli import console

        if console.debug:
            raise
        console.error(error)
        sys.exit(exit_code(error))
