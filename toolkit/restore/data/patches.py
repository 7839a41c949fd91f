"""Random patches of images with their degraded versions.

Randomness is counted, not streamed: image, crop and augmentation of sample i follow from (seed, i) alone. Any
number of workers and processes, and a resumed run, see the same data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.data.degradations import Degradation
from restore.images import read_levels

__all__ = ["Augmentation", "Pair", "Patches", "Targets"]

Pair = tuple[Tensor, Tensor]
"""A degraded patch and its target, or a batch of them."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes to a patch and its target."""

    flip_and_rotate: bool = True
    """Flip, and rotate by multiples of 90 degrees; all eight with equal probability."""
    channel_shuffle: bool = False
    """Permute the color channels; all six orders with equal probability."""


_DEFAULT = Augmentation()
_NONE = Augmentation(flip_and_rotate=False)


class Patches(Dataset[Pair]):
    """Random square patches: sample i is ``(degraded (3, p/scale, p/scale), target (3, p, p))`` in [0, 1].

    Each image is used once before any is used again.

    Args:
        files: images with both sides >= `patch`.
        patch: side of the target in pixels, a multiple of the scale.
        degradation: makes the input from the target.
        seed: together with the index decides the sample.
        augment: random changes.
        cache_bytes: memory for decoded images.
    """

    def __init__(
        self,
        files: Sequence[Path],
        patch: int,
        degradation: Degradation,
        *,
        seed: int,
        augment: Augmentation = _DEFAULT,
        cache_bytes: int = 0,
    ) -> None:
        self.files = list(files)
        self.patch = patch
        self.degradation = degradation
        self.scale = degradation.scale
        self.seed = seed
        self.augment = augment
        self.cache = _Cache(cache_bytes)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, index: int) -> Pair:
        random = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        image = self.cache.read(self._file(index))  # (3, H, W) uint8
        top, left = (
            int(random.integers(0, (side - self.patch) // self.scale + 1)) * self.scale
            for side in image.shape[1:]
        )
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        pair = self._cut(image, top, left, noise)
        if self.augment.flip_and_rotate:
            pair = _flip_and_rotate(pair, int(random.integers(8)))
        return _shuffled(pair, random.permutation(3).tolist()) if self.augment.channel_shuffle else pair

    def _file(self, index: int) -> Path:
        epoch, position = divmod(index, len(self.files))
        if self._order[0] != epoch:
            order = np.random.Generator(np.random.Philox(key=[self.seed, 2**62 + epoch]))
            self._order = (epoch, order.permutation(len(self.files)))
        return self.files[int(self._order[1][position])]

    def _cut(self, image: Tensor, top: int, left: int, noise: torch.Generator) -> Pair:
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
        degraded = self.degradation(region, noise).image[0]
        y, x, side = above // scale, before // scale, patch // scale
        return (
            degraded[:, y : y + side, x : x + side],
            region[0, :, above : above + patch, before : before + patch],
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
        self.patches = Patches(patches.files, patches.patch, patches.degradation, seed=0, augment=_NONE)

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


def _flip_and_rotate(pair: Pair, number: int) -> Pair:
    """One of the eight symmetries of a square, the same for both images."""
    degraded, target = (image.flip(-1) if number >= 4 else image for image in pair)
    return degraded.rot90(number % 4, (-2, -1)).contiguous(), target.rot90(number % 4, (-2, -1)).contiguous()


def _shuffled(pair: Pair, order: list[int]) -> Pair:
    """The channels in this order, the same for both images."""
    degraded, target = pair
    return degraded[order], target[order]


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
