"""The generator as it runs, when it has nothing more to learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restore.fusion import FusedConv, FusedUpsampling
from restore.resizing import cubic_reach, imresize
from restore.tiling import tiles
from restore_enhancenet.generator import Generator, ResidualBlock, Upsampling, tail_reach
from restore_enhancenet.options import GeneratorOptions

__all__ = ["FusedGenerator", "fuse", "memory"]

_PIECE = {"cpu": 128, "cuda": 512}
"""Longest side in input pixels of what the tail works on at a time. On a CPU its largest image of features,
512x512 at 4x, then stays near the caches; a GPU has to be kept busy."""


class FusedGenerator(nn.Module):
    """Equal to `Generator`, with a third of the memory traffic and four fifths of the multiplications.

    The trunk holds two images of features of the input's size, and needs nearly all of the halo. The tail is
    up to scale^2 times larger, and needs two pixels: it works on small pieces.

    Args:
        generator: the plain network, which is left as it is.
        dtype: of the weights and the features; the bicubic enlargement and the sum stay as precise as the
            input.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = generator.scale
        self.dtype = dtype
        self.reach = max(tail_reach(self.scale), cubic_reach(self.scale))
        # No buffer, so that it keeps its precision when the weights lose theirs.
        self.mean = generator.mean.detach().clone()
        self.head = FusedConv(generator.head, dtype, relu=True)
        blocks = (block for block in generator.trunk if isinstance(block, ResidualBlock))
        stages = (stage for stage in generator.upsampling if isinstance(stage, Upsampling))
        self.trunk = nn.Sequential(*(FusedBlock(block, dtype) for block in blocks))
        self.tail = nn.Sequential(
            *(FusedUpsampling(stage.conv, stage.factor, dtype) for stage in stages),
            FusedConv(generator.refine, dtype, relu=True),
            FusedConv(generator.tail, dtype),
        )

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, scale*H, scale*W)``, not clamped, of the same type."""
        features = self._features(degraded)
        if torch.compiler.is_exporting():  # a graph knows no size, and cannot be cut by it
            bicubic, residual = self._enlarged(degraded, features)
            return bicubic + residual
        batch, _, height, width = degraded.shape
        result = degraded.new_empty(batch, 3, self.scale * height, self.scale * width)
        size = _PIECE.get(degraded.device.type, 512)
        for piece in tiles(height, width, size, self.reach):
            planes = self._enlarged(piece.read(degraded), piece.read(features))
            inner = (piece.inner(plane, self.scale) for plane in planes)
            torch.add(*inner, out=piece.place(result, self.scale))
        return result

    def _features(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, width, H, W)``."""
        x = (degraded - self.mean.to(degraded)).to(self.dtype)
        features: Tensor = self.trunk(self.head(x.contiguous(memory_format=torch.channels_last)))
        return features

    def _enlarged(self, image: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Bicubic enlargement and residual of a piece, both ``(B, 3, scale*h, scale*w)``."""
        bicubic = imresize(image, (self.scale * image.shape[-2], self.scale * image.shape[-1]))
        return bicubic, self.tail(features.contiguous(memory_format=torch.channels_last))


class FusedBlock(nn.Module):
    """A residual block that changes its input.

    Args:
        block: the plain one.
        dtype: as for `FusedGenerator`.
    """

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = FusedConv(block.conv1, dtype, relu=True)
        self.second = FusedConv(block.conv2, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> `x`, with the residual added to it."""
        return self.second.add_to(x, self.first(x))


def fuse(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The faster twin of a `Generator`."""
    if not isinstance(network, Generator):
        raise TypeError(f"expected a Generator, but got {type(network).__name__}")
    return FusedGenerator(network, dtype)


def memory(scale: int, options: GeneratorOptions) -> int:  # noqa: ARG001 - the tail works in pieces
    """Two images of features and one on the way between them."""
    return 3 * options.width
