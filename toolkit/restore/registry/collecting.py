"""Plugins that could be imported become a registry: a pure function of them."""

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
from restore.registry.entries import KINDS, Catalogue, Kind, Plugin, Record, Registry

__all__ = ["DISABLE", "OWN", "build"]

DISABLE = "RESTORE_DISABLE_PLUGINS"
"""Environment variable: names of plugins, separated by commas, that are left out."""

OWN = "restorekit"
"""The toolkit's own distribution."""


def build(plugins: Iterable[Plugin], records: Iterable[Record] = ()) -> Registry:
    """Make a registry of the given plugins, in their order: the first to claim a name keeps it.

    Args:
        plugins: what could be imported.
        records: of plugins that did not come this far.

    Returns:
        The registry. Broken plugins are in its records, with their errors, and brought nothing.
    """
    done = list(records)
    claimed: dict[str, dict[str, tuple[Any, Plugin]]] = {kind.catalogue: {} for kind in KINDS}
    for plugin in plugins:
        try:
            if missing := _missing_extra(plugin):
                done.append(Record(plugin, "unavailable", f"install it with: {missing.install}"))
                continue
            brought = _collect(plugin, claimed)
        except PluginError as error:
            done.append(Record(plugin, "broken", str(error), error))
            continue
        for catalogue, entries in brought.items():
            claimed[catalogue].update(entries)
        done.append(Record(plugin, "active"))
    catalogues = {kind.catalogue: Catalogue(kind.name, claimed[kind.catalogue], done) for kind in KINDS}
    return Registry(tuple(done), **catalogues)


def _missing_extra(plugin: Plugin) -> Extra | None:
    extras = getattr(plugin.module, "EXTRAS", ())
    if not isinstance(extras, Sequence) or not all(isinstance(extra, Extra) for extra in extras):
        raise EntryError(f"plugin {plugin.owner}: EXTRAS is {extras!r}: make it a tuple of Extra")
    return next((extra for extra in extras if not _is_installed(extra.module)), None)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the package that a dotted name begins with
        return False


def _collect(
    plugin: Plugin, claimed: Mapping[str, Mapping[str, tuple[Any, Plugin]]]
) -> dict[str, dict[str, tuple[Any, Plugin]]]:
    """All entries of one plugin, checked; nothing is kept of a plugin with an error."""
    _check_contract(plugin)
    manager = _register(plugin)
    brought = {}
    for kind in KINDS:
        entries: dict[str, tuple[Any, Plugin]] = {}
        for entry in _call(manager, kind, plugin):
            for others in (claimed[kind.catalogue], entries):
                if entry.name in others:
                    raise DuplicateEntryError(
                        f"plugin {plugin.owner} brings a {kind.name} '{entry.name}', which plugin "
                        f"{others[entry.name][1].owner} brought already: rename one, or leave one plugin "
                        f"out with {DISABLE}"
                    )
            entries[entry.name] = (entry, plugin)
        brought[kind.catalogue] = entries
    return brought


def _check_contract(plugin: Plugin) -> None:
    version, current = getattr(plugin.module, "CONTRACT", None), hookspecs.CONTRACT
    if version is None:
        raise ContractVersionError(
            f"plugin {plugin.owner} does not say for which version of the contract it was written: add "
            f"CONTRACT = {current} to its module"
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
            f"{written}: get a newer {plugin.distribution}; its author has to change: {changes}; and then to "
            f"state CONTRACT = {current}"
        )
    raise ContractVersionError(
        f"{written}: update {OWN}"
        if isinstance(version, int) and version > current
        else f"{written}: its module needs CONTRACT = {current}"
    )


def _register(plugin: Plugin) -> pluggy.PluginManager:
    """A manager of its own for each plugin, so that an error belongs to exactly one."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    known = [kind.hook for kind in KINDS]
    marked = [
        name for name in dir(plugin.module) if manager.parse_hookimpl_opts(plugin.module, name) is not None
    ]
    for hook in known:
        if hook not in marked and callable(getattr(plugin.module, hook, None)):
            raise HookError(f"plugin {plugin.owner} defines {hook} without @hookimpl: mark it")
    misspelt = next((name for name in marked if name not in known), None)
    if misspelt:
        raise HookError(
            f"plugin {plugin.owner} implements '{misspelt}', which is not a hook."
            f"{nearest(misspelt, known)} Known hooks: {', '.join(known)}"
        )
    if not marked:
        raise HookError(f"plugin {plugin.owner} implements no hook. Known hooks: {', '.join(known)}")
    try:
        manager.register(plugin.module, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise HookError(f"plugin {plugin.owner}: {in_one_line(error)}") from error
    return manager


def _call(manager: pluggy.PluginManager, kind: Kind, plugin: Plugin) -> list[Any]:
    hook = getattr(manager.hook, kind.hook)
    if not hook.get_hookimpls():
        return []
    try:
        entries = next(iter(hook()), None)  # pluggy leaves a result of None out
    except EntryError as error:
        raise EntryError(f"plugin {plugin.owner}: {error}") from error
    # As at import: whatever a hook raises is the plugin's error, not the user's.
    except (Exception, SystemExit) as error:
        raise HookError(
            f"plugin {plugin.owner}: {kind.hook} raised {type(error).__name__}: {in_one_line(error)}"
        ) from error
    if not isinstance(entries, Sequence):
        raise HookError(f"plugin {plugin.owner}: {kind.hook} returned {entries!r}, which is no list")
    for entry in entries:
        if not isinstance(entry, kind.entry):
            raise EntryError(
                f"plugin {plugin.owner}: {kind.hook} returned {entry!r}, which is no {kind.entry.__name__}"
            )
    return list(entries)
