"""Samples of several sources, in proportion to their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from torch.utils.data import Dataset

from restore.data.patches import Patches, Sample

__all__ = ["Mixture", "Samples", "counts"]

_BLOCK = 1000  # samples in which each source has its exact share


class Mixture(Dataset[Sample]):
    """Samples of several sources: of each 1000 in a row, every source has a share according to its weight.

    The order within a block is random, but counted: the source of sample i, and which of its samples it is,
    follow from (seed, i) alone.

    Args:
        sources: of one scale and patch size, each with a seed of its own.
        weights: of the sources, all above zero.
        seed: decides the order.
    """

    def __init__(self, sources: Sequence[Patches], weights: Sequence[float], seed: int) -> None:
        self.sources = list(sources)
        self.patch = sources[0].patch
        self.scale = sources[0].scale
        self.seed = seed
        self._counts = counts(weights)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    @property
    def files(self) -> list[Path]:
        """The targets of all sources."""
        return [file for source in self.sources for file in source.files]

    def __getitem__(self, index: int) -> Sample:
        source, own = self.place(index)
        return self.sources[source][own]

    def place(self, index: int) -> tuple[int, int]:
        """The source of a sample, and the index that it has there."""
        block, position = divmod(index, _BLOCK)
        if self._order[0] != block:
            random = np.random.Generator(np.random.Philox(key=[self.seed, 2**61 + block]))
            numbers = np.repeat(np.arange(len(self.sources)), self._counts)
            self._order = (block, random.permutation(numbers))
        order = self._order[1]
        source = int(order[position])
        before = int((order[:position] == source).sum())
        return source, block * self._counts[source] + before


Samples: TypeAlias = Patches | Mixture
"""Training samples by their index."""


def counts(weights: Sequence[float], total: int = _BLOCK) -> list[int]:
    """Divide `total` in proportion to `weights`; every part is at least 1.

    >>> counts([3, 1]), counts([1, 1, 1]), counts([1e9, 1])
    ([750, 250], [334, 333, 333], [999, 1])
    """
    exact = [total * weight / sum(weights) for weight in weights]
    found = [max(1, int(share)) for share in exact]
    while sum(found) < total:
        missing = [share - count for share, count in zip(exact, found, strict=True)]
        found[missing.index(max(missing))] += 1
    while sum(found) > total:
        found[found.index(max(found))] -= 1
    return found
