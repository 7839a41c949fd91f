"""Discovery of plugins by the entry points of installed distributions."""

from __future__ import annotations

import importlib.metadata
import os

from restore.errors import DuplicatePluginError, PluginError, PluginImportError, in_one_line, nearest
from restore.registry.collecting import DISABLE, OWN, build
from restore.registry.entries import Plugin, PluginStatus, Registry

__all__ = ["GROUP", "discover"]

GROUP = "restore.plugins"
"""The entry-point group."""


def discover() -> Registry:
    """Import the plugins of all installed distributions and return their registry.

    The toolkit's own plugins come first, the others in the order of their distributions' names. A broken
    plugin does not raise: see `Registry.problems`.

        >>> "bicubic" in discover().models
        True
    """
    plugins: dict[str, Plugin] = {}
    statuses = []
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    points = [(point, *_distribution(point)) for point in importlib.metadata.entry_points(group=GROUP)]
    for point, distribution, version in sorted(points, key=_rank):
        plugin = Plugin(point.name, None, distribution, version)
        if point.name in disabled:
            statuses.append(PluginStatus(plugin, "disabled", f"named in {DISABLE}"))
            continue
        try:
            if point.name in plugins:
                raise DuplicatePluginError(
                    f"plugin {plugin.owner} has the same name as {plugins[point.name].owner}",
                    hint="uninstall one of the two distributions, or rename one entry point",
                )
            plugins[point.name] = _load(point, plugin)
        except PluginError as error:
            statuses.append(PluginStatus(plugin, "broken", str(error), error))
    found = {*plugins, *(status.plugin.name for status in statuses)}
    for name in sorted(disabled - found):
        reason = f"named in {DISABLE}, but there is no such plugin.{nearest(name, found)}"
        statuses.append(PluginStatus(Plugin(name, None, "not installed"), "disabled", reason))
    return build(plugins.values(), statuses)


def _rank(found: tuple[importlib.metadata.EntryPoint, str, str]) -> tuple[bool, str, str]:
    point, distribution, _ = found
    return distribution != OWN, distribution, point.name


def _distribution(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version; after an interrupted uninstall, entry points can have neither."""
    try:
        metadata = None if point.dist is None else point.dist.metadata  # read from its file at each access
    except (
        FileNotFoundError
    ):  # of the package importlib_metadata, which replaces that of Python when imported
        metadata = None
    if metadata is None or "Name" not in metadata:
        return "unknown distribution", ""
    return metadata["Name"], metadata["Version"]


def _load(point: importlib.metadata.EntryPoint, plugin: Plugin) -> Plugin:
    try:
        module = point.load()
    # Importing a plugin can raise anything, even call sys.exit(); the other plugins are still imported.
    except (Exception, SystemExit) as error:
        raise PluginImportError(
            f"plugin {plugin.owner} could not be imported from '{point.value}': "
            f"{type(error).__name__}: {in_one_line(error)}",
            hint=f"update or uninstall {plugin.distribution}, or disable it with {DISABLE}={plugin.name}",
        ) from error
    return Plugin(plugin.name, module, plugin.distribution, plugin.version)
