"""restore: image restoration in which every model, loss and discriminator is a plugin.

::

    import restore

    restore.load("enhancenet", scale=2).upscale("photo.jpg").save("large.png")

`upscale` takes a path, the bytes of a file, a PIL image, a NumPy array or a tensor; see
`restore.inference.Restorer.upscale`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restore.inference import Restorer, load
    from restore.registry import Registry, discover

    __version__: str

__all__ = ["Registry", "Restorer", "__version__", "discover", "load"]

_HOMES = {
    "Registry": "restore.registry",
    "Restorer": "restore.inference",
    "discover": "restore.registry",
    "load": "restore.inference",
}


def __getattr__(name: str) -> Any:
    """Import late: a plugin that imports `restore.interfaces` must not get torch with it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("restorekit")
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
