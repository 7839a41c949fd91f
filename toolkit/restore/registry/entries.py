"""The registry: plugins with their status, and catalogs of their entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from restore.errors import PluginError, UnknownNameError, escaped, nearest
from restore.interfaces import (
    AdversarialLossSpec,
    AugmentationSpec,
    DegradationSpec,
    DiscriminatorSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    OptimizerSpec,
    PublishedTable,
    ScheduleSpec,
    SetMetricSpec,
)

__all__ = ["KINDS", "Catalog", "EntryKind", "Plugin", "PluginStatus", "Registry"]

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class EntryKind:
    """A kind of entry: its hook, its class and its catalog in the registry.

    >>> EntryKind("model", "restore_models", ModelSpec).catalog
    'models'
    """

    name: str
    hook: str
    entry: type[Any]

    @property
    def catalog(self) -> str:
        """Name of the attribute of `Registry`."""
        return self.hook.removeprefix("restore_")


KINDS = (
    EntryKind("model", "restore_models", ModelSpec),
    EntryKind("loss", "restore_losses", LossSpec),
    EntryKind("objective", "restore_objectives", ObjectiveSpec),
    EntryKind("discriminator", "restore_discriminators", DiscriminatorSpec),
    EntryKind("adversarial loss", "restore_adversarial_losses", AdversarialLossSpec),
    EntryKind("optimizer", "restore_optimizers", OptimizerSpec),
    EntryKind("schedule", "restore_schedules", ScheduleSpec),
    EntryKind("augmentation", "restore_augmentations", AugmentationSpec),
    EntryKind("metric", "restore_metrics", MetricSpec),
    EntryKind("set metric", "restore_set_metrics", SetMetricSpec),
    EntryKind("degradation", "restore_degradations", DegradationSpec),
    EntryKind("table", "restore_tables", PublishedTable),
)


@dataclass(frozen=True)
class Plugin:
    """A plugin with the distribution that it belongs to.

    >>> Plugin("enhancenet", object(), "restorekit", "0.1.0").owner
    "'enhancenet' (restorekit 0.1.0)"
    """

    name: str
    """Name of the entry point."""
    module: object
    distribution: str = "in memory"
    version: str = ""

    @property
    def owner(self) -> str:
        """Name and distribution for messages, such as ``'enhancenet' (restorekit 0.1.0)``."""
        return f"'{self.name}' ({' '.join(filter(None, (self.distribution, self.version)))})"


@dataclass(frozen=True)
class PluginStatus:
    """The state of a plugin, with the reason when it is not active.

    >>> PluginStatus(Plugin("mine", object()), "disabled", reason="disabled by the user").state
    'disabled'
    """

    plugin: Plugin
    state: Literal["active", "disabled", "unavailable", "broken"]
    reason: str = ""
    error: PluginError | None = None


class Catalog(Mapping[str, Entry], Generic[Entry]):
    """The entries of one kind by name, each with the plugin that provides it.

    An unknown name raises `UnknownNameError`, which lists the known names, the most similar one and the
    plugins that are not active.

        >>> from restore.registry import discover
        >>> discover().models["bicubic"].name
        'bicubic'
        >>> discover().models["bicubik"]
        Traceback (most recent call last):
            ...
        restore.errors.UnknownNameError: there is no model 'bicubik'. Did you mean 'bicubic'? ...
    """

    def __init__(
        self, kind: str, entries: Mapping[str, tuple[Entry, Plugin]], statuses: Iterable[PluginStatus] = ()
    ) -> None:
        self._kind = kind
        self._entries = MappingProxyType(dict(entries))
        self._absent = tuple(status for status in statuses if status.state != "active")

    def __getitem__(self, name: str) -> Entry:
        return self._find(name)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def owner(self, name: str) -> Plugin:
        """The plugin that provides `name`.

        Raises:
            UnknownNameError: no plugin does.
        """
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[Entry, Plugin]:
        if name in self._entries:
            return self._entries[name]
        known = ", ".join(sorted(self._entries)) or "none"
        absent = "".join(
            f"; plugin {status.plugin.owner} is {status.state}: {status.reason}" for status in self._absent
        )
        raise UnknownNameError(
            f"there is no {self._kind} '{escaped(name)}'.{nearest(name, self._entries)} "
            f"Known: {known}{absent}"
        )


@dataclass(frozen=True)
class Registry:
    """All plugins and their entries. Immutable.

    >>> from restore.registry import discover
    >>> registry = discover()
    >>> "bicubic" in registry.models, registry.models["bicubic"].name
    (True, 'bicubic')
    """

    plugins: tuple[PluginStatus, ...]
    models: Catalog[ModelSpec]
    losses: Catalog[LossSpec]
    objectives: Catalog[ObjectiveSpec]
    discriminators: Catalog[DiscriminatorSpec]
    adversarial_losses: Catalog[AdversarialLossSpec]
    optimizers: Catalog[OptimizerSpec]
    schedules: Catalog[ScheduleSpec]
    augmentations: Catalog[AugmentationSpec]
    metrics: Catalog[MetricSpec]
    set_metrics: Catalog[SetMetricSpec]
    degradations: Catalog[DegradationSpec]
    tables: Catalog[PublishedTable]

    def catalog(self, kind: EntryKind) -> Catalog[Any]:
        """The entries of one kind."""
        catalog: Catalog[Any] = getattr(self, kind.catalog)
        return catalog

    @property
    def problems(self) -> tuple[PluginError, ...]:
        """The errors of the broken plugins."""
        return tuple(status.error for status in self.plugins if status.error is not None)
