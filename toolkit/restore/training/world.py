"""Where this process stands among those that train together, known before they are connected.

Either another program started them all (torchrun, or SLURM's srun) and tells each one its place through
the environment, or the user starts one process on each machine, and that starts the others of its machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from restore.errors import RestoreError, UsageError

__all__ = ["World", "find_world", "is_helper", "said_once"]


@dataclass(frozen=True)
class World:
    """The processes of a run, and which of them this one is."""

    launcher: str
    """Who started them; empty when this program does."""
    devices: int
    """Processes on each machine, one a device."""
    nodes: int
    """Machines."""
    rank: int
    """Among all processes; 0 leads."""
    local_rank: int
    """Among the processes of this machine."""
    environment: ClusterEnvironment
    """How Fabric connects them."""

    @property
    def size(self) -> int:
        """All processes."""
        return self.devices * self.nodes


def find_world(devices: int | None = None, nodes: int | None = None) -> World:
    """Read the environment.

    Args:
        devices: what the user wants on each machine; ``None``: what a launcher started, or one.
        nodes: how many machines the user wants; ``None``: the same.

    Raises:
        UsageError: the environment contradicts the user or itself, or a variable is missing.
    """
    world = _launched()
    if world is None:
        return _own(devices or 1, nodes or 1)
    if (devices or world.devices, nodes or world.nodes) != (world.devices, world.nodes):
        wanted = f"--devices {devices or world.devices} --nodes {nodes or world.nodes}"
        raise UsageError(
            f"{wanted} is not what {world.launcher} started, which is --devices {world.devices} --nodes "
            f"{world.nodes}: leave both away, or start as many"
        )
    return world


def is_helper() -> bool:
    """Whether this process only helps another one to train.

    Raises:
        UsageError: as for `find_world`.
    """
    world = _launched()
    if world is not None:
        return world.rank > 0
    return _number("NODE_RANK", 0) > 0 or _number("LOCAL_RANK", 0) > 0


@contextmanager
def said_once() -> Iterator[None]:
    """Leave it to the first process of each machine to say what fails before they are connected.

    All that a launcher started meet the same, and none can know of another. Those that this program
    starts come later: what they meet, nobody else has said.
    """
    try:
        yield
    except RestoreError as error:
        world = _launched()
        if world is not None and world.local_rank > 0:
            raise SystemExit(error.exit_code) from None
        raise


def _launched() -> World | None:
    if TorchElasticEnvironment.detect():
        return _torchrun()
    # The names of a shell in an allocation: what is started there is started by hand.
    by_hand = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return _slurm() if _number("SLURM_NTASKS", 1) > 1 and not by_hand else None


def _torchrun() -> World:
    devices, nodes, size = (_number(name) for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "WORLD_SIZE"))
    if devices * nodes != size:
        raise UsageError(
            f"torchrun started {size} processes on {nodes} machines, {devices} of them on this one: give "
            f"every machine the same --nproc-per-node"
        )
    return World(
        "torchrun", devices, nodes, _number("RANK"), _number("LOCAL_RANK"), TorchElasticEnvironment()
    )


def _slurm() -> World:
    tasks = _number("SLURM_NTASKS")
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise UsageError(
            f"SLURM started {tasks} tasks and does not say how many on each machine: give --ntasks-per-node"
        )
    return World(
        "srun",
        _number("SLURM_NTASKS_PER_NODE"),
        _number("SLURM_NNODES"),
        _number("SLURM_PROCID"),
        _number("SLURM_LOCALID"),
        SLURMEnvironment(auto_requeue=False),
    )


def _own(devices: int, nodes: int) -> World:
    missing = [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if nodes > 1 and missing:
        raise UsageError(
            f"--nodes {nodes} needs {', '.join(missing)} in the environment of each machine: the machine's "
            f"number from 0 as NODE_RANK, the first one's address and a free port as MASTER_ADDR, MASTER_PORT"
        )
    node, local_rank = _number("NODE_RANK", 0), _number("LOCAL_RANK", 0)
    for name, value, option, limit in (
        ("NODE_RANK", node, "--nodes", nodes),
        ("LOCAL_RANK", local_rank, "--devices", devices),
    ):
        if value >= limit:
            raise UsageError(
                f"{name} is {value} in the environment, but {option} is {limit}: unset it, or give a larger "
                f"{option}"
            )
    return World("", devices, nodes, node * devices + local_rank, local_rank, LightningEnvironment())


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UsageError(f"{name} has to be a whole number in the environment, but is '{text}'")
    return int(text)
