"""Single layers with what follows them, and the operations of oneDNN that they are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "FusedConv",
    "FusedResidual",
    "FusedUpsampling",
    "add_conv",
    "conv_relu",
    "folded",
    "has_onednn",
    "in_layout",
]

_HALF = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}


class FusedConv(nn.Module):
    """A convolution of stride 1 with zero padding, with what follows it.

    Args:
        conv: the plain layer; its weights are copied.
        dtype: of the weights, the inputs and the results.
        relu: cut off what is below zero.

    Example:
        >>> conv, image = nn.Conv2d(3, 8, 3, padding=1), torch.rand(1, 3, 9, 9)
        >>> fused = FusedConv(conv, torch.float32, relu=True)
        >>> with torch.inference_mode():
        ...     torch.allclose(fused(image), conv(image).relu(), atol=1e-5)
        True
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, *, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu
        self.padding = _pair(conv.padding)
        self.register_buffer("weight", in_layout(conv.weight, dtype))
        self.register_buffer("bias", None if conv.bias is None else in_layout(conv.bias, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, D, H, W)``."""
        if self.relu:
            return conv_relu(x, self.weight, self.bias, padding=self.padding)
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """``total + conv(x)``, before any ReLU. `total` is changed."""
        return add_conv(total, x, self.weight, self.bias, padding=self.padding)


class FusedResidual(nn.Module):
    """``x + second(ReLU(first(x)))``, in place.

    Args:
        first: the plain layer before the ReLU; see `FusedConv`.
        second: the plain layer after it.
        dtype: of the weights, the inputs and the results.

    Example:
        >>> first, second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        >>> with torch.inference_mode():
        ...     FusedResidual(first, second, torch.float32)(torch.rand(1, 8, 9, 9)).shape
        torch.Size([1, 8, 9, 9])
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = FusedConv(first, dtype, relu=True)
        self.second = FusedConv(second, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> `x`, with the residual added to it."""
        return self.second.add_to(x, self.first(x))


class FusedUpsampling(nn.Module):
    """Nearest-neighbor enlargement, convolution and ReLU as one transposed convolution.

    See `folded`: at a factor of 2 and with 3x3 weights it takes 4 multiplications where there were 9, and the
    enlarged image is never made.

    Args:
        conv: the plain layer after the enlargement: stride 1, zero padding that keeps the size.
        factor: of the enlargement.
        dtype: of the weights, the inputs and the results.

    Example:
        >>> conv, image = nn.Conv2d(8, 8, 3, padding=1), torch.rand(1, 8, 9, 9)
        >>> with torch.inference_mode():
        ...     FusedUpsampling(conv, 2, torch.float32)(image).shape
        torch.Size([1, 8, 18, 18])
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, factor: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.factor = factor
        self.padding = _pair(conv.padding)
        self.register_buffer("weight", in_layout(folded(conv.weight.detach(), factor), dtype))
        self.register_buffer("bias", None if conv.bias is None else in_layout(conv.bias, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, D, factor*H, factor*W)``."""
        stride = (self.factor, self.factor)
        if has_onednn(x):
            return torch.ops.mkldnn._convolution_transpose_pointwise(  # type: ignore[no-any-return]
                x, self.weight, self.bias, self.padding, (0, 0), stride, (1, 1), 1, "relu", [], ""
            )
        return F.conv_transpose2d(x, self.weight, self.bias, stride, self.padding).relu_()


def folded(weight: Tensor, factor: int) -> Tensor:
    """Weights of the transposed convolution that equals a nearest-neighbor enlargement and a convolution.

    Nearest-neighbor enlargement is itself a transposed convolution, with a square of ones; one after the
    other they are one whose weights are the two convolved. Each output then sees only the few input pixels
    that its neighbors were copies of.

    Args:
        weight: ``(D, C, k, k)`` of a convolution of stride 1 with padding p.
        factor: of the enlargement.

    Returns:
        ``(C, D, k + factor - 1, k + factor - 1)`` for a transposed convolution of stride `factor` with the
        same padding p.

    Example:
        >>> folded(torch.rand(16, 8, 3, 3), 2).shape
        torch.Size([8, 16, 4, 4])
    """
    ones = weight.new_ones(1, 1, factor, factor)
    planes = weight.double().flatten(0, 1)[:, None]  # (D*C, 1, k, k)
    sums = F.conv2d(planes, ones.double(), padding=factor - 1)
    return sums.view(*weight.shape[:2], *sums.shape[-2:]).flip(-1, -2).transpose(0, 1).to(weight)


def conv_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Tensor:
    """A convolution without what is below zero."""
    if has_onednn(x):
        return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
            x, weight, bias, padding, stride, (1, 1), 1, "relu", [], ""
        )
    return F.conv2d(x, weight, bias, stride, padding).relu_()


def add_conv(
    total: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    padding: tuple[int, int] = (0, 0),
    relu: bool = False,
) -> Tensor:
    """Add a convolution of stride 1 to `total`, in place, then cut off what is below zero if `relu`."""
    if has_onednn(x):
        after = "relu" if relu else None
        return torch.ops.mkldnn._convolution_pointwise_.binary(  # type: ignore[no-any-return]
            total, x, weight, bias, padding, (1, 1), (1, 1), 1, "add", 1.0, after, [], None
        )
    total.add_(F.conv2d(x, weight, bias, padding=padding))
    return total.relu_() if relu else total


def in_layout(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a weight or bias as the layers keep it, of 4 dimensions in channels-last order."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.detach().to(dtype, copy=True).contiguous(memory_format=layout)


def _pair(padding: str | tuple[int, ...]) -> tuple[int, int]:
    if isinstance(padding, str):
        raise ValueError(f"give the padding of a fused layer as numbers, not as '{padding}'")
    vertical, horizontal = padding
    return vertical, horizontal


def has_onednn(x: Tensor) -> bool:
    """Whether PyTorch's compiler would use oneDNN's fused operations here."""
    if torch.compiler.is_exporting():  # a graph for other engines holds plain operations
        return False
    if x.device.type != "cpu" or x.requires_grad or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    check = _HALF.get(x.dtype)
    return x.dtype == torch.float32 or (check is not None and getattr(torch.ops.mkldnn, check)())
