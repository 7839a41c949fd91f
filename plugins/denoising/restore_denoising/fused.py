"""FFDNet and DnCNN optimized for inference."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from restore.fusion import FusedStack
from restore_denoising.dncnn import Dncnn
from restore_denoising.ffdnet import Ffdnet, ResidualBlock, squares, strength_map, whole
from restore_denoising.options import DncnnOptions, FfdnetOptions

__all__ = ["FusedDncnn", "FusedFfdnet", "dncnn_memory", "ffdnet_memory", "fuse_dncnn", "fuse_ffdnet"]


class FusedFfdnet(nn.Module):
    """Equivalent to `Ffdnet`, with its convolutions in a `FusedStack`.

    Args:
        network: the plain network, which is not changed.
        dtype: type of the weights and features; the image and the sum keep the type of the input.
    """

    def __init__(self, network: Ffdnet, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.residual = network.residual
        self.of_quality = network.of_quality
        body = [
            (layer.conv1, layer.conv2) if isinstance(layer, ResidualBlock) else layer
            for layer in network.body
            if isinstance(layer, ResidualBlock | nn.Conv2d)
        ]
        self.stack = FusedStack(network.head, body, network.tail, dtype)

    def forward(self, degraded: Tensor, strength: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and ``(B,)`` -> ``(B, 3, H, W)``, not clamped."""
        x = squares(degraded.to(self.dtype))
        x = torch.cat([x, strength_map(x, strength, of_quality=self.of_quality)], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        restored = whole(self.stack(x), degraded)
        return restored.add_(degraded) if self.residual else restored


class FusedDncnn(nn.Module):
    """Equivalent to `Dncnn` in evaluation mode, with batch normalization folded into a `FusedStack`.

    Args:
        network: the plain network, which is not changed.
        dtype: type of the weights and features; the image and the difference keep the type of the input.
    """

    def __init__(self, network: Dncnn, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        layers: list[nn.Conv2d] = []
        for layer in network.noise:
            if isinstance(layer, nn.Conv2d):
                layers.append(layer)
            elif isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(layers[-1].eval(), layer.eval())
        head, *body, tail = layers
        self.noise = FusedStack(head, body, tail, dtype)

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, H, W)``, not clamped."""
        x = degraded.to(self.dtype).contiguous(memory_format=torch.channels_last)
        noise: Tensor = self.noise(x)
        return degraded - noise.to(degraded.dtype)


def fuse_ffdnet(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the optimized equivalent of an `Ffdnet`."""
    if not isinstance(network, Ffdnet):
        raise TypeError(f"expected an Ffdnet, but got {type(network).__name__}")
    return FusedFfdnet(network, dtype)


def fuse_dncnn(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the optimized equivalent of a `Dncnn`."""
    if not isinstance(network, Dncnn):
        raise TypeError(f"expected a Dncnn, but got {type(network).__name__}")
    return FusedDncnn(network, dtype)


def ffdnet_memory(scale: int, options: FfdnetOptions) -> int:  # noqa: ARG001 - scale 1 is the only one
    """Return the values per pixel: the image and the result in several forms.

    The features of a band do not grow with the image. Where a GPU or AMX computes whole layers, it is up to
    ``width // 2 + 9``, which an eighth of the free memory leaves room for.
    """
    return 20


def dncnn_memory(scale: int, options: DncnnOptions) -> int:  # noqa: ARG001 - scale 1 is the only one
    """Return the values per pixel: two feature maps, and three images."""
    return 2 * options.width + 9
