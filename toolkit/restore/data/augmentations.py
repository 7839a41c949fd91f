"""Augmentations by name, with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from restore.errors import OptionsError, nearest
from restore.interfaces import Augment, Pair, parse
from restore.registry import Registry

__all__ = ["Augmentation", "find_augmentations"]


@dataclass(frozen=True)
class Augmentation:
    """A random change to a patch and its target.

    Args:
        augment: makes the change.
        probability: share of the samples that are changed.
        needs_partner: whether it mixes two samples.
    """

    augment: Augment
    probability: float = 1.0
    needs_partner: bool = False

    def applies(self, generator: torch.Generator) -> bool:
        """Draw whether the sample is changed."""
        return bool(torch.rand((), generator=generator) < self.probability)

    def __call__(self, pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
        """See `restore.interfaces.Augment`."""
        return self.augment(pair, generator, partner)


def find_augmentations(
    names: Sequence[str], registry: Registry, options: Mapping[str, Any] | None = None
) -> list[Augmentation]:
    """The augmentations of these names, in their order.

    Args:
        names: of entries; one may be named twice.
        registry: where to look.
        options: name -> its options.

    Raises:
        UnknownNameError: no such augmentation.
        OptionsError: an option is wrong, or for an augmentation that is not named.

        >>> from restore.registry import discover
        >>> (turn,) = find_augmentations(["turn"], discover(), {"turn": {"probability": 0.5}})
        >>> turn.probability
        0.5
    """
    given = options or {}
    unused = next((name for name in given if name not in names), None)
    if unused is not None:
        raise OptionsError(
            f"`augmentation_options` are given for '{unused}', which is not used.{nearest(unused, names)}",
            hint="add it to `augmentations`",
        )
    found = []
    for name in names:
        spec = registry.augmentations[name]
        parsed = parse(spec.options, given.get(name, {}), f"augmentation '{name}'")
        found.append(Augmentation(spec.build(parsed), parsed.probability, spec.needs_partner))
    return found
