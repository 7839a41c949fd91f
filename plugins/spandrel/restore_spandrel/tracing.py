"""Layers of spandrel's networks that `torch.export` cannot trace as they are written, in an equal form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["make_traceable"]


def make_traceable(model: nn.Module) -> None:
    """Let the layers of `model` compute the same in another way while they are exported.

    Args:
        model: a network of spandrel. Names and values of its weights stay as they are.
    """
    for layer in model.modules():
        form = _FORMS.get(_kind(layer))
        if form is not None:
            layer.forward = MethodType(form, layer)
    # SPAN assigns this attribute in each pass, which the exporter allows for buffers alone.
    if _kind(model) == "SPAN" and isinstance(mean := model.__dict__.pop("mean", None), Tensor):
        model.register_buffer("mean", mean, persistent=False)


def _kind(layer: nn.Module) -> str:
    """The name of the layer's class if it is one of spandrel's, whose modules are private."""
    return type(layer).__name__ if type(layer).__module__.startswith("spandrel.") else ""


def _conv3xc(layer: Any, images: Tensor) -> Tensor:
    """SPAN's convolution: spandrel writes the kernel that it computes into a parameter."""
    if not torch.compiler.is_exporting():
        plain: Tensor = type(layer).forward(layer, images)
        return plain
    first, second, third = layer.conv
    # The 3x3 convolution between two of 1x1, then the skip connection in the middle of the kernel.
    kernel = torch.einsum("om,mnij,nc->ocij", third.weight[..., 0, 0], second.weight, first.weight[..., 0, 0])
    bias = second.bias + torch.einsum("mnij,n->m", second.weight, first.bias)
    bias = third.bias + third.weight[..., 0, 0] @ bias + layer.sk.bias
    restored = F.conv2d(images, kernel + F.pad(layer.sk.weight, (1, 1, 1, 1)), bias, layer.stride, padding=1)
    return F.leaky_relu(restored, negative_slope=0.05) if layer.has_relu else restored


def _safm(layer: Any, images: Tensor) -> Tensor:
    """SAFMN's modulation: pooling to a part of the size, which is a whole one after padding."""
    if not torch.compiler.is_exporting():
        plain: Tensor = type(layer).forward(layer, images)
        return plain
    levels = []
    for level, features in enumerate(images.chunk(layer.n_levels, 1)):
        smaller = layer.mfr[level](F.max_pool2d(features, 2**level))
        levels.append(F.interpolate(smaller, scale_factor=float(2**level), mode="nearest"))
    modulated: Tensor = layer.act(layer.aggr(torch.cat(levels, 1))) * images
    return modulated


_FORMS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {"Conv3XC": _conv3xc, "SAFM": _safm}
