"""The process group that trains together: rank 0 writes files and prints, the other ranks only compute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric
from torch import Tensor

from restore.errors import RestoreError, TrainingError, UsageError

__all__ = ["ProcessGroup", "connect", "exit_other_ranks"]

Result = TypeVar("Result")


class ProcessGroup:
    """All processes of a run, seen from one of them.

    Every method is a collective: all ranks call it at the same point. An exception that only one rank raises
    (an unreadable image, a full disk) is raised on all of them, so that none waits for a rank that is gone,
    and rank 0 can report the reason.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.is_rank_zero = fabric.is_global_zero

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true on any rank."""
        if self.fabric.world_size == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=self.fabric.device)) > 0)

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of `tensor` over all ranks."""
        return torch.as_tensor(self.fabric.all_reduce(tensor, reduce_op="mean"))

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.fabric.world_size

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, joined along the first dimension; gradients reach this one's alone.

        Args:
            tensor: of equal shape in every process.
        """
        if self.size == 1:
            return tensor
        gathered = [torch.empty_like(tensor) for _ in range(self.size)]
        torch.distributed.all_gather(gathered, tensor.detach().contiguous())
        gathered[self.fabric.global_rank] = tensor
        return torch.cat(gathered)

    def average_changes(self, tensors: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Replace the changes of `tensors` since `before` by their mean over all ranks, in place.

        Args:
            tensors: floating point, equal on all ranks before they changed.
            before: copies of them from before the change.
        """
        for tensor, old in zip(tensors, before, strict=True):
            tensor.copy_(old + self.mean(tensor - old))

    def broadcast(self, content: Result) -> Result:
        """Return rank 0's `content` on every rank."""
        received: Result = self.fabric.broadcast(content)
        return received

    def check_equal(self, **facts: object) -> None:
        """Check that `facts` are the same on every rank.

        Raises:
            UsageError: one differs from that of rank 0; it is named.
        """
        expected = self.broadcast(facts)

        def compare() -> None:
            for name, value in facts.items():
                if value != expected[name]:
                    raise UsageError(
                        f"the {name} of process {self.fabric.global_rank} are not those of process 0 "
                        f"({_difference(value, expected[name])})",
                        hint="start the same command on every machine, with the same files",
                    )

        self.on_all_ranks(compare)

    def on_all_ranks(self, action: Callable[[], Result]) -> Result:
        """Run `action` on every rank.

        Raises:
            RestoreError: `action` raised it on this rank, or else on another.
            OSError: likewise.
        """
        failure: Exception | None = None
        try:
            result = action()
        except (RestoreError, OSError) as error:
            failure = error
        if self.any(failure is not None):
            raise self._first(failure)
        return result

    def on_rank_zero(self, action: Callable[[], Result]) -> Result | None:
        """Run `action` on rank 0 while the other ranks wait; they return ``None``.

        Raises:
            RestoreError: `action` raised it.
            OSError: likewise.
        """
        return self.on_all_ranks(lambda: action() if self.is_rank_zero else None)

    def _first(self, failure: Exception | None) -> Exception:
        """The exception of this rank, or else that of the first rank that has one."""
        failures: list[Exception | None] = [failure]
        if self.fabric.world_size > 1:
            failures = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(failures, failure)
        return failure or next(found for found in failures if found is not None)


def connect(fabric: Fabric) -> ProcessGroup:
    """Start the processes that no launcher started, and wait until all are connected.

    Raises:
        TrainingError: they cannot connect.
    """
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise TrainingError(
            f"the processes cannot connect to each other at {place}",
            hint="check MASTER_ADDR and MASTER_PORT, and that the command runs on every machine",
        ) from error
    return ProcessGroup(fabric)


@contextmanager
def exit_other_ranks(group: ProcessGroup) -> Iterator[None]:
    """Let only rank 0 leave the block: the code after it, printing included, runs once.

    The other ranks exit with code 0 even after an error, because Fabric kills rank 0 when another rank fails,
    and rank 0 may not have reported the reason yet.
    """
    try:
        yield
    except (RestoreError, OSError, KeyboardInterrupt):
        if group.is_rank_zero:
            raise
    finally:
        # The threads of the group must end before the process does, which otherwise aborts now and then.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if not group.is_rank_zero:
        raise SystemExit(0)


def _difference(value: object, expected: object) -> str:
    if isinstance(value, dict) and isinstance(expected, dict):
        key = next(key for key in value if value[key] != expected.get(key))
        return f"{key}: {value[key]!r}, not {expected.get(key)!r}"
    return f"{value!r}, not {expected!r}"
