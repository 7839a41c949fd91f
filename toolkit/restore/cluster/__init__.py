"""Work on other processes and machines, through Dask: models that workers load, and items they work on."""

from restore.cluster.client import Cluster, connect
from restore.cluster.mapping import Killed, Reply
from restore.cluster.recipe import Recipe, weights_of
from restore.cluster.threads import kept

__all__ = ["Cluster", "Killed", "Recipe", "Reply", "connect", "kept", "weights_of"]
