"""What a generator learns from: losses, a discriminator behind its gate, and recipes of both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from restore.errors import EntryError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Adversary",
    "AlwaysOpen",
    "Checkable",
    "DiscriminatorSpec",
    "FeatureLoss",
    "FeatureNetwork",
    "Gate",
    "LossSpec",
    "ObjectiveSpec",
    "Preparable",
    "Scores",
    "Term",
    "check_preparation",
    "prepare",
]


@dataclass(frozen=True)
class LossSpec(Named):
    """One term of an objective.

    ``build(options)`` gives a module that is called with ``(restored, target)``, both by the tensor
    contract and of equal shape, and returns **one scalar** to be minimised. Building downloads nothing and
    reads nothing: see `Preparable`. A module that compares features of a network can share its pass
    through it with other losses: see `FeatureLoss`.
    """

    name: str
    summary: str
    build: Callable[[Any], nn.Module]
    options: type[Options] = Options
    reference: str = ""


@runtime_checkable
class Preparable(Protocol):
    """A loss's module that needs more than its options: weights to be fetched, statistics of images.

    What it measures it keeps in persistent buffers, so that the checkpoints of a run carry it. Weights
    that can be fetched again belong into buffers that are not persistent.
    """

    def prepare(self, samples: Sequence[Tensor]) -> None:
        """Become ready to be called. Done once before the first step, and again after a run is resumed.

        Args:
            samples: targets ``(3, H, W)`` of the data, read when they are asked for. What the persistent
                buffers hold already is not measured again.

        Raises:
            RestoreError: something cannot be fetched, or does not fit.
        """
        ...


def prepare(module: nn.Module, samples: Sequence[Tensor]) -> None:
    """Prepare all parts of `module` that have to be.

    Args:
        module: a loss, or anything that holds losses.
        samples: see `Preparable`.

    Raises:
        RestoreError: what a part raised.
    """
    for part in module.modules():
        if isinstance(part, Preparable):
            part.prepare(samples)


@runtime_checkable
class Checkable(Protocol):
    """A loss's module that can tell in advance whether `Preparable.prepare` would fail.

    A run calls it before it starts processes, so that a missing or incomplete file is reported at once.
    """

    def check_preparation(self) -> None:
        """Look at what `prepare` will need, without fetching or measuring anything.

        Raises:
            RestoreError: something is missing or does not fit.
        """
        ...


def check_preparation(module: nn.Module) -> None:
    """Check all parts of `module` that are `Checkable`.

    Args:
        module: a loss, or a module that contains losses.

    Raises:
        RestoreError: a part raised it.
    """
    for part in module.modules():
        if isinstance(part, Checkable):
            part.check_preparation()


class FeatureNetwork(Protocol):
    """A frozen network that losses look at images with."""

    key: Hashable
    """Networks with equal keys give equal features: an objective keeps one of them."""

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """``(B, 3, H, W)`` to the features at each of `layers`, in one pass."""
        ...


@runtime_checkable
class FeatureLoss(Protocol):
    """What a loss's module has besides when it compares features instead of pixels.

    Losses with networks of one key share a single pass through it for each image, and the target's
    features carry no gradient. Called with images, as any loss, the module gives the same figure.
    """

    network: FeatureNetwork
    """An objective replaces it by an equal one that it shares."""
    layers: Collection[str]
    """What it asks the network for."""

    def compare(self, restored: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """One scalar from the features at its `layers`; others may be there."""
        ...


@dataclass(frozen=True)
class Scores:
    """Mean probability of the right answer that a discriminator gave over one batch, in [0, 1]."""

    real: float
    """On target images: mean of D(target)."""
    generated: float
    """On restored images: mean of 1 - D(restored)."""


class Gate(Protocol):
    """One question, answered from the last scores: may the discriminator learn in this step?

    A gate that is a subclass of `Options` can be changed by the user: ``--set adversary.gate.FIELD=VALUE``.
    """

    def is_open(self, scores: Scores | None) -> bool:
        """`scores` are those of the previous batch; ``None`` in the first step."""
        ...


class AlwaysOpen(Options):
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
    """Of the discriminator. Among the user's changes ``weight`` and ``gate`` mean the fields above, so a
    discriminator cannot have options of these names."""


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
