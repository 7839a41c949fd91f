"""What a registry is: plugins, what became of them, and catalogues of what they brought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from restore.errors import PluginError, UnknownNameError, nearest
from restore.interfaces import (
    DegradationSpec,
    DiscriminatorSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    PublishedTable,
)

__all__ = ["KINDS", "Catalogue", "Kind", "Plugin", "Record", "Registry"]

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
