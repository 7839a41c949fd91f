"""Checks, their results, and the images that they use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from restore.errors import first_line

__all__ = ["Check", "ContractError", "Finding", "check", "examine", "expect", "sample"]


class ContractError(AssertionError):
    """An entry violates the contract.

    >>> raise ContractError("the result has 3x8x8 values; expected 3x32x32")
    Traceback (most recent call last):
    ...
    restore.testing.check.ContractError: the result has 3x8x8 values; expected 3x32x32
    """


@dataclass(frozen=True)
class Check:
    """A claim about an entry. Call it to test the claim.

    >>> Check("model mine: gives images of the right size", lambda: None)() is None  # it passes
    True
    """

    name: str
    run: Callable[[], str | None]

    def __call__(self) -> str | None:
        """Test the claim.

        Returns:
            A limitation that the contract allows, such as a model that cannot be exported; ``None`` if there
            is none.

        Raises:
            ContractError: the claim is false.
        """
        return self.run()

    def __str__(self) -> str:
        return self.name


def check(subject: str, claim: Callable[..., str | None], *arguments: object) -> Check:
    """Return the check that calls `claim` with `arguments`; its name is that of the function, in words."""
    name = claim.__name__.strip("_").replace("_", " ")
    return Check(f"{subject}: {name}", partial(claim, *arguments))


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    >>> claim = Check("model mine: is deterministic", lambda: None)
    >>> Finding(claim).passed, Finding(claim, problem="two calls differ").passed
    (True, False)
    """

    check: Check
    problem: str = ""
    """What is wrong and what to do; empty if the check passed."""
    note: str = ""
    """A limitation that the contract allows; empty if there is none."""

    @property
    def passed(self) -> bool:
        """Whether the claim is true."""
        return not self.problem


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run all checks, also after one of them fails or crashes.

    >>> def image_is_square() -> None:
    ...     expect(False, "it is not square")
    >>> [finding.problem for finding in examine([check("picture", image_is_square)])]
    ['it is not square']
    """
    for each in checks:
        try:
            note = each()
        except ContractError as error:
            yield Finding(each, str(error))
        # An entry can raise anything while it is checked, or call sys.exit(); the other checks still run.
        except (Exception, SystemExit) as error:
            reason = first_line(error) if isinstance(error, Exception) else str(error)
            yield Finding(each, f"the check was ended by {type(error).__name__}: {reason}")
        else:
            yield Finding(each, note=note or "")


def expect(condition: object, problem: str) -> None:
    """Raise unless `condition` is true.

    Raises:
        ContractError: with `problem` as its message.
    """
    if not condition:
        raise ContractError(problem)


def sample(height: int, width: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Reproducible noise images ``(batch, 3, height, width)`` in [0, 1)."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64).to(dtype)
