"""The registry of plugins: `discover` imports those that are installed, and `build` checks and collects them.

A plugin is registered with all of its entries or not at all. A broken plugin is listed with its error, and
does not affect the others.
"""

from restore.registry.collecting import DISABLE, OWN, build
from restore.registry.discovery import GROUP, discover
from restore.registry.entries import KINDS, Catalog, EntryKind, Plugin, PluginStatus, Registry
from restore.registry.references import ModelReference, numbered, owner_of

__all__ = [
    "DISABLE",
    "GROUP",
    "KINDS",
    "OWN",
    "Catalog",
    "EntryKind",
    "ModelReference",
    "Plugin",
    "PluginStatus",
    "Registry",
    "build",
    "discover",
    "numbered",
    "owner_of",
]
