"""Tile-by-tile inference: how large tiles are, the memory that they need, and their results put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from restore.checkpoint import LoadedModel
from restore.errors import ImageError, UsageError
from restore.inference.cuda_graphs import fetched
from restore.inference.devices import tile_side
from restore.inference.torch_network import Network
from restore.levels import to_values
from restore.tiling import map_tiles

__all__ = ["Progress", "TileSize", "Tiling", "clamped"]

TileSize = int | Literal["auto", "off"]
"""Longest side of a tile in input pixels; ``auto`` depends on the free memory; ``off`` means no tiles."""

Progress = Callable[[float], None]
"""Called with the fraction of an image that is done, from 0 to 1."""

_FEATURES = 128  # values per output pixel that a model is assumed to need, unless it declares `memory`


class Tiling:
    """How images are cut into tiles for a model.

    Args:
        model: whose network runs.
        size: longest side of a tile.
        device: where it runs.
        dtype: of its products.
        whole_graph: whether the results of all layers are kept, as engines other than torch do.

    Raises:
        UsageError: the tile is empty, or the size is of another kind.
    """

    def __init__(
        self,
        model: LoadedModel,
        size: TileSize,
        device: torch.device,
        dtype: torch.dtype,
        *,
        whole_graph: bool,
    ) -> None:
        self.model = model
        self.size = size
        self.device = device
        values = _values_per_pixel(model, whole_graph=whole_graph)
        self._bytes_per_pixel = values * (2 if dtype == torch.int8 else dtype.itemsize)  # sums are wider
        self._whole_graph = whole_graph

    @property
    def size(self) -> TileSize:
        """Longest side of a tile."""
        return self._size

    @size.setter
    def size(self, size: TileSize) -> None:
        is_number = isinstance(size, int) and not isinstance(size, bool)
        if size not in ("auto", "off") and not (is_number and int(size) >= 1):
            problem = (
                f"a tile of {size} pixels is too small" if is_number else f"there is no tile size {size!r}"
            )
            raise UsageError(problem, hint="set `tile` to 'auto', 'off' or 1 or more")
        self._size = size

    @property
    def margin(self) -> int | None:
        """Input pixels that a tile is read with on each side; `None` for a model that is never tiled."""
        return self.model.overlap if self.model.halo is None else self.model.halo

    def memory(self, height: int, width: int) -> int:
        """Estimated peak memory of the network in bytes for an image of this size."""
        side = self.side(height, width)
        return min(side, height) * min(side, width) * self._bytes_per_pixel

    def side(self, height: int, width: int) -> int:
        """Longest side of a tile for an image of this size, in input pixels."""
        if self.size == "off" or self.margin is None:
            return max(height, width)
        if self.size == "auto":
            side = tile_side(self.device, self._bytes_per_pixel, whole_graph=self._whole_graph)
            return max(side, 2 * self.margin)  # less would be mostly margin
        return self.size

    def fill(
        self,
        result: Tensor,
        image: Tensor,
        network: Network,
        progress: Progress | None = None,
        reach: int = 0,
    ) -> None:
        """Restore an image tile by tile.

        Args:
            result: ``(B, 1 or 3, scale*H, scale*W)``, filled; one channel gets the mean of three.
            image: ``(B, 3, H, W)``.
            network: ``(B, 3, h, w)`` -> ``(B, 3, scale*h, scale*w)``.
            progress: called with the fraction that is done.
            reach: input pixels around a pixel that `network` uses beside the model's network.

        Raises:
            ImageError: a value that would become a level is NaN or infinite.
        """
        scale = self.model.scale
        done, area = 0, result.shape[-2] * result.shape[-1]
        restored = map_tiles(
            network,
            to_values(image),
            scale=scale,
            size=self.side(image.shape[-2], image.shape[-1]),
            halo=max(self.margin or 0, reach),
            stride=self.model.stride,
        )
        for tile, inner in restored:
            done += inner.shape[-2] * inner.shape[-1]
            wanted = inner if result.shape[1] == 3 else inner.mean(1, keepdim=True)
            tile.place(result, scale).copy_(fetched(clamped(wanted, result.dtype), result.dtype))
            del inner, wanted  # before the next tile needs the room
            if progress:
                progress(done / area)


def _values_per_pixel(model: LoadedModel, *, whole_graph: bool) -> int:
    """Values per input pixel that a network holds at once; an engine keeps every layer's whole result."""
    most, scale = 0, 1
    for part in model.parts:
        own = _values_per_pixel(part, whole_graph=whole_graph) * scale**2
        most = most + own if whole_graph else max(most, own)
        scale *= part.scale
    if model.parts:
        return most
    memory = None if whole_graph else model.spec.memory
    return memory(model.scale, model.options) if memory else _FEATURES * model.scale**2


def clamped(restored: Tensor, dtype: torch.dtype) -> Tensor:
    """Change `restored` in place to what can be copied to `dtype`: clamped, or levels rounded half up.

    Raises:
        ImageError: a value is NaN or infinite, which would become black.
    """
    with torch.inference_mode():  # it was made in there, and may be changed in there only
        restored.clamp_(0, 1)
        if not restored.sum().isfinite():
            raise ImageError(
                "some values are NaN or infinite",
                hint="set `precision` to 'fp32', or use other weights if it is",
            )
        if dtype != torch.uint8:
            return restored
        return restored.mul_(255).add_(0.5)  # what a conversion to integers rounds down
