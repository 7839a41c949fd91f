"""Compare the software of workers with the client's, so that equal commands give equal results."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from restore.errors import RestoreError
from restore.registry import GROUP
from restore.versions import versions

__all__ = ["check_versions", "differences", "installed", "mismatch", "processor"]


def installed() -> dict[str, str]:
    """Versions of what can change a result: Python, restorekit, its libraries, and plugins.

    >>> "restorekit" in installed()
    True
    """
    points = importlib.metadata.entry_points(group=GROUP)
    plugins = {point.dist.name: point.dist.version for point in points if point.dist is not None}
    return versions() | plugins


def check_versions(client: Mapping[str, str], worker: str) -> None:
    """Compare what is installed in this process with what the client has.

    Args:
        client: from `installed`, called by the client.
        worker: the name of this process.

    Raises:
        RestoreError: names each difference.
    """
    differing = differences(client, _here())
    if differing:
        raise mismatch(worker, differing)


@cache
def _here() -> dict[str, str]:
    return installed()


def differences(client: Mapping[str, str], worker: Mapping[str, str]) -> list[str]:
    """What two installations do not have in common, in words.

    >>> differences({"torch": "2.15.0", "numpy": "2.4.0"}, {"torch": "2.15.1", "numpy": "2.4.0"})
    ['torch 2.15.1 instead of 2.15.0']
    """
    return [
        f"{name} {worker.get(name, 'missing')} instead of {client.get(name, 'none')}"
        for name in sorted({*client, *worker})
        if client.get(name) != worker.get(name)
    ]


def mismatch(worker: str, differing: list[str]) -> RestoreError:
    """The error for a worker whose installation is another one."""
    return RestoreError(
        f"worker {worker} has {', '.join(differing)}",
        hint="install the same versions on the client and all workers",
    )


def processor() -> str:
    """The kind of processor or GPU of this machine, on which the last bits of a result can depend."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
