"""FFDNet (Zhang, Zuo, Zhang 2018, arXiv 1710.04026), plain or with residual blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_denoising.options import FfdnetOptions

__all__ = ["Ffdnet", "ResidualBlock", "build", "squares", "strength_map", "whole"]

_GAIN = 0.1  # residual branches begin small, which allows a larger learning rate
_SIDE = 2  # pixels of the squares that become channels


class ResidualBlock(nn.Module):
    """``x + conv(ReLU(conv(x)))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> the same shape."""
        residual: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + residual


class Ffdnet(nn.Module):
    """Convolutions at half the resolution that see how strong the degradation is; 0.85 million parameters.

    Squares of 2x2 pixels become channels, and a map with the strength of the degradation becomes one more
    (sections III.A and III.B). In the residual form the same convolutions are arranged as residual blocks,
    and the network's result is added to the image.

    Args:
        width: feature maps of each hidden layer.
        layers: convolutions.
        residual: whether the layers between the first and the last are residual blocks.
        of_quality: the strength is the quality of a JPEG, 1 to 100, instead of a standard deviation in
            levels of 255.

    Shape:
        ``(B, 3, H, W)`` in [0, 1] and ``(B,)`` strengths -> ``(B, 3, H, W)``, not clamped. Odd sides are
        extended by one repeated row or column for the network.
    """

    def __init__(
        self, width: int = 96, layers: int = 12, *, residual: bool = True, of_quality: bool = False
    ) -> None:
        super().__init__()
        self.residual = residual
        self.of_quality = of_quality
        channels = 3 * _SIDE**2
        self.head = nn.Conv2d(channels + 1, width, 3, padding=1)
        self.body: nn.Sequential
        if residual:
            self.body = nn.Sequential(*(ResidualBlock(width) for _ in range((layers - 2) // 2)))
        else:
            hidden = [(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()) for _ in range(layers - 2)]
            self.body = nn.Sequential(*(module for pair in hidden for module in pair))
        self.tail = nn.Conv2d(width, channels, 3, padding=1)
        self._initialize()

    def forward(self, degraded: Tensor, strength: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and ``(B,)`` -> ``(B, 3, H, W)``."""
        x = squares(degraded)
        x = torch.cat([x, strength_map(x, strength, of_quality=self.of_quality)], 1)
        x = self.tail(self.body(F.relu(self.head(x))))
        restored = whole(x, degraded)
        return degraded + restored if self.residual else restored

    def _initialize(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if self.residual:
            with torch.no_grad():
                self.tail.weight.mul_(_GAIN)
                for layer in self.modules():
                    if isinstance(layer, ResidualBlock):
                        layer.conv2.weight.mul_(_GAIN)


def build(scale: int, options: FfdnetOptions) -> nn.Module:  # noqa: ARG001 - scale 1 is the only one
    """The network."""
    return Ffdnet(
        options.width,
        options.layers,
        residual=options.form == "residual",
        of_quality=options.strength == "quality",
    )


def squares(image: Tensor) -> Tensor:
    """Squares of 2x2 pixels as channels: ``(B, 3, H, W)`` -> ``(B, 12, ceil(H/2), ceil(W/2))``.

    Odd sides are extended by one repeated row or column.
    """
    height, width = image.shape[-2:]
    if torch.compiler.is_exporting():  # padding would depend on the size, of which a graph knows nothing
        rows, columns = _places(image, height), _places(image, width)
        planes = [image.index_select(-2, row).index_select(-1, column) for row in rows for column in columns]
        return torch.stack(planes, 2).flatten(1, 2)
    if height % _SIDE or width % _SIDE:
        image = F.pad(image, (0, width % _SIDE, 0, height % _SIDE), mode="replicate")
    return F.pixel_unshuffle(image, _SIDE)


def whole(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of `squares`, with the size and type of `like`."""
    height, width = like.shape[-2:]
    image = F.pixel_shuffle(x, _SIDE).to(like.dtype)
    if torch.compiler.is_exporting():
        rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
        return image.index_select(-2, rows).index_select(-1, columns)
    return image[..., :height, :width]


def _places(image: Tensor, side: int) -> list[Tensor]:
    """The rows or columns at each position within the squares; the last one is repeated."""
    first = _SIDE * torch.arange((side + 1) // _SIDE, device=image.device)
    return [(first + position).clamp(max=side - 1) for position in range(_SIDE)]


def strength_map(x: Tensor, strength: Tensor, *, of_quality: bool) -> Tensor:
    """The strength as a plane of the size of `x`, from 0 for none to about 1: ``(B, 1, h, w)``.

    Args:
        x: ``(B, C, h, w)``.
        strength: ``(B,)``, a standard deviation in levels of 255, or the quality of a JPEG.
        of_quality: which of the two.
    """
    share = (100 - strength) / 100 if of_quality else strength / 255
    return share.to(x)[:, None, None, None].expand(-1, 1, *x.shape[-2:])
