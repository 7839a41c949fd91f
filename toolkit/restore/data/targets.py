"""Target patches, for losses that measure targets before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from torch import Tensor

from restore.data.degradations import Degradation
from restore.data.mixture import Samples
from restore.data.patches import Patches

__all__ = ["Targets"]


class Targets(Sequence[Tensor]):
    """Target patches ``(3, p, p)`` of the images of `samples`, read on access.

    They depend neither on the seed of `samples` nor on how the inputs are made.

    Args:
        samples: their images are used.
        length: number of patches.
    """

    def __init__(self, samples: Samples, length: int = 128) -> None:
        self.length = length
        undegraded = Degradation(lambda target, _: target, samples.scale)
        self.patches = Patches(samples.files, samples.patch, undegraded, seed=0)

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
