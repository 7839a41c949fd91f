"""Plugins become one immutable registry; everything that can be wrong with a plugin is found here.

`build` is a pure function of the given plugins; `discover` is the thin layer over entry points. A
plugin enters whole or not at all: a broken one is recorded with its error, and the others go on.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import pluggy

from restore import hookspecs
from restore.errors import (
    ContractVersionError,
    DuplicateEntryError,
    DuplicatePluginError,
    EntryError,
    HookError,
    PluginError,
    PluginImportError,
    UnknownNameError,
    nearest,
)
from restore.interfaces import (
    DegradationSpec,
    DiscriminatorSpec,
    Extra,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    PublishedTable,
)

__all__ = ["GROUP", "KINDS", "Catalogue", "Kind", "Plugin", "Record", "Registry", "build", "discover"]

GROUP = "restore.plugins"
"""The entry-point group."""

DISABLE = "RESTORE_DISABLE_PLUGINS"
"""Environment variable: names of plugins, separated by commas, that are left out."""

_OWN = "restorekit"

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Kind:
    """One kind of entry: its catalogue in the registry, its hook and its class."""

    name: str
    hook: str
    entry: type[Any]

    @property
    def catalogue(self) -> str:
        """The attribute of `Registry`."""
        return self.hook.removeprefix("restore_")


KINDS = (
    Kind("model", "restore_models", ModelSpec),
    Kind("loss", "restore_losses", LossSpec),
    Kind("objective", "restore_objectives", ObjectiveSpec),
    Kind("discriminator", "restore_discriminators", DiscriminatorSpec),
    Kind("metric", "restore_metrics", MetricSpec),
    Kind("degradation", "restore_degradations", DegradationSpec),
    Kind("table", "restore_tables", PublishedTable),
)


@dataclass(frozen=True)
class Plugin:
    """A plugin that could be imported."""

    name: str
    """Name of the entry point."""
    module: object
    distribution: str = "in memory"
    version: str = ""

    @property
    def owner(self) -> str:
        """For messages: ``'enhancenet' (restorekit 0.1.0)``."""
        return f"'{self.name}' ({' '.join(filter(None, (self.distribution, self.version)))})"


@dataclass(frozen=True)
class Record:
    """What became of a plugin."""

    plugin: Plugin
    state: Literal["active", "disabled", "unavailable", "broken"]
    reason: str = ""
    error: PluginError | None = None


class Catalogue(Mapping[str, Entry], Generic[Entry]):
    """The entries of one kind by name, each with the plugin that owns it.

    Looking up an unknown name raises `UnknownNameError` with the known names, the nearest guess and
    the plugins that are missing.
    """

    def __init__(
        self, kind: str, entries: Mapping[str, tuple[Entry, Plugin]], records: Iterable[Record] = ()
    ) -> None:
        self._kind = kind
        self._entries = MappingProxyType(dict(entries))
        self._absent = tuple(record for record in records if record.state != "active")

    def __getitem__(self, name: str) -> Entry:
        return self._find(name)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def owner(self, name: str) -> Plugin:
        """The plugin that brought `name`.

        Raises:
            UnknownNameError: no plugin did.
        """
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[Entry, Plugin]:
        if name in self._entries:
            return self._entries[name]
        known = ", ".join(sorted(self._entries)) or "none"
        absent = "".join(
            f"; plugin {record.plugin.owner} is {record.state}: {record.reason}" for record in self._absent
        )
        raise UnknownNameError(
            f"there is no {self._kind} '{name}'.{nearest(name, self._entries)} Known: {known}{absent}"
        )


@dataclass(frozen=True)
class Registry:
    """Everything that the plugins brought. Immutable."""

    records: tuple[Record, ...]
    models: Catalogue[ModelSpec]
    losses: Catalogue[LossSpec]
    objectives: Catalogue[ObjectiveSpec]
    discriminators: Catalogue[DiscriminatorSpec]
    metrics: Catalogue[MetricSpec]
    degradations: Catalogue[DegradationSpec]
    tables: Catalogue[PublishedTable]

    def catalogue(self, kind: Kind) -> Catalogue[Any]:
        """The entries of one kind."""
        catalogue: Catalogue[Any] = getattr(self, kind.catalogue)
        return catalogue

    @property
    def problems(self) -> tuple[PluginError, ...]:
        """The errors of the broken plugins."""
        return tuple(record.error for record in self.records if record.error is not None)


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


def discover() -> Registry:
    """Import the plugins of all installed distributions and make the registry of them.

    Those that come with the toolkit are first, the others follow by name of their distribution. Never
    raises for a plugin: see `Registry.problems`.
    """
    plugins: dict[str, Plugin] = {}
    records = []
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=_rank):
        plugin = Plugin(point.name, None, *_distribution(point))
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


def _rank(point: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
    distribution, _ = _distribution(point)
    return distribution != _OWN, distribution, point.name


def _distribution(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version; an interrupted uninstall can leave entry points without either."""
    if point.dist is None or "Name" not in point.dist.metadata:
        return "unknown distribution", ""
    return point.dist.name, point.dist.version


