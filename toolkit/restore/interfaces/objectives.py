"""Objectives: what a generator is trained to minimize, as a recipe of named losses and discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from restore.errors import EntryError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

__all__ = ["Adversary", "AlwaysOpen", "Gate", "ObjectiveSpec", "Scores", "Term"]


@dataclass(frozen=True)
class Scores:
    """Mean probability of the right answer that a discriminator gave over one batch, in [0, 1].

    >>> Scores(real=0.8, generated=0.7).generated  # mean of 1 - D(restored)
    0.7
    """

    real: float
    """On target images: mean of D(target)."""
    generated: float
    """On restored images: mean of 1 - D(restored)."""


class Gate(Protocol):
    """Decides from the last scores whether the discriminator is updated in this step.

    A gate that is a subclass of `Options` can be changed by the user, as ``adversary.gate.FIELD``.

    >>> class Below(Options):
    ...     accuracy: float = 0.9
    ...     def is_open(self, scores: Scores | None) -> bool:
    ...         return scores is None or scores.generated < self.accuracy
    >>> gate: Gate = Below()
    >>> gate.is_open(Scores(real=0.9, generated=0.95))
    False
    """

    def is_open(self, scores: Scores | None) -> bool:
        """`scores` are those of the previous batch; ``None`` in the first step."""
        ...


class AlwaysOpen(Options):
    """The gate of an ordinary adversarial objective: the discriminator is updated in every step.

    Example:
        >>> AlwaysOpen().is_open(None)
        True
    """

    def is_open(self, scores: Scores | None) -> bool:  # noqa: ARG002 - the protocol's
        """Always true."""
        return True


@dataclass(frozen=True)
class Term:
    """A loss by name, any plugin's, with its weight and options.

    Example:
        >>> Term("perceptual", weight=0.5, options={"layers": "pool2:1"}).label
        'perceptual'
    """

    loss: str
    """Name of a loss."""
    weight: float = 1.0
    """Factor of its value."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the loss; the others have their defaults."""
    label: str = ""
    """Under which the user changes it and the log shows it. Left out: the name of the loss. With labels an
    objective can use one loss several times."""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.loss)


@dataclass(frozen=True)
class Adversary:
    """An adversarial term of an objective: a discriminator and an adversarial loss by name.

    In each step the generator is updated first, then the discriminator `steps` times.

    Example:
        >>> Adversary("unet", weight=0.1, loss="hinge", r1=10).label
        'adversary'
    """

    discriminator: str
    """Name of a discriminator."""
    weight: float = 1.0
    """Of the generator's adversarial term."""
    gate: Gate = field(default_factory=AlwaysOpen)
    """Decides in each step whether the discriminator is updated."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the discriminator."""
    loss: str = "vanilla"
    """Name of an adversarial loss."""
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the adversarial loss."""
    steps: int = 1
    """Updates of the discriminator for each of the generator."""
    fresh: bool = False
    """Whether each update of the discriminator sees new images; else all see those of the generator."""
    r1: float = 0.0
    """Weight of the R1 penalty, gamma in Mescheder et al. 2018, Eq. 9; 0: none."""
    r1_every: int = 1
    """Updates of the discriminator between two penalties, whose weight grows by this factor (Karras et al.
    2020, section 3.1)."""
    label: str = "adversary"
    """Under which the user changes it and the log shows it."""

    def __post_init__(self) -> None:
        for name in ("steps", "r1_every"):
            if getattr(self, name) < 1:
                raise EntryError(f"the {name} of an adversary start at 1, but got {getattr(self, name)}")


@dataclass(frozen=True)
class ObjectiveSpec(Named):
    """A named recipe: terms with weights, and adversaries.

    Raises:
        EntryError: the recipe is empty, has a label twice or a patch size below 1.

    Example:
        >>> terms, adversaries = (Term("l1"),), (Adversary("unet", weight=0.1),)
        >>> spec = ObjectiveSpec("sharp", "L1 and a U-Net", terms, adversaries)
        >>> spec.patch_size
        128
    """

    name: str
    summary: str
    terms: tuple[Term, ...] = ()
    """The losses, with labels that are all different."""
    adversaries: tuple[Adversary, ...] = ()
    """The adversarial terms, whose labels differ from each other and from those of the terms."""
    patch_size: int = 128
    """Side of the square training target in pixels, unless the user asks for another."""
    reference: str = ""
    """The publication."""

    def __post_init__(self) -> None:
        super().__post_init__()
        labels = [term.label for term in self.terms] + [each.label for each in self.adversaries]
        if not labels:
            raise EntryError(f"objective '{self.name}' has neither a term nor an adversary")
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise EntryError(f"objective '{self.name}' has '{twice}' twice: give one a label of its own")
        if self.patch_size < 1:
            raise EntryError(f"objective '{self.name}' declares a patch size of {self.patch_size} pixels")
