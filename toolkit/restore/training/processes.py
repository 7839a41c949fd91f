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

from restore.errors import RestoreError

__all__ = ["Team", "helpers_end_here", "is_helper"]

Result = TypeVar("Result")


def is_helper() -> bool:
    """Whether this process only helps another one of this machine to train."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


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

    def any(self, flag: bool) -> bool:  # noqa: FBT001
        """Whether it is true in any process."""
        return bool(self._reduce(torch.tensor(float(flag), device=self.fabric.device), "sum") > 0)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes."""
        return self._reduce(tensor, "mean")

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
            raise failure or self._failure_elsewhere()
        return result

    def lead(self, action: Callable[[], Result]) -> Result | None:
        """Do something in the leader only, while the others wait.

        Raises:
            RestoreError: what `action` raised.
            OSError: the same.
        """
        return self.each(lambda: action() if self.leads else None)

    def _failure_elsewhere(self) -> Exception:
        ...

    def _reduce(self, tensor: Tensor, how: str) -> Tensor:
        result = self.fabric.all_reduce(tensor, reduce_op=how)
        return result if isinstance(result, Tensor) else tensor
