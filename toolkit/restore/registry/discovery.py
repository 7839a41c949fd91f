"""The plugins of all installed distributions, by their entry points."""

from __future__ import annotations

import importlib.metadata
import os

from restore.errors import DuplicatePluginError, PluginError, PluginImportError, in_one_line, nearest
from restore.registry.collecting import DISABLE, OWN, build
from restore.registry.entries import Plugin, Record, Registry

__all__ = ["GROUP", "discover"]

GROUP = "restore.plugins"
"""The entry-point group."""


def discover() -> Registry:
    """Import the plugins of all installed distributions and make the registry of them.

    Those that come with the toolkit are first, the others follow by name of their distribution. Never
    raises for a plugin: see `Registry.problems`.
    """
    plugins: dict[str, Plugin] = {}
    records = []
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    points = [(point, *_distribution(point)) for point in importlib.metadata.entry_points(group=GROUP)]
    for point, distribution, version in sorted(points, key=_rank):
        plugin = Plugin(point.name, None, distribution, version)
        if point.name in disabled:
            records.append(Record(plugin, "disabled", f"named in {DISABLE}"))
            continue
        try:
            if point.name in plugins:
                raise DuplicatePluginError(
                    f"plugin {plugin.owner} has the name of {plugins[point.name].owner}: uninstall one of "
                    f"the two distributions, or rename one entry point"
                )
            plugins[point.name] = _load(point, plugin)
        except PluginError as error:
            records.append(Record(plugin, "broken", str(error), error))
    found = {*plugins, *(record.plugin.name for record in records)}
    for name in sorted(disabled - found):
        reason = f"named in {DISABLE}, but there is no such plugin.{nearest(name, found)}"
        records.append(Record(Plugin(name, None, "not installed"), "disabled", reason))
    return build(plugins.values(), records)


def _rank(found: tuple[importlib.metadata.EntryPoint, str, str]) -> tuple[bool, str, str]:
    point, distribution, _ = found
    return distribution != OWN, distribution, point.name


def _distribution(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version; an interrupted uninstall can leave entry points without either."""
    metadata = None if point.dist is None else point.dist.metadata  # read from its file at each access
    if metadata is None or "Name" not in metadata:
        return "unknown distribution", ""
    return metadata["Name"], metadata["Version"]


def _load(point: importlib.metadata.EntryPoint, plugin: Plugin) -> Plugin:
    try:
        module = point.load()
    # A plugin can raise anything at all while it is imported, sys.exit() included; the others go on.
    except (Exception, SystemExit) as error:
        raise PluginImportError(
            f"plugin {plugin.owner} could not be imported from '{point.value}': "
            f"{type(error).__name__}: {in_one_line(error)}; update or uninstall {plugin.distribution}, or "
            f"leave the plugin out with {DISABLE}={plugin.name}"
        ) from error
    return Plugin(plugin.name, module, plugin.distribution, plugin.version)
