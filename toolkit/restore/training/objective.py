"""The terms of an objective as one module."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from restore.interfaces import FeatureLoss, FeatureNetwork, ObjectiveSpec, Term, parse
from restore.registry import Registry

__all__ = ["Objective"]


class Objective(nn.Module):
    """The weighted terms that compare a restored image with its target.

    Terms that compare features of the same network share a single pass through it.

    Args:
        spec: names the losses.
        registry: all entries.

    Raises:
        UnknownNameError: no such loss.
        OptionsError: an option of a loss is wrong.
    """

    def __init__(self, spec: ObjectiveSpec, registry: Registry) -> None:
        super().__init__()
        self.terms = spec.terms
        self.losses = nn.ModuleList(_built(term, registry) for term in spec.terms)
        self._networks: dict[Hashable, FeatureNetwork] = {}
        self._layers: dict[Hashable, set[str]] = {}
        for loss in self.losses:
            if isinstance(loss, FeatureLoss):
                loss.network = self._networks.setdefault(loss.network.key, loss.network)
                self._layers.setdefault(loss.network.key, set()).update(loss.layers)

    def forward(self, restored: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The weighted terms.

        Args:
            restored: ``(B, 3, H, W)``.
            target: of the same shape.

        Returns:
            Loss -> its weighted scalar.
        """
        with torch.no_grad():
            of_target = self._features(target)
        of_restored = self._features(restored)
        values = {}
        for term, loss in zip(self.terms, self.losses, strict=True):
            if isinstance(loss, FeatureLoss):
                value = loss.compare(of_restored[loss.network.key], of_target[loss.network.key])
            else:
                value = loss(restored, target)
            values[term.loss] = term.weight * value
        return values

    def _features(self, images: Tensor) -> dict[Hashable, dict[str, Tensor]]:
        return {key: network(images, self._layers[key]) for key, network in self._networks.items()}


def _built(term: Term, registry: Registry) -> nn.Module:
    spec = registry.losses[term.loss]
    return spec.build(parse(spec.options, term.options, f"loss '{term.loss}'"))
