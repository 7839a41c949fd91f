"""The generator optimized for inference."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restore.fusion import FusedConv, FusedResidual, FusedUpsampling
from restore.resizing import cubic_reach, imresize
from restore.tiling import tiles
from restore_enhancenet.generator import Generator, ResidualBlock, Upsampling, tail_reach
from restore_enhancenet.options import GeneratorOptions

__all__ = ["FusedGenerator", "fuse", "memory"]

_PIECE = {"cpu": 128, "cuda": 512}
"""Longest side of the tiles of the tail, in input pixels. On a CPU, its largest feature map, 512x512 at 4x,
then stays close to the caches; a GPU needs larger tiles to be busy."""


class FusedGenerator(nn.Module):
    """Equivalent to `Generator`, with a third of the memory traffic and four fifths of the multiplications.

    The trunk keeps two feature maps at the resolution of the input and needs nearly all of the halo. The
    feature maps of the tail are up to scale^2 times larger and need a halo of two pixels, so it works on
    small tiles.

    Args:
        generator: the plain network, which is not changed.
        dtype: type of the weights and features; bicubic upscaling and the sum keep the type of the input.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = generator.scale
        self.dtype = dtype
        self.reach = max(tail_reach(self.scale), cubic_reach(self.scale))
        # Not a buffer, so that it keeps its precision when the weights are converted.
        self.mean = generator.mean.detach().clone()
        self.head = FusedConv(generator.head, dtype, relu=True)
        blocks = (block for block in generator.trunk if isinstance(block, ResidualBlock))
        stages = (stage for stage in generator.upsampling if isinstance(stage, Upsampling))
        self.trunk = nn.Sequential(*(FusedResidual(block.conv1, block.conv2, dtype) for block in blocks))
        self.tail = nn.Sequential(
            *(FusedUpsampling(stage.conv, stage.factor, dtype) for stage in stages),
            FusedConv(generator.refine, dtype, relu=True),
            FusedConv(generator.tail, dtype),
        )

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, scale*H, scale*W)``, not clamped, of the same dtype."""
        features = self._features(degraded)
        if torch.compiler.is_exporting():  # an exported graph must not depend on the size
            bicubic, residual = self._upscaled(degraded, features)
            return bicubic + residual
        batch, _, height, width = degraded.shape
        result = degraded.new_empty(batch, 3, self.scale * height, self.scale * width)
        size = _PIECE.get(degraded.device.type, 512)
        for piece in tiles(height, width, size, self.reach):
            planes = self._upscaled(piece.read(degraded), piece.read(features))
            inner = (piece.inner(plane, self.scale) for plane in planes)
            torch.add(*inner, out=piece.place(result, self.scale))
        return result

    def _features(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, width, H, W)``."""
        x = (degraded - self.mean.to(degraded)).to(self.dtype)
        features: Tensor = self.trunk(self.head(x.contiguous(memory_format=torch.channels_last)))
        return features

    def _upscaled(self, image: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return bicubic upscaling and residual of a tile, both ``(B, 3, scale*h, scale*w)``."""
        bicubic = imresize(image, (self.scale * image.shape[-2], self.scale * image.shape[-1]))
        return bicubic, self.tail(features.contiguous(memory_format=torch.channels_last))


def fuse(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the optimized equivalent of a `Generator`."""
    if not isinstance(network, Generator):
        raise TypeError(f"expected a Generator, but got {type(network).__name__}")
    return FusedGenerator(network, dtype)


def memory(scale: int, options: GeneratorOptions) -> int:  # noqa: ARG001 - the tail works on small tiles
    """Return the values per input pixel: two feature maps and one between them."""
    return 3 * options.width
