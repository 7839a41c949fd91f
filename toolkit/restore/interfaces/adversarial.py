"""Discriminators, and adversarial losses over their logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["AdversarialLoss", "AdversarialLossSpec", "DiscriminatorSpec", "GradientPenalty", "Logits"]

Logits: TypeAlias = "Tensor | Sequence[Tensor]"
"""What a discriminator returns: ``(B, 1)``, ``(B, 1, h, w)``, or one of these for each of its scales."""


class AdversarialLoss(Protocol):
    """The generator's and the discriminator's loss over logits (the larger, the more real).

    Both methods return a scalar, the mean over images, positions and scales. They are called in float32.

    >>> from restore.registry import discover
    >>> spec = discover().adversarial_losses["hinge"]
    >>> loss: AdversarialLoss = spec.build(spec.options())
    >>> loss.needs_real, loss.whole_batch
    (False, False)
    """

    needs_real: bool
    """Whether the generator's loss depends on the logits of the targets. Where it does not, the
    discriminator is not run on them for it."""
    whole_batch: bool
    """Whether the loss of one image depends on the logits of others, such as on their mean. Then it is
    given the logits of the whole batch, over all parts and processes; else those of one part."""

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:
        """What the generator minimizes.

        Args:
            fake: logits of the restored images.
            real: logits of the targets, without gradient; ``None`` unless `needs_real`.
        """
        ...

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """What the discriminator minimizes.

        Args:
            fake: logits of the restored images, which are detached from the generator.
            real: logits of the targets.
        """
        ...


@runtime_checkable
class GradientPenalty(Protocol):
    """What an `AdversarialLoss` has besides if it penalizes the discriminator's gradient.

    >>> import torch
    >>> class R1:
    ...     def penalty(self, discriminator, real, fake, generator):
    ...         real = real.detach().requires_grad_()
    ...         (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    ...         return gradient.square().sum((1, 2, 3)).mean()
    >>> isinstance(R1(), GradientPenalty)
    True
    """

    def penalty(
        self,
        discriminator: Callable[[Tensor], Logits],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """A weighted scalar that is added to the discriminator's loss. Called in float32, without autocast.

        Args:
            discriminator: images to logits, differentiable twice.
            real: targets ``(B, 3, H, W)``.
            fake: restored images, of the same shape, detached.
            generator: the only source of random numbers.
        """
        ...


@dataclass(frozen=True)
class AdversarialLossSpec(Named):
    """The formula of an adversarial term; ``build(options)`` gives an `AdversarialLoss`.

    One that penalizes gradients is also a `GradientPenalty`.

    Example:
        >>> from restore.interfaces import lazy
        >>> AdversarialLossSpec("hinge", "Hinge loss", build=lazy("restore_mine.losses:build_hinge")).name
        'hinge'
    """

    name: str
    summary: str
    build: Callable[[Any], AdversarialLoss]
    """``build(options)``: the formula."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""


@dataclass(frozen=True)
class DiscriminatorSpec(Named):
    """A discriminator.

    ``build(target_size, options)`` gives a module that maps images ``(B, 3, target_size, target_size)`` to
    `Logits`: the larger, the more real. A conditional one is called with a second argument, the degraded
    images enlarged to the size of the first by bicubic interpolation.

    Example:
        >>> from restore.interfaces import lazy
        >>> DiscriminatorSpec("patch", "Logits of patches", lazy("restore_mine.patch:build")).conditional
        False
    """

    name: str
    summary: str
    build: Callable[[int, Any], nn.Module]
    """``build(target_size, options)``: the network for targets of this size in pixels."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""
    conditional: bool = False
    """Whether it is also called with the enlarged degraded images."""
