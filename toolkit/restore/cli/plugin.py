"""`restore plugin new` and `restore plugin check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli import console, options
from restore.cli.errors import Command
from restore.errors import UnknownNameError, escaped, nearest
from restore.registry import KINDS, OWN, Registry, discover

if TYPE_CHECKING:
    from restore.testing import Finding

__all__ = ["app"]

app = typer.Typer(
    help="Create or check a plugin.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.command("new", cls=Command)
def new(
    name: Annotated[str, typer.Argument(help="Name of the plugin and of its entries, such as my-method.")],
    *,
    dir_: Annotated[Path, typer.Option("--dir", help="Create the plugin's folder in this one.")] = Path(),
) -> None:
    """Create a complete plugin: a model, a loss, a discriminator and an objective, with tests.

    It can be installed, tested, trained and used as it is.
    """
    from restore import scaffold

    plugin = scaffold.name_of(name, discover())
    folder = scaffold.write(plugin, dir_)
    typer.echo(folder)
    local = folder if folder.is_absolute() else f"./{folder}"  # otherwise pip would search PyPI for the name
    console.message(
        f"next: pip install -e '{local}[test]', then pytest {folder}, restore plugin check {plugin} and "
        f"restore train --model {plugin} --loss {plugin} --data photos/"
    )


@app.command("check", cls=Command)
def check(
    name: Annotated[
        str | None, typer.Argument(help="Name of the plugin.", show_default="all but those of restore itself")
    ] = None,
    *,
    scale: Annotated[
        int | None, typer.Option(min=1, help="Check this scale only.", show_default="all that a model has")
    ] = None,
    assign: options.Set = None,
    json: options.Json = False,
) -> None:
    """Check that a plugin follows the contract, and report how to fix what fails.

    Entries are checked with the defaults of their options, or with the values of --set. The exit code is 1
    when a check fails. A model that cannot be exported gets a note; this is not a failure.
    """
    registry = discover()
    names = _chosen(name, registry)
    if not names:
        console.message("no plugin is installed besides those of restore: name one of them to check it")
        return
    from restore.testing import examine, plugin_checks

    values = options.by_name(assign, {spec.name for plugin in names for spec in _entries(plugin, registry)})
    failed = 0
    for each in names:
        checks = plugin_checks(each, registry, scale=scale, options=values)
        broken = 0
        for finding in examine(checks):
            broken += not finding.passed
            _print(each, finding, json=json)
        if not json:
            typer.echo(f"plugin {each}: {len(checks) - broken} of {len(checks)} checks passed")
        failed += broken
    if failed:
        raise typer.Exit(1)


def _chosen(name: str | None, registry: Registry) -> list[str]:
    known = {status.plugin.name: status for status in registry.plugins}
    if name is None:
        return [other for other, status in known.items() if status.plugin.distribution != OWN]
    if name not in known:
        raise UnknownNameError(
            f"there is no plugin '{escaped(name)}'.{nearest(name, known)} "
            f"Known: {', '.join(sorted(known)) or 'none'}"
        )
    return [name]


def _entries(plugin: str, registry: Registry) -> Iterator[Any]:
    for kind in KINDS:
        catalog = registry.catalog(kind)
        yield from (spec for name, spec in catalog.items() if catalog.owner(name).name == plugin)


def _print(plugin: str, finding: Finding, *, json: bool) -> None:
    if json:
        console.emit(
            {
                "plugin": plugin,
                "check": finding.check.name,
                "passed": finding.passed,
                "problem": finding.problem,
                "note": finding.note,
            }
        )
    elif finding.note:
        typer.echo(f"  note  {finding.check}\n        {finding.note}")
    elif finding.passed:
        typer.echo(f"  ok    {finding.check}")
    else:
        typer.echo(f"  FAIL  {finding.check}\n        {finding.problem}")
