"""Augmentations: changes to a training pair that add variety."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import Field

from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Augment", "AugmentationOptions", "AugmentationSpec", "Pair"]


class Pair(NamedTuple):
    """A degraded patch ``(3, h, w)`` and its target ``(3, scale*h, scale*w)``, or batches of them.

    >>> import torch
    >>> pair = Pair(degraded=torch.rand(3, 8, 8), target=torch.rand(3, 32, 32))
    >>> pair.target.shape[-1] // pair.degraded.shape[-1]  # the scale
    4
    """

    degraded: Tensor
    target: Tensor


class Augment(Protocol):
    """Changes a pair. It draws from `generator` alone, so that a sample can be repeated.

    >>> import torch
    >>> def flip(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
    ...     return Pair(pair.degraded.flip(-1), pair.target.flip(-1))
    >>> augment: Augment = flip
    >>> pair = Pair(torch.rand(3, 8, 8), torch.rand(3, 32, 32))
    >>> augment(pair, torch.Generator(), None).target.shape
    torch.Size([3, 32, 32])
    """

    def __call__(self, pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
        """A new pair of the same shapes.

        Args:
            pair: as the degradation and the augmentations before left it; not changed.
            generator: on the CPU; the only source of random numbers.
            partner: another pair of the data, if the entry asks for one. Which one is drawn by the toolkit.
        """
        ...


class AugmentationOptions(Options):
    """What every augmentation has: subclass it to add options.

    >>> class RotateOptions(AugmentationOptions):
    ...     degrees: float = Field(10.0, gt=0, description="largest angle in degrees")
    >>> RotateOptions(probability=0.5)
    RotateOptions(probability=0.5, degrees=10.0)
    """

    probability: float = Field(1.0, ge=0, le=1, description="share of the samples that are changed")


@dataclass(frozen=True)
class AugmentationSpec(Named):
    """An augmentation of training pairs; ``build(options)`` gives an `Augment`.

    The toolkit decides by `AugmentationOptions.probability` whether a sample is changed; what is built
    always changes it.

    Example:
        >>> from restore.interfaces import lazy
        >>> spec = AugmentationSpec("flip", "Horizontal flips", build=lazy("restore_mine.flip:build"))
        >>> spec.options().probability
        1.0
    """

    name: str
    summary: str
    build: Callable[[Any], Augment]
    """``build(options)``: the function that changes a pair."""
    options: type[AugmentationOptions] = AugmentationOptions
    """Schema of the options that users can change."""
    needs_partner: bool = False
    """Whether it mixes a pair with another one."""
    reference: str = ""
    """The publication."""
