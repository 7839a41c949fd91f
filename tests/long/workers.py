"""A cluster of two workers on this machine, each with one thread."""

from __future__ import annotations

import dask
from distributed import LocalCluster

__all__ = ["two_workers"]


def two_workers() -> LocalCluster:
    """Start the scheduler and the workers, which end with the block."""
    # On a busy machine a worker that was killed takes longer to start again than Dask waits for it.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})
    return LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        scheduler_kwargs={"allowed_failures": 0},
    )
