"""The launch environment: which of the processes that train together this one is, before they are connected.

Either a launcher (torchrun, or SLURM's srun) started all of them and set environment variables for each, or
the user started one process on each machine, and that one starts the others of its machine.
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

__all__ = ["LaunchEnvironment", "find_launch", "is_other_rank", "reported_once"]


@dataclass(frozen=True)
class LaunchEnvironment:
    """The processes of a run, and the rank of this one."""

    launcher: str
    """Program that started the processes; empty when this one starts them."""
    devices: int
    """Processes on each machine, one per device."""
    nodes: int
    """Machines."""
    rank: int
    """Rank among all processes, from 0."""
    local_rank: int
    """Rank among the processes of this machine, from 0."""
    environment: ClusterEnvironment
    """How Fabric connects the processes."""

    @property
    def size(self) -> int:
        """Number of all processes (the world size)."""
        return self.devices * self.nodes


def find_launch(devices: int | None = None, nodes: int | None = None) -> LaunchEnvironment:
    """Read the launch environment.

    Args:
        devices: requested processes per machine; ``None``: as many as a launcher started, or one.
        nodes: requested machines; ``None``: likewise.

    Raises:
        UsageError: the environment contradicts the request or itself, or lacks a variable.
    """
    launch = _launched()
    if launch is None:
        return _self_launched(devices or 1, nodes or 1)
    if (devices or launch.devices, nodes or launch.nodes) != (launch.devices, launch.nodes):
        raise UsageError(
            f"`devices={devices or launch.devices}` `nodes={nodes or launch.nodes}` is not what "
            f"{launch.launcher} started, which is `devices={launch.devices}` `nodes={launch.nodes}`",
            hint="omit both, or start as many processes",
        )
    return launch


def is_other_rank() -> bool:
    """Whether this process is a rank other than 0, which writes and prints nothing.

    Raises:
        UsageError: as for `find_launch`.
    """
    launch = _launched()
    if launch is not None:
        return launch.rank > 0
    return _number("NODE_RANK", 0) > 0 or _number("LOCAL_RANK", 0) > 0


@contextmanager
def reported_once() -> Iterator[None]:
    """Let only local rank 0 report an error that is raised before the processes are connected.

    All processes that a launcher started raise the same error, and none can know about another. The processes
    that this program starts itself come later: their errors have not been reported yet.
    """
    try:
        yield
    except RestoreError as error:
        launch = _launched()
        if launch is not None and launch.local_rank > 0:
            raise SystemExit(error.exit_code) from None
        raise


def _launched() -> LaunchEnvironment | None:
    if TorchElasticEnvironment.detect():
        return _torchrun()
    # The job names of a shell inside an allocation: processes started there were started by hand.
    by_hand = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return _slurm() if _number("SLURM_NTASKS", 1) > 1 and not by_hand else None


def _torchrun() -> LaunchEnvironment:
    devices, nodes, size = (_number(name) for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "WORLD_SIZE"))
    if devices * nodes != size:
        raise UsageError(
            f"torchrun started {size} processes on {nodes} machines, {devices} of them on this one",
            hint="pass the same --nproc-per-node to torchrun on every machine",
        )
    return LaunchEnvironment(
        "torchrun", devices, nodes, _number("RANK"), _number("LOCAL_RANK"), TorchElasticEnvironment()
    )


def _slurm() -> LaunchEnvironment:
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise UsageError(
            f"SLURM started {_number('SLURM_NTASKS')} tasks, but does not say how many on each machine",
            hint="pass --ntasks-per-node to srun",
        )
    return LaunchEnvironment(
        "srun",
        _number("SLURM_NTASKS_PER_NODE"),
        _number("SLURM_NNODES"),
        _number("SLURM_PROCID"),
        _number("SLURM_LOCALID"),
        SLURMEnvironment(auto_requeue=False),
    )


def _self_launched(devices: int, nodes: int) -> LaunchEnvironment:
    missing = [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if nodes > 1 and missing:
        raise UsageError(
            f"`nodes={nodes}` needs {', '.join(missing)} in the environment of each machine",
            hint="set NODE_RANK to the machine's number from 0, and MASTER_ADDR and MASTER_PORT to the "
            "address and a free port of the first machine",
        )
    node, local_rank = _number("NODE_RANK", 0), _number("LOCAL_RANK", 0)
    for name, value, parameter, limit in (
        ("NODE_RANK", node, "nodes", nodes),
        ("LOCAL_RANK", local_rank, "devices", devices),
    ):
        if value >= limit:
            raise UsageError(
                f"{name} is {value} in the environment, but `{parameter}` is {limit}",
                hint=f"unset {name}, or increase `{parameter}`",
            )
    rank = node * devices + local_rank
    return LaunchEnvironment("", devices, nodes, rank, local_rank, LightningEnvironment())


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UsageError(f"the environment variable {name} is '{text}', not a whole number")
    return int(text)
