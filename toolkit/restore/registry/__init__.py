"""Plugins become one immutable registry; everything that can be wrong with a plugin is found here.

`build` is a pure function of the given plugins; `discover` is the thin layer over entry points. A
plugin enters whole or not at all: a broken one is recorded with its error, and the others go on.
"""

from restore.registry.collecting import DISABLE, OWN, build
from restore.registry.discovery import GROUP, discover
from restore.registry.entries import KINDS, Catalogue, Kind, Plugin, Record, Registry

__all__ = [
    "DISABLE",
    "GROUP",
    "KINDS",
    "OWN",
    "Catalogue",
    "Kind",
    "Plugin",
    "Record",
    "Registry",
    "build",
    "discover",
]
