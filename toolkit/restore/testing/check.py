"""What a check is, and the images that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from restore.errors import first_line

__all__ = ["Check", "ContractError", "Finding", "check", "examine", "expect", "sample"]


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


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: Check
    problem: str = ""
    """What does not hold and what to do; empty when all is well."""

    @property
    def holds(self) -> bool:
        """Whether the claim does."""
        return not self.problem


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run all checks: one that fails or crashes hides none of the others."""
    for each in checks:
        try:
            each()
        except ContractError as error:
            yield Finding(each, str(error))
        # An entry can raise anything at all while it is checked, sys.exit() included; the others go on.
        except (Exception, SystemExit) as error:
            reason = first_line(error) if isinstance(error, Exception) else str(error)
            yield Finding(each, f"the check was ended by {type(error).__name__}: {reason}")
        else:
            yield Finding(each)


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
