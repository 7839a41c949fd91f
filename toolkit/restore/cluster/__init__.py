"""Run work on other processes and machines through Dask."""

from restore.cluster.client import Cluster, connect
from restore.cluster.mapping import Killed, Reply
from restore.cluster.recipe import Recipe, weights_of
from restore.cluster.threads import kept

__all__ = ["Cluster", "Killed", "Recipe", "Reply", "connect", "kept", "weights_of"]
