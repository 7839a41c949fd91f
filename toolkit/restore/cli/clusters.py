"""``--cluster``: connect, and print what was found."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from restore.cli import console
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.cluster import Cluster

__all__ = ["connected"]


@contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """Connect to the cluster of an address, compare versions, and print where its dashboard is.

    Args:
        address: as for `restore.cluster.connect`; nothing happens for `None`.

    Raises:
        UsageError: Dask is not installed, or the address has another form.
        RestoreError: there is no scheduler, or its workers have other versions.
    """
    if address is None:
        yield None
        return
    if importlib.util.find_spec("distributed") is None:
        raise UsageError(
            "a cluster needs Dask, which is not installed", hint="run: pip install 'restorekit[cluster]'"
        )
    from restore.cluster import connect

    with connect(address) as cluster:
        for note in cluster.check():
            console.message(f"note: {note}")
        count = cluster.workers
        found = f"{count} worker{'' if count == 1 else 's'}" if count else "no workers yet"
        console.message(f"cluster: {found}; dashboard: {cluster.dashboard}")
        yield cluster
