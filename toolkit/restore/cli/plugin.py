"""`restore plugin new` and `restore plugin check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore.cli import console, options
from restore.cli.errors import Command
from restore.errors import UnknownNameError, nearest
from restore.registry import OWN, Registry, discover

if TYPE_CHECKING:
    from restore.testing import Finding

__all__ = ["app"]

app = typer.Typer(
    help="Create or check a plugin.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.command("new", cls=Command)
def new(
    name: Annotated[str, typer.Argument(help="Of the plugin and of what it brings, such as my-method.")],
    *,
    dir_: Annotated[Path, typer.Option("--dir", help="Where to make its folder.")] = Path(),
) -> None:
    """Write a complete plugin: a model, a loss, a discriminator and an objective, with tests.

    It installs, passes its tests, trains and upscales as it is.
    """
    from restore import scaffold

    plugin = scaffold.name_of(name, discover())
    folder = scaffold.write(plugin, dir_)
    typer.echo(folder)
    local = folder if folder.is_absolute() else f"./{folder}"  # or pip would look for the name on PyPI
    console.message(
        f"next: pip install -e '{local}[test]', then pytest {folder}, restore plugin check {plugin} and "
        f"restore train --model {plugin} --loss {plugin} --data photos/"
    )


@app.command("check", cls=Command)
def check(
    name: Annotated[
        str | None, typer.Argument(help="Of a plugin. Left out: all that did not come with restore.")
    ] = None,
    *,
    scale: Annotated[
        int | None, typer.Option(min=1, help="The only scale to check. Left out: all that a model declares.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Check that a plugin keeps the contract, and tell what to do where it does not.

    The exit code is 1 when something does not hold.
    """
    registry = discover()
    names = _chosen(name, registry)
    if not names:
        console.message(
            "there is no plugin besides those that came with restore: name one of them to check it"
        )
        return
    from restore.testing import examine, plugin_checks

    failed = 0
    for each in names:
        checks = plugin_checks(each, registry, scale=scale)
        broken = 0
        for finding in examine(checks):
            broken += not finding.holds
            _tell(each, finding, json=json)
        if not json:
            typer.echo(f"plugin {each}: {len(checks) - broken} of {len(checks)} checks hold")
        failed += broken
    if failed:
        raise typer.Exit(1)


def _chosen(name: str | None, registry: Registry) -> list[str]:
    known = {status.plugin.name: status for status in registry.plugins}
    if name is None:
        return [other for other, status in known.items() if status.plugin.distribution != OWN]
    if name not in known:
        raise UnknownNameError(
            f"there is no plugin '{name}'.{nearest(name, known)} Known: {', '.join(sorted(known)) or 'none'}"
        )
    return [name]


def _tell(plugin: str, finding: Finding, *, json: bool) -> None:
    if json:
        console.emit(
            {
                "plugin": plugin,
                "check": finding.check.name,
                "holds": finding.holds,
                "problem": finding.problem,
            }
        )
    elif finding.holds:
        typer.echo(f"  ok    {finding.check}")
    else:
        typer.echo(f"  FAIL  {finding.check}\n        {finding.problem}")
