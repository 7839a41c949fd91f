"""Degradations: how a degraded image is made from its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["UNDEGRADED", "DegradationSpec", "Degrade", "Degraded", "Parameters"]

Parameters: TypeAlias = Mapping[str, float | str]
"""What a degradation drew for one image, such as ``{"sigma": 12.5}``.

A model that takes numbers beside the image (`ModelSpec.conditions`) is trained with the drawn ones of their
names. ``sigma`` is always the standard deviation of noise in levels of 255, and ``quality`` that of a lossy
compression from 1 to 100.
"""

UNDEGRADED: Mapping[str, float] = {"sigma": 0.0, "quality": 100.0}
"""The values of an image without noise or compression, for which nothing was drawn."""


class Degraded(NamedTuple):
    """Degraded images, and what was drawn for each of them.

    Example:
        >>> import torch
        >>> degraded = Degraded(torch.rand(2, 3, 8, 8), ({"sigma": 12.5}, {"sigma": 3.0}))
        >>> degraded.parameters[0]
        {'sigma': 12.5}
    """

    image: Tensor
    """``(B, 3, h, w)`` in [0, 1]."""
    parameters: tuple[Parameters, ...]
    """One for each image: for records, plots, and models that are told the strength."""


class Degrade(Protocol):
    """Makes the inputs of a model from their targets.

    >>> import torch
    >>> from torch.nn.functional import avg_pool2d
    >>> def average(target: Tensor, generator: torch.Generator, /) -> Degraded:
    ...     return Degraded(avg_pool2d(target, 2), ({},) * len(target))
    >>> degrade: Degrade = average
    >>> degrade(torch.rand(1, 3, 8, 8), torch.Generator()).image.shape
    torch.Size([1, 3, 4, 4])
    """

    def __call__(self, target: Tensor, generator: torch.Generator, /) -> Degraded:
        """``(B, 3, scale*h, scale*w)`` in [0, 1], float, to ``(B, 3, h, w)`` of the same type.

        Each image of a batch gets its own draw. A random degradation draws from `generator` alone, which is
        on the CPU, so that a sample can be repeated.
        """
        ...


def _no_margin(scale: int, options: Any) -> int:  # noqa: ARG001 - the signature of a margin
    return 0


@dataclass(frozen=True)
class DegradationSpec(Named):
    """A degradation. Several form a chain by name: ``blur+bicubic+noise+jpeg``.

    In a chain exactly one element resizes and is built for the scale; the others are built for scale 1.

    Example:
        >>> from restore.interfaces import lazy
        >>> spec = DegradationSpec(
        ...     "haze",
        ...     "A veil of gray",
        ...     build=lazy("restore_mine.haze:build"),
        ...     protocol=lambda scale, options: "haze of 20%",
        ...     resizes=False,
        ... )
        >>> spec.margin(1, spec.options())
        0
    """

    name: str
    summary: str
    build: Callable[[int, Any], Degrade]
    """``build(scale, options)``."""
    protocol: Callable[[int, Any], str]
    """``protocol(scale, options)``: everything that changes the result, in one line."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""
    margin: Callable[[int, Any], int] = _no_margin
    """``margin(scale, options)``: pixels of the target's surroundings, on each side, on which the result
    depends. A patch is cut with them, so that it is degraded as a part of its image."""
    resizes: bool = True
    """Whether it divides the size by the scale; if not, it is for scale 1."""
