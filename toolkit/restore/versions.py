"""Of what can change a result."""

from __future__ import annotations

import importlib.metadata
import platform

__all__ = ["versions"]


def versions(*packages: str) -> dict[str, str]:
    """Of Python, of this distribution, and of `packages`, which are installed."""
    names = ("restorekit", "torch", "numpy", "pillow", *packages)
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
