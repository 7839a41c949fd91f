"""One loaded model, ready to restore images of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, overload

import torch
from PIL import Image
from torch import Tensor

from restore.checkpoint import LoadedModel, load_model
from restore.choices import Alpha, Engine, Precision
from restore.errors import ImageError, UsageError
from restore.images import Photo, conversion_of, from_pil, to_pil
from restore.inference.color import as_values, in_srgb, without_bleeding
from restore.inference.cuda_graphs import fetched
from restore.inference.devices import DTYPES, choose_device, choose_precision, tile_side
from restore.inference.engines import engine_network, engine_precision
from restore.inference.torch_network import Network, torch_network
from restore.registry import Registry, discover
from restore.resizing import cubic_reach, imresize
from restore.tiling import map_tiles

__all__ = ["Progress", "Restorer", "TileSize", "load"]

TileSize = int | Literal["auto", "off"]
"""Longest side of a tile in input pixels; ``auto`` by the memory; ``off`` works on the whole image."""

Progress = Callable[[float], None]
"""Called with the share of an image that is done, from 0 to 1."""

_FEATURES = 128  # values per output pixel that a model is taken to hold, unless it says otherwise

ImageLike = Image.Image | Tensor | Photo


class Restorer:
    """Restores images with one model. Safe to call from several threads at once.

    Args:
        model: from `restore.checkpoint.load_model`; its network may be moved to `device`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto`` is bfloat16 where the hardware has it; ``int8`` with OpenVINO only.
        tile: see `TileSize`.
        engine: ``torch``, ``openvino`` or ``onnxruntime``; the others than torch run on the CPU.
        alpha: what enlarges transparency: ``bicubic``, or the ``model`` as if it were a gray image.

    Raises:
        UsageError: no such device, a tile below 1 pixel, or an engine that is not installed or cannot run
            the model.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        tile: TileSize = "auto",
        engine: Engine = "torch",
        alpha: Alpha = "bicubic",
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise UsageError(f"a tile of {tile} pixels is too small: use 'auto', 'off' or a number from 1")
        self.model = model
        self.tile = tile
        self.engine = engine
        self.alpha = alpha
        if engine == "torch":
            self.device = choose_device(device)
            supported = DTYPES if model.opened is None else model.opened.precisions
            self.dtype = choose_precision(precision, self.device, supported)
            self._network = torch_network(model, self.device, self.dtype)
        else:
            self.device = torch.device("cpu")
            self.dtype = engine_precision(engine, model, precision, device)
            self._network = engine_network(engine, model, self.dtype)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel, along one side."""
        return self.model.scale

    @property
    def precision(self) -> str:
        """What it multiplies in: ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
        names = {dtype: name for name, dtype in DTYPES.items()} | {torch.int8: "int8"}
        return names[self.dtype]

    @property
    def margin(self) -> int | None:
        """What a tile is read with on each side, in input pixels; ``None`` when the model is never tiled."""
        return self.model.overlap if self.model.halo is None else self.model.halo

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not exact about the results."""
        if self.tile == "off" or self.model.halo is not None or self.margin is None:
            return ()
        return (
            f"{self.model.reference}: large images are cut into tiles that overlap by {self.margin} pixels, "
            f"which is not exactly what the whole image would give; --tile off works on the whole",
        )

    def working_memory(self, height: int, width: int) -> int:
        """Bytes that the network is taken to hold at its fullest while it works on an image of this size."""
        side = self._tile_size(height, width)
        return min(side, height) * min(side, width) * self._bytes_per_pixel

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
            The same kind of thing, `scale` times larger, in [0, 1]. Alpha is enlarged as the restorer was
            told; gray stays gray. A photo stays in the colours of its profile, which the model sees as sRGB.
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
        self._fill(result, image, progress)
        return result

    def _photo(self, photo: Photo, progress: Progress | None) -> Photo:
        size = (photo.color.shape[-2] * self.scale, photo.color.shape[-1] * self.scale)
        channels = 1 if photo.gray else 3
        network, notes = self._network_for(photo)
        # Of a large photo even one copy in float32 would be too much: tiles become levels one by one.
        dtype = torch.uint8 if photo.bits == 8 else torch.float32
        color = torch.empty(1, channels, *size, dtype=dtype, memory_format=torch.channels_last)
        alpha = photo.alpha
        self._fill(color, without_bleeding(photo.color, alpha), progress, network)
        if alpha is not None:
            alpha = self._enlarged_alpha(alpha, size, dtype)
        dpi = photo.dpi and (photo.dpi[0] * self.scale, photo.dpi[1] * self.scale)  # a print keeps its size
        color = color.expand(1, 3, *size)
        return replace(photo, color=color, alpha=alpha, dpi=dpi, notes=photo.notes + notes)

    def _enlarged_alpha(self, alpha: Tensor, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
        if self.alpha == "bicubic":
            return _ready(imresize(as_values(alpha), size), dtype).to(dtype)
        enlarged = torch.empty(1, 1, *size, dtype=dtype)
        self._fill(enlarged, alpha.expand(1, 3, -1, -1), None)
        return enlarged

    def _network_for(self, photo: Photo) -> tuple[Network | None, tuple[str, ...]]:
        """The network for the colours of a photo, if it is not the one for sRGB, and what to say of them."""
        if photo.icc_profile is None:
            return None, ()
        conversion = conversion_of(photo.icc_profile)
        if conversion is None:
            return None, ("its colour profile is not one of a matrix: the model took its colours for sRGB",)
        return (None if conversion.is_identity else in_srgb(self._network, conversion)), ()

    def _fill(
        self, result: Tensor, image: Tensor, progress: Progress | None, network: Network | None = None
    ) -> None:
        """Restore `image` tile by tile into `result`, of one channel (their mean) or three."""
        size = self._tile_size(image.shape[-2], image.shape[-1])
        done, area = 0, result.shape[-2] * result.shape[-1]
        halo = max(self.margin or 0, cubic_reach(self.scale) if network else 0)
        restored = map_tiles(
            network or self._network, as_values(image), scale=self.scale, size=size, halo=halo
        )
        for tile, inner in restored:
            done += inner.shape[-2] * inner.shape[-1]
            wanted = inner if result.shape[1] == 3 else inner.mean(1, keepdim=True)
            tile.place(result, self.scale).copy_(fetched(_ready(wanted, result.dtype), result.dtype))
            del inner, wanted  # before the next tile needs the room
            if progress:
                progress(done / area)

    def _tile_size(self, height: int, width: int) -> int:
        whole = max(height, width)
        if self.tile == "off" or self.margin is None:
            return whole
        if self.tile == "auto":
            side = tile_side(self.device, self._bytes_per_pixel, whole_graph=self.engine != "torch")
            return max(side, 2 * self.margin)  # less would be mostly margin
        return self.tile

    @property
    def _bytes_per_pixel(self) -> int:
        """That the network holds at its fullest, per input pixel."""
        # An engine holds every layer's whole result.
        memory = None if self.engine != "torch" else self.model.spec.memory
        values = memory(self.scale, self.model.options) if memory else _FEATURES * self.scale**2
        return values * (2 if self.dtype == torch.int8 else self.dtype.itemsize)  # sums are kept in more


def _ready(restored: Tensor, dtype: torch.dtype) -> Tensor:
    """Change `restored` to what can be copied to `dtype`: clamped, or levels rounded half up.

    Raises:
        ImageError: a value is NaN or infinite, which a level could not tell.
    """
    with torch.inference_mode():  # it was made in there, and may be changed in there only
        restored.clamp_(0, 1)
        if dtype != torch.uint8:
            return restored
        if not restored.sum().isfinite():
            raise ImageError("some values are NaN or infinite: run the model with --precision fp32")
        return restored.mul_(255).add_(0.5)  # what a conversion to integers rounds down


def load(  # noqa: PLR0913 - every choice that a user has
    reference: str = "enhancenet",
    *,
    scale: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: TileSize = "auto",
    engine: Engine = "torch",
    alpha: Alpha = "bicubic",
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
        engine: ``torch``, ``openvino`` or ``onnxruntime``.
        alpha: what enlarges transparency: ``bicubic`` or ``model``.
        registry: ``None`` discovers the installed plugins.

    Raises:
        UsageError: no such model, weights, scale or device, or an engine that is not installed or cannot run
            the model.
        WeightsError: a weights file is missing, damaged, or belongs to another model.
    """
    model = load_model(reference, registry or discover(), scale)
    return Restorer(model, device=device, precision=precision, tile=tile, engine=engine, alpha=alpha)
