"""3x3 convolutions with two thirds of the multiplications, on an image that arrives in bands of rows.

Winograd's F(2, 3) (Lavin, Gray 2016, arXiv 1509.09308) along the rows: two neighboring outputs of a filter of
three taps take four products instead of six. Where the even columns of an image are stored apart from the odd
ones, the sums and differences that the method needs are those of whole arrays, and its products are
convolutions with weights of 3x1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.fusion.layers import add_conv, in_layout

__all__ = ["ColumnPairs", "RowBuffer", "Transformed", "WinogradConv"]


class ColumnPairs(NamedTuple):
    """Rows of an image, its even columns apart from its odd ones: ``(1, C, n, W/2)`` each."""

    even: Tensor
    odd: Tensor


class Transformed(NamedTuple):
    """What the products of F(2, 3) are taken of, for each pair of columns: ``(1, C, n, W/2)`` each."""

    left: Tensor
    """The odd column before the pair, less the odd one."""
    total: Tensor
    difference: Tensor
    """Even less odd."""
    right: Tensor
    """The even column after the pair, less the even one."""

    @classmethod
    def views(cls, arrays: Tensor) -> Transformed:
        """The four parts of ``(4, C, n, W/2)``."""
        return cls(*arrays.chunk(4))

    def rows(self, begin: int, end: int) -> Transformed:
        """Views of some rows."""
        return Transformed(*(array[:, :, begin:end] for array in self))


class RowBuffer:
    """Transforms the rows that one convolution reads, and keeps those that it reads again with the next band.

    Args:
        odd_width: the last odd column is beyond the image.
    """

    def __init__(self, *, odd_width: bool) -> None:
        self._odd_width = odd_width
        self._kept: Tensor | None = None

    def push(self, rows: ColumnPairs, scratch: Tensor, *, last: bool) -> Transformed:
        """Transform the next rows of the image: n -> n + 2, with the two before them.

        Above the image there is one row of zeros, which makes it n + 1 the first time, and below it another.

        Args:
            rows: set to zero beyond the image.
            scratch: ``(4, C, n + 3 or more, W/2)``, where the result is made.
            last: whether the image ends with `rows`.
        """
        even, odd = rows
        if self._odd_width:
            odd[..., -1].zero_()
        begin = 1 if self._kept is None else 2
        end = begin + even.shape[2]
        arrays = scratch[:, :, : end + last]
        if self._kept is None:
            arrays[:, :, 0] = 0
        else:
            arrays[:, :, :2] = self._kept
        if last:
            arrays[:, :, -1] = 0
        left, total, difference, right = Transformed.views(arrays[:, :, begin:end])
        torch.add(even, odd, out=total)
        torch.sub(even, odd, out=difference)
        torch.sub(odd[..., :-1], odd[..., 1:], out=left[..., 1:])
        torch.neg(odd[..., :1], out=left[..., :1])
        torch.sub(even[..., 1:], even[..., :-1], out=right[..., :-1])
        torch.neg(even[..., -1:], out=right[..., -1:])
        if not last:
            self._kept = arrays[:, :, -2:].clone()
        return Transformed.views(arrays)


class WinogradConv(nn.Module):
    """A 3x3 convolution with zero padding of 1 and stride 1.

    Args:
        conv: the plain layer.
        dtype: of the weights, the inputs and the results.
        gain: factor of the weights.
        bias_gain: factor of the bias.
    """

    left: Tensor
    total: Tensor
    difference: Tensor
    right: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, *, gain: float, bias_gain: float) -> None:
        super().__init__()
        left, middle, right = (gain * conv.weight.detach().double()).chunk(3, dim=3)
        ends = (left + right) / 2
        self.register_buffer("left", in_layout(left, dtype))
        self.register_buffer("total", in_layout(ends + middle / 2, dtype))
        self.register_buffer("difference", in_layout(middle / 2 - ends, dtype))
        self.register_buffer("right", in_layout(right, dtype))
        self.register_buffer("bias", None if conv.bias is None else in_layout(bias_gain * conv.bias, dtype))

    def forward(self, x: Transformed, *, relu: bool) -> ColumnPairs:
        """``conv(x)``, without what is below zero if `relu`: n + 2 rows -> n."""
        first = F.conv2d(x.total, self.total, self.bias)
        second = F.conv2d(x.difference, self.difference)
        even, odd = first + second, first.sub_(second)
        add_conv(even, x.left, self.left, relu=relu)
        add_conv(odd, x.right, self.right, relu=relu)
        return ColumnPairs(even, odd)

    def add_to_double(self, x: Transformed, skip: Transformed) -> ColumnPairs:
        """``2 * skip + conv(x)``: n + 2 rows -> n.

        Args:
            x: n + 2 rows.
            skip: n rows, overwritten. That its sum and its difference are there already saves four passes,
                but twice `skip` is what they add up to.
        """
        first = add_conv(skip.total, x.total, self.total, self.bias)
        second = add_conv(skip.difference, x.difference, self.difference)
        even = torch.add(first, second, out=skip.left)
        odd = torch.sub(first, second, out=skip.right)
        add_conv(even, x.left, self.left)
        add_conv(odd, x.right, self.right)
        return ColumnPairs(even, odd)
