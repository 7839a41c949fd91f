"""Random patches of images with their degraded versions.

Randomness is counted, not streamed: image, crop and augmentation of sample i follow from (seed, i) alone. Any
number of workers and processes, and a resumed run, see the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.data.augmentations import Augmentation
from restore.data.cache import ImageCache
from restore.data.conditions import conditions_of
from restore.data.degradations import Degradation
from restore.interfaces import Pair

__all__ = ["DegradedFiles", "Patches", "Sample"]

_PARTNERS = 2**40  # of which a sample to be mixed in is drawn


class Sample(NamedTuple):
    """A training sample, or a batch of them."""

    degraded: Tensor
    """``(3, h, w)`` in [0, 1]."""
    target: Tensor
    """``(3, scale*h, scale*w)`` in [0, 1]."""
    conditions: Tensor
    """``(n,)``: the numbers that the model takes beside the degraded image."""


@dataclass(frozen=True)
class DegradedFiles:
    """Files of degraded images, where no degradation makes them."""

    files: Sequence[Path]
    """One for each target, in their order."""
    scale: int
    """Target pixels per input pixel."""


class Patches(Dataset[Sample]):
    """Random square patches: the target of a sample has ``p`` pixels on each side, its input ``p/scale``.

    Each image is used once before any is used again.

    Args:
        files: images with both sides >= `patch`.
        patch: side of the target in pixels, a multiple of the scale.
        inputs: a degradation that makes the input from the target, or files of degraded images.
        seed: together with the index decides the sample.
        augmentations: random changes, one after the other.
        conditions: names of the numbers that the model takes; the degradation draws them.
        cache: of decoded images; none by default.
    """

    def __init__(
        self,
        files: Sequence[Path],
        patch: int,
        inputs: Degradation | DegradedFiles,
        *,
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        conditions: Sequence[str] = (),
        cache: ImageCache | None = None,
    ) -> None:
        self.files = list(files)
        self.patch = patch
        self.inputs = inputs
        self.scale = inputs.scale
        self.seed = seed
        self.augmentations = list(augmentations)
        self.conditions = tuple(conditions)
        self.cache = cache or ImageCache()
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    @property
    def degraded(self) -> list[Path]:
        """The degraded images of `files`; empty if they are made."""
        return list(self.inputs.files) if isinstance(self.inputs, DegradedFiles) else []

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
        number = self.number(index)
        image = self.cache.read(self.files[number])  # (3, H, W) uint8
        top, left = (
            int(random.integers(0, (side - self.patch) // self.scale + 1)) * self.scale
            for side in image.shape[1:]
        )
        if isinstance(self.inputs, DegradedFiles):
            return self._cut_both(image, self.cache.read(self.inputs.files[number]), top, left)
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        return self._degraded(self.inputs, image, (top, left), noise)

    def _partner(self, index: int) -> Pair:
        """A sample to be mixed with another one; its numbers differ from those of all samples."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, 2**63 + index]))
        degraded, target, _ = self._plain(index, random)
        return Pair(degraded, target)

    def number(self, index: int) -> int:
        """Which of the files a sample is cut from."""
        epoch, position = divmod(index, len(self.files))
        if self._order[0] != epoch:
            order = np.random.Generator(np.random.Philox(key=[self.seed, 2**62 + epoch]))
            self._order = (epoch, order.permutation(len(self.files)))
        return int(self._order[1][position])

    def _cut_both(self, target: Tensor, degraded: Tensor, top: int, left: int) -> Sample:
        """Cut the same place out of both images; its corner is a multiple of the scale in the target."""
        first, second = (
            image[:, y : y + side, x : x + side].contiguous().float().div_(255)
            for image, y, x, side in (
                (degraded, top // self.scale, left // self.scale, self.patch // self.scale),
                (target, top, left, self.patch),
            )
        )
        return Sample(first, second, torch.empty(0))

    def _degraded(
        self, degradation: Degradation, image: Tensor, corner: tuple[int, int], noise: torch.Generator
    ) -> Sample:
        """Degrade the patch with a margin around it, then crop the margin."""
        margin, patch, scale = degradation.margin, self.patch, self.scale
        top, left = corner
        above, before = min(margin, top), min(margin, left)
        # The last rows of an image can be fewer than a scale: the margin ends on a multiple of it.
        below, after = (
            min(margin, (side - start - patch) // scale * scale)
            for side, start in zip(image.shape[1:], corner, strict=True)
        )
        rows = slice(top - above, top + patch + below)
        columns = slice(left - before, left + patch + after)
        region = image[:, rows, columns].contiguous().float().div_(255)[None]
        degraded, (parameters,) = degradation(region, noise)
        y, x, side = above // scale, before // scale, patch // scale
        return Sample(
            degraded[0, :, y : y + side, x : x + side],
            region[0, :, above : above + patch, before : before + patch],
            conditions_of(parameters, self.conditions),
        )
