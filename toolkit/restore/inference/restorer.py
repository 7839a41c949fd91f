"""One loaded model, ready to restore images of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, overload

import torch
from PIL import Image
from torch import Tensor

from restore.checkpoint import LoadedModel, load_model
from restore.config import Precision
from restore.errors import UsageError
from restore.images import Photo, from_pil, to_pil
from restore.inference.hardware import choose_device, choose_precision
from restore.registry import Registry, discover
from restore.resizing import imresize
from restore.tiling import map_tiles

__all__ = ["Progress", "Restorer", "TileSize", "load"]

TileSize = int | Literal["auto", "off"]
"""Longest side of a tile in input pixels; ``auto`` by the scale; ``off`` works on the whole image."""

Progress = Callable[[float], None]
"""Called with the share of an image that is done, from 0 to 1."""

_AUTO_OUTPUT = 1536  # output pixels along a tile: about 0.5 GB of features in half precision

ImageLike = Image.Image | Tensor | Photo


class Restorer:
    """Restores images with one model. Safe to call from several threads at once.

    Args:
        model: from `restore.checkpoint.load_model`; its network is moved to `device`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto`` is bfloat16 where the hardware has it.
        tile: see `TileSize`.

    Raises:
        UsageError: no such device, or a tile below 1 pixel.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        tile: TileSize = "auto",
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise UsageError(f"a tile of {tile} pixels is too small: use 'auto', 'off' or a number from 1")
        self.model = model
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        self.tile = tile
        self._network = model.module.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @property
    def scale(self) -> int:
        """Output pixels per input pixel, along one side."""
        return self.model.scale

    @overload
    def upscale(self, image: Image.Image, progress: Progress | None = None) -> Image.Image: ...

    @overload
    def upscale(self, image: Tensor, progress: Progress | None = None) -> Tensor: ...

    @overload
    def upscale(self, image: Photo, progress: Progress | None = None) -> Photo: ...

    def upscale(self, image: ImageLike, progress: Progress | None = None) -> ImageLike:
        """Restore one image.

        Args:
            image: a PIL image of any mode, a `Photo`, or a tensor ``(3, H, W)`` or ``(B, 3, H, W)``, RGB in
                [0, 1].
            progress: called with the share that is done.

        Returns:
            The same kind of thing, `scale` times larger, in [0, 1]. Alpha is enlarged bicubically; gray
            stays gray.
        """
        if isinstance(image, Image.Image):
            return to_pil(self._photo(from_pil(image), progress))
        if isinstance(image, Photo):
            return self._photo(image, progress)
        single = image.ndim == 3
        restored = self.restore(image[None] if single else image, progress).to(image)
        return restored[0] if single else restored

    def restore(self, image: Tensor, progress: Progress | None = None) -> Tensor:
        """Tensor contract in, tensor contract out: float32 on the CPU, clamped to [0, 1].

        Args:
            image: ``(B, 3, H, W)`` in [0, 1].
            progress: called with the share that is done.

        Raises:
            ValueError: the shape is not that of the tensor contract.
        """
        if image.ndim != 4 or image.shape[1] != 3 or not image.numel():
            raise ValueError(f"expected (B, 3, H, W) with B, H and W >= 1, but got {tuple(image.shape)}")
        batch, _, height, width = image.shape
        result = torch.empty(batch, 3, height * self.scale, width * self.scale)
        area = result.shape[-2] * result.shape[-1]
        for done in map_tiles(
            self._run,
            image.float(),
            result,
            scale=self.scale,
            size=self._tile_size(height, width),
            halo=self.model.halo or 0,
        ):
            if progress:
                progress(done / area)
        return result.clamp_(0, 1)

    def _photo(self, photo: Photo, progress: Progress | None) -> Photo:
        color = self.restore(photo.color, progress)
        alpha = photo.alpha
        if alpha is not None:
            alpha = imresize(alpha, (color.shape[-2], color.shape[-1])).clamp_(0, 1)
        return replace(photo, color=color, alpha=alpha)

    def _run(self, tile: Tensor) -> Tensor:
        tile = tile.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            restored: Tensor = self._network(tile)
        return restored.float()

    def _tile_size(self, height: int, width: int) -> int:
        whole = max(height, width)
        if self.tile == "off" or self.model.halo is None:
            return whole
        if self.tile == "auto":
            return max(_AUTO_OUTPUT // self.scale, 1)
        return self.tile


def load(
    reference: str = "enhancenet",
    *,
    scale: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: TileSize = "auto",
    registry: Registry | None = None,
) -> Restorer:
    """Load a model by name, ready for use.

    Args:
        reference: ``NAME[:WEIGHTS]``, such as ``bicubic``, ``enhancenet``, ``enhancenet:e`` or
            ``enhancenet:runs/mine/generator.safetensors``.
        scale: output pixels per input pixel along one side; ``None`` takes that of the weights, or 4.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto`` is bfloat16 where the hardware has it; ``fp32`` for purists.
        tile: longest side of a tile in input pixels, ``auto`` or ``off``.
        registry: ``None`` discovers the installed plugins.

    Raises:
        UsageError: no such model, weights, scale or device.
        WeightsError: a weights file is missing, damaged, or belongs to another model.
    """
    model = load_model(reference, registry or discover(), scale)
    return Restorer(model, device=device, precision=precision, tile=tile)
