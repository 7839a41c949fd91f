"""What a generator learns from: losses, a discriminator behind its gate, and recipes of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from restore.errors import EntryError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Adversary",
    "AlwaysOpen",
    "DiscriminatorSpec",
    "Gate",
    "LossSpec",
    "ObjectiveSpec",
    "Scores",
    "Term",
]


@dataclass(frozen=True)
class LossSpec(Named):
    """One term of an objective.

    ``build(options)`` gives a module that is called with ``(restored, target)``, both by the tensor
    contract and of equal shape, and returns **one scalar** to be minimised.
    """

    name: str
    summary: str
    build: Callable[[Any], nn.Module]
    options: type[Options] = Options
    reference: str = ""


@dataclass(frozen=True)
class Scores:
    """Mean probability of the right answer that a discriminator gave over one batch, in [0, 1]."""

    real: float
    """On target images: mean of D(target)."""
    generated: float
    """On restored images: mean of 1 - D(restored)."""


class Gate(Protocol):
    """One question, answered from the last scores: may the discriminator learn in this step?"""

    def is_open(self, scores: Scores | None) -> bool:
        """`scores` are those of the previous batch; ``None`` in the first step."""
        ...


@dataclass(frozen=True)
class AlwaysOpen:
    """The gate of an ordinary adversarial objective: the discriminator learns in every step."""

    def is_open(self, scores: Scores | None) -> bool:  # noqa: ARG002
        """Always true."""
        return True


@dataclass(frozen=True)
class Term:
    """A loss with its weight and options, by name: any plugin's loss can be named."""

    loss: str
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Adversary:
    """The adversarial term of an objective, by the name of its discriminator."""

    discriminator: str
    weight: float = 1.0
    gate: Gate = field(default_factory=AlwaysOpen)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveSpec(Named):
    """A named recipe: terms with weights, and at most one adversary."""

    name: str
    summary: str
    terms: tuple[Term, ...]
    adversary: Adversary | None = None
    patch_size: int = 128
    """Side of the square training target in pixels, unless the user asks for another."""
    reference: str = ""

    def __post_init__(self) -> None:
        """Check the recipe.

        Raises:
            EntryError: the recipe is empty, names a loss twice or has a patch size below 1.
        """
        super().__post_init__()
        losses = [term.loss for term in self.terms]
        if not losses and self.adversary is None:
            raise EntryError(f"objective '{self.name}' has neither a term nor an adversary")
        if len(losses) != len(set(losses)):
            raise EntryError(f"objective '{self.name}' names a loss twice: {', '.join(losses)}")
        if self.patch_size < 1:
            raise EntryError(f"objective '{self.name}' declares a patch size of {self.patch_size} pixels")


@dataclass(frozen=True)
class DiscriminatorSpec(Named):
    """A discriminator.

    ``build(target_size, options)`` gives a module that maps images ``(B, 3, target_size,
    target_size)`` to **logits** ``(B, 1)`` or ``(B, 1, h, w)``: the larger, the more real.
    """

    name: str
    summary: str
    build: Callable[[int, Any], nn.Module]
    options: type[Options] = Options
    reference: str = ""
