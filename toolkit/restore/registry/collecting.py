"""Building a registry of imported plugins: a pure function of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pluggy

from restore import hookspecs
from restore.errors import (
    ContractVersionError,
    DuplicateEntryError,
    EntryError,
    HookError,
    PluginError,
    in_one_line,
    nearest,
)
from restore.interfaces import Extra
from restore.registry.entries import KINDS, Catalog, EntryKind, Plugin, PluginStatus, Registry

__all__ = ["DISABLE", "OWN", "build"]

DISABLE = "RESTORE_DISABLE_PLUGINS"
"""Environment variable with the names of plugins to disable, separated by commas."""

OWN = "restorekit"
"""The toolkit's own distribution."""


def build(plugins: Iterable[Plugin], statuses: Iterable[PluginStatus] = ()) -> Registry:
    """Build a registry of the given plugins. Of two entries with one name, the first plugin's is kept.

    Args:
        plugins: the imported plugins.
        statuses: the plugins that could not be imported.

    Returns:
        The registry. A broken plugin is listed with its error, and has no entries.
    """
    done = list(statuses)
    claimed: dict[str, dict[str, tuple[Any, Plugin]]] = {kind.catalog: {} for kind in KINDS}
    for plugin in plugins:
        try:
            if missing := _missing_extra(plugin):
                done.append(PluginStatus(plugin, "unavailable", f"install it with: {missing.install}"))
                continue
            brought = _collect(plugin, claimed)
        except PluginError as error:
            done.append(PluginStatus(plugin, "broken", str(error), error))
            continue
        for catalog, entries in brought.items():
            claimed[catalog].update(entries)
        done.append(PluginStatus(plugin, "active"))
    catalogs = {kind.catalog: Catalog(kind.name, claimed[kind.catalog], done) for kind in KINDS}
    return Registry(tuple(done), **catalogs)


def _missing_extra(plugin: Plugin) -> Extra | None:
    extras = getattr(plugin.module, "EXTRAS", ())
    if not isinstance(extras, Sequence) or not all(isinstance(extra, Extra) for extra in extras):
        raise EntryError(f"plugin {plugin.owner}: EXTRAS is {extras!r}", hint="make it a tuple of Extra")
    return next((extra for extra in extras if not _is_installed(extra.module)), None)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # raised for the parent package of a dotted name
        return False


def _collect(
    plugin: Plugin, claimed: Mapping[str, Mapping[str, tuple[Any, Plugin]]]
) -> dict[str, dict[str, tuple[Any, Plugin]]]:
    """The checked entries of one plugin."""
    _check_contract(plugin)
    manager = _register(plugin)
    brought = {}
    for kind in KINDS:
        entries: dict[str, tuple[Any, Plugin]] = {}
        for entry in _call(manager, kind, plugin):
            for others in (claimed[kind.catalog], entries):
                if entry.name in others:
                    raise DuplicateEntryError(
                        f"plugin {plugin.owner} provides a {kind.name} '{entry.name}', which plugin "
                        f"{others[entry.name][1].owner} provides already",
                        hint=f"rename one, or disable one plugin with {DISABLE}",
                    )
            entries[entry.name] = (entry, plugin)
        brought[kind.catalog] = entries
    return brought


def _check_contract(plugin: Plugin) -> None:
    version, current = getattr(plugin.module, "CONTRACT", None), hookspecs.CONTRACT
    if version is None:
        raise ContractVersionError(
            f"plugin {plugin.owner} does not state the version of its contract",
            hint=f"add CONTRACT = {current} to its module",
        )
    if version == current:
        return
    written = (
        f"plugin {plugin.owner} was written for version {version!r} of the contract and this is "
        f"version {current}"
    )
    if isinstance(version, int) and 0 < version < current:
        changes = "; ".join(hookspecs.CHANGES[later] for later in range(version + 1, current + 1))
        raise ContractVersionError(
            written,
            hint=f"update {plugin.distribution}; its author has to change: {changes}; and then to state "
            f"CONTRACT = {current}",
        )
    is_newer = isinstance(version, int) and version > current
    raise ContractVersionError(
        written, hint=f"update {OWN}" if is_newer else f"state CONTRACT = {current} in its module"
    )


def _register(plugin: Plugin) -> pluggy.PluginManager:
    """Register the plugin with a manager of its own, so that an error belongs to one plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    known = [kind.hook for kind in KINDS]
    marked = [
        name for name in dir(plugin.module) if manager.parse_hookimpl_opts(plugin.module, name) is not None
    ]
    for hook in known:
        if hook not in marked and callable(getattr(plugin.module, hook, None)):
            raise HookError(f"plugin {plugin.owner} defines {hook} without @hookimpl", hint="mark it")
    misspelled = next((name for name in marked if name not in known), None)
    if misspelled:
        raise HookError(
            f"plugin {plugin.owner} implements '{misspelled}', which is not a hook."
            f"{nearest(misspelled, known)} Known hooks: {', '.join(known)}"
        )
    if not marked:
        raise HookError(f"plugin {plugin.owner} implements no hook. Known hooks: {', '.join(known)}")
    try:
        manager.register(plugin.module, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise HookError(f"plugin {plugin.owner}: {in_one_line(error)}") from error
    return manager


def _call(manager: pluggy.PluginManager, kind: EntryKind, plugin: Plugin) -> list[Any]:
    hook = getattr(manager.hook, kind.hook)
    if not hook.get_hookimpls():
        return []
    try:
        entries = next(iter(hook()), None)  # pluggy omits results of None
    except EntryError as error:
        raise EntryError(f"plugin {plugin.owner}: {error.problem}", hint=error.hint) from error
    # As at import: whatever a hook raises is an error of the plugin, not of the user.
    except (Exception, SystemExit) as error:
        raise HookError(
            f"plugin {plugin.owner}: {kind.hook} raised {type(error).__name__}: {in_one_line(error)}"
        ) from error
    if not isinstance(entries, Sequence):
        raise HookError(f"plugin {plugin.owner}: {kind.hook} returned {entries!r}, which is not a list")
    for entry in entries:
        if not isinstance(entry, kind.entry):
            raise EntryError(
                f"plugin {plugin.owner}: {kind.hook} returned {entry!r}, which is not a {kind.entry.__name__}"
            )
    return list(entries)