def _load(point: importlib.metadata.EntryPoint, plugin: Plugin) -> Plugin:
    try:
        module = point.load()
    # A plugin can raise anything at all while it is imported, sys.exit() included; the others go on.
    except (Exception, SystemExit) as error:
        raise PluginImportError(
            f"plugin {plugin.owner} could not be imported from '{point.value}': "
            f"{type(error).__name__}: {_in_one_line(error)}; update or uninstall {plugin.distribution}, or "
            f"leave the plugin out with {DISABLE}={plugin.name}"
        ) from error
    return Plugin(plugin.name, module, plugin.distribution, plugin.version)


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
    version = getattr(plugin.module, "CONTRACT", None)
    if version is None:
        raise ContractVersionError(
            f"plugin {plugin.owner} does not say for which version of the contract it was written: add "
            f"CONTRACT = {hookspecs.CONTRACT} to its module"
        )
    if version != hookspecs.CONTRACT:
        older = isinstance(version, int) and version < hookspecs.CONTRACT
        advice = f"update {plugin.distribution}" if older else f"update {_OWN}"
        raise ContractVersionError(
            f"plugin {plugin.owner} was written for version {version!r} of the contract and this is "
            f"version {hookspecs.CONTRACT}: {advice}"
        )


def _register(plugin: Plugin) -> pluggy.PluginManager:
    """A manager of its own for each plugin, so that an error belongs to exactly one."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    known = [kind.hook for kind in KINDS]
    for hook in known:
        function = getattr(plugin.module, hook, None)
        if callable(function) and not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            raise HookError(f"plugin {plugin.owner} defines {hook} without @hookimpl: mark it")
    try:
        manager.register(plugin.module, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        misspelt = [name for name in _hooks_of(plugin.module) if name not in known]
        guess = f"{nearest(misspelt[0], known)} Known hooks: {', '.join(known)}" if misspelt else ""
        raise HookError(
            f"plugin {plugin.owner}: {_in_one_line(error)}.{guess}"
            if not misspelt
            else f"plugin {plugin.owner} implements '{misspelt[0]}', which is no hook.{guess}"
        ) from error
    if not _hooks_of(plugin.module):
        raise HookError(f"plugin {plugin.owner} implements no hook. Known hooks: {', '.join(known)}")
    return manager


def _hooks_of(module: object) -> list[str]:
    marker = f"{hookspecs.PROJECT}_impl"
    return [name for name in dir(module) if hasattr(getattr(module, name, None), marker)]


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


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
            f"plugin {plugin.owner}: {kind.hook} raised {type(error).__name__}: {_in_one_line(error)}"
        ) from error
    if not isinstance(entries, Sequence):
        raise HookError(f"plugin {plugin.owner}: {kind.hook} returned {entries!r}, which is no list")
    for entry in entries:
        if not isinstance(entry, kind.entry):
            raise EntryError(
                f"plugin {plugin.owner}: {kind.hook} returned {entry!r}, which is no {kind.entry.__name__}"
            )
    return list(entries)
