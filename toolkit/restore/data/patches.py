"""Random patches of images with their degraded versions.

Randomness is counted, not streamed: image, crop and augmentation of sample i follow from (seed, i) alone. Any
number of workers and processes, and a resumed run, see the same data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.data.augmentations import Augmentation
from restore.data.conditions import conditions_of
from restore.data.degradations import Degradation
from restore.images import read_levels
from restore.interfaces import Pair

__all__ = ["Patches", "Sample", "Targets"]

_PARTNERS = 2**40  # of which a sample to be mixed in is drawn


class Sample(NamedTuple):
    """A training sample, or a batch of them."""

    degraded: Tensor
    """``(3, h, w)`` in [0, 1]."""
    target: Tensor
    """``(3, scale*h, scale*w)`` in [0, 1]."""
    conditions: Tensor
    """``(n,)``: the numbers that the model takes beside the degraded image."""


class Patches(Dataset[Sample]):
    """Random square patches: the target of a sample has ``p`` pixels on each side, its input ``p/scale``.

    Each image is used once before any is used again.

    Args:
        files: images with both sides >= `patch`.
        patch: side of the target in pixels, a multiple of the scale.
        degradation: makes the input from the target.
        seed: together with the index decides the sample.
        augmentations: random changes, one after the other.
        conditions: names of the numbers that the model takes; the degradation draws them.
        cache_bytes: memory for decoded images.
    """

    def __init__(
        self,
        files: Sequence[Path],
        patch: int,
        degradation: Degradation,
        *,
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        conditions: Sequence[str] = (),
        cache_bytes: int = 0,
    ) -> None:
        self.files = list(files)
        self.patch = patch
        self.degradation = degradation
        self.scale = degradation.scale
        self.seed = seed
        self.augmentations = list(augmentations)
        self.conditions = tuple(conditions)
        self.cache = _Cache(cache_bytes)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, index: int) -> Sample:
        random = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        *images, conditions = self._plain(index, random)
        pair = Pair(*images)
        for augmentation in self.augmentations:
            generator = torch.Generator().manual_seed(int(random.integers(2**62)))
            other = int(random.integers(_PARTNERS))
            if augmentation.applies(generator):
                partner = self._partner(other) if augmentation.needs_partner else None
                pair = augmentation(pair, generator, partner)
        return Sample(*pair, conditions)

    def _plain(self, index: int, random: np.random.Generator) -> Sample:
        """A sample before augmentations."""
        image = self.cache.read(self._file(index))  # (3, H, W) uint8
        top, left = (
            int(random.integers(0, (side - self.patch) // self.scale + 1)) * self.scale
            for side in image.shape[1:]
        )
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        return self._cut(image, top, left, noise)

    def _partner(self, index: int) -> Pair:
        """A sample to be mixed with another one; its numbers differ from those of all samples."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, 2**63 + index]))
        degraded, target, _ = self._plain(index, random)
        return Pair(degraded, target)

    def _file(self, index: int) -> Path:
        epoch, position = divmod(index, len(self.files))
        if self._order[0] != epoch:
            order = np.random.Generator(np.random.Philox(key=[self.seed, 2**62 + epoch]))
            self._order = (epoch, order.permutation(len(self.files)))
        return self.files[int(self._order[1][position])]

    def _cut(self, image: Tensor, top: int, left: int, noise: torch.Generator) -> Sample:
        """Degrade the patch with a margin around it, then crop the margin."""
        margin, patch, scale = self.degradation.margin, self.patch, self.scale
        above, before = min(margin, top), min(margin, left)
        # The last rows of an image can be fewer than a scale: the margin ends on a multiple of it.
        below, after = (
            min(margin, (side - start - patch) // scale * scale)
            for side, start in zip(image.shape[1:], (top, left), strict=True)
        )
        rows = slice(top - above, top + patch + below)
        columns = slice(left - before, left + patch + after)
        region = image[:, rows, columns].contiguous().float().div_(255)[None]
        degraded, (parameters,) = self.degradation(region, noise)
        y, x, side = above // scale, before // scale, patch // scale
        return Sample(
            degraded[0, :, y : y + side, x : x + side],
            region[0, :, above : above + patch, before : before + patch],
            conditions_of(parameters, self.conditions),
        )


class Targets(Sequence[Tensor]):
    """Target patches ``(3, p, p)`` of the images of `patches`, read on access.

    They do not depend on the seed of `patches`.

    Args:
        patches: its images are used.
        length: number of patches.
    """

    def __init__(self, patches: Patches, length: int = 128) -> None:
        self.length = length
        self.patches = Patches(patches.files, patches.patch, patches.degradation, seed=0)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.patches[index % self.length][1]

    def __len__(self) -> int:
        return self.length


class _Cache:
    """Decoded images; the least recently used are dropped when they exceed the limit in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.images: OrderedDict[Path, Tensor] = OrderedDict()

    def read(self, file: Path) -> Tensor:
        """``(3, H, W)`` uint8."""
        if file in self.images:
            self.images.move_to_end(file)
            return self.images[file]
        image = read_levels(file)
        if _memory(image) <= self.limit:
            self.images[file] = image
            self.size += _memory(image)
            while self.size > self.limit:
                self.size -= _memory(self.images.popitem(last=False)[1])
        return image


def _memory(image: Tensor) -> int:
    """Bytes that `image` occupies: fewer than its values if gray, more if it was read with alpha."""
    return image.untyped_storage().nbytes()
