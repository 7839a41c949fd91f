"""The processes that train together: the first one leads, writes and speaks, the others only compute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric
from torch import Tensor

from restore.errors import RestoreError, TrainingError, UsageError

__all__ = ["Team", "connect", "helpers_end_here"]

Result = TypeVar("Result")


class Team:
    """All processes of a run, seen from one of them.

    Each method is called by all processes at the same point. Of a failure that only one process meets
    (an image that it cannot read, a disk that is full) all of them learn: none waits for one that is
    gone, and the leader can say what went wrong.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.leads = fabric.is_global_zero

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        if self.fabric.world_size == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=self.fabric.device)) > 0)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes."""
        return torch.as_tensor(self.fabric.all_reduce(tensor, reduce_op="mean"))

    def share(self, content: Result) -> Result:
        """The leader's `content`, in every process."""
        shared: Result = self.fabric.broadcast(content)
        return shared

    def agree(self, **facts: object) -> None:
        """Check that every process knows the same as the leader.

        Raises:
            UsageError: one does not; its first fact that differs is named.
        """
        leaders = self.share(facts)

        def compare() -> None:
            for name, value in facts.items():
                if value != leaders[name]:
                    raise UsageError(
                        f"the {name} of process {self.fabric.global_rank} are not those of the first one "
                        f"({_difference(value, leaders[name])}): start the same command everywhere, with the "
                        f"same files"
                    )

        self.each(compare)

    def each(self, action: Callable[[], Result]) -> Result:
        """Do something in every process.

        Raises:
            RestoreError: what `action` raised in this process, or else in another.
            OSError: the same.
        """
        failure: Exception | None = None
        try:
            result = action()
        except (RestoreError, OSError) as error:
            failure = error
        if self.any(failure is not None):
            raise self._first(failure)
        return result

    def lead(self, action: Callable[[], Result]) -> Result | None:
        """Do something in the leader only, while the others wait.

        Raises:
            RestoreError: what `action` raised.
            OSError: the same.
        """
        return self.each(lambda: action() if self.leads else None)

    def _first(self, failure: Exception | None) -> Exception:
        """This process's failure, or else that of the first one that has any."""
        failures: list[Exception | None] = [failure]
        if self.fabric.world_size > 1:
            failures = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(failures, failure)
        return failure or next(found for found in failures if found is not None)


def _difference(value: object, expected: object) -> str:
    if isinstance(value, dict) and isinstance(expected, dict):
        key = next(key for key in value if value[key] != expected.get(key))
        return f"{key}: {value[key]!r}, not {expected.get(key)!r}"
    return f"{value!r}, not {expected!r}"


def connect(fabric: Fabric) -> Team:
    """Start the processes that nobody else started, and wait for all.

    Raises:
        TrainingError: they did not find each other.
    """
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise TrainingError(
            f"the processes did not find each other at {place}: check MASTER_ADDR and MASTER_PORT, and that "
            f"the command runs on every machine"
        ) from error
    return Team(fabric)


@contextmanager
def helpers_end_here(team: Team) -> Iterator[None]:
    """Let only the leader out of the block: what comes after it, printing included, is to happen once.

    A helper leaves with success, because Fabric kills the leader when a helper fails, and the leader
    may not have finished to say why.
    """
    try:
        yield
    except (RestoreError, OSError, KeyboardInterrupt):
        if team.leads:
            raise
    finally:
        # The threads of the group must end before the process does, which else aborts now and then.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if not team.leads:
        raise SystemExit(0)
