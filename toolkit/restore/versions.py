"""Versions of the libraries that can affect results."""

from __future__ import annotations

import importlib.metadata
import platform

__all__ = ["versions"]


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of this distribution, of the libraries it computes with, and of `packages`.

        >>> sorted(versions("pydantic"))
        ['numpy', 'pillow', 'pydantic', 'python', 'restorekit', 'torch']

    Raises:
        PackageNotFoundError: one of `packages` is not installed.
    """
    names = ("restorekit", "torch", "numpy", "pillow", *packages)
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
