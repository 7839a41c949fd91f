"""What a check is, and the images that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

__all__ = ["Check", "ContractError", "check", "expect", "sample"]


class ContractError(AssertionError):
    """An entry does not keep the contract."""


@dataclass(frozen=True)
class Check:
    """One claim about one entry: call it to see whether it holds."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Raises `ContractError` when the claim does not hold."""
        self.run()

    def __str__(self) -> str:
        return self.name


def check(subject: str, claim: Callable[..., None], *arguments: object) -> Check:
    """A check of `claim`, whose name is the claim, called with `arguments`."""
    name = claim.__name__.strip("_").replace("_", " ")
    return Check(f"{subject}: {name}", partial(claim, *arguments))


def expect(condition: object, problem: str) -> None:
    """Go on if `condition` holds.

    Raises:
        ContractError: it does not; says `problem`.
    """
    if not condition:
        raise ContractError(problem)


def sample(height: int, width: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Repeatable images of noise, ``(batch, 3, height, width)`` in [0, 1)."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64).to(dtype)
