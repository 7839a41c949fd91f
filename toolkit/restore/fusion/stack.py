"""A stack of 3x3 convolutions, computed for a band of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.fusion.layers import FusedConv, FusedResidual, conv_relu, has_onednn, in_layout
from restore.fusion.winograd import ColumnPairs, RowBuffer, WinogradConv

__all__ = ["FusedStack"]

Layer = nn.Conv2d | tuple[nn.Conv2d, nn.Conv2d]


class FusedStack(nn.Module):
    """``tail(body(ReLU(head(x))))``, all of 3x3 convolutions with zero padding of 1 and stride 1.

    On a CPU, the image passes through all layers in bands of rows, and each layer keeps the two rows that it
    needs again. Nothing is computed twice, as the margins of tiles are, and what one layer writes is in the
    caches when the next one reads it. All but the first multiply by Winograd's F(2, 3) (Lavin, Gray 2016,
    arXiv 1509.09308), which in bfloat16 rounds about twice as often. With AMX, where products cost less than
    the sums that replace them, and on other devices each layer is computed for the whole image.

    Args:
        head: the first layer.
        body: a layer stands for ``ReLU(conv(x))``, and a pair for ``x + conv(ReLU(conv(x)))``. All have as
            many channels as the head has outputs.
        tail: the last layer.
        dtype: of the weights, the inputs and the results.
        band: pixels of a band, at most, but a row more than there are layers. Smaller ones cost
            more calls, which weighs most in a thread other than the main one.

    Shape:
        ``(B, C, H, W)`` -> ``(B, D, H, W)``.

    Raises:
        ValueError: a layer is of another kind, or has other channels.

    Example:
        >>> head, first, second, tail = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(4))
        >>> image = torch.rand(1, 8, 9, 11)
        >>> with torch.inference_mode():
        ...     features = F.relu(head(image))
        ...     plain = tail(features + second(F.relu(first(features))))
        ...     fused = FusedStack(head, [(first, second)], tail, torch.float32)(image)
        >>> torch.allclose(fused, plain, atol=1e-4)
        True
    """

    def __init__(
        self,
        head: nn.Conv2d,
        body: Sequence[Layer],
        tail: nn.Conv2d,
        dtype: torch.dtype,
        *,
        band: int = 65536,
    ) -> None:
        super().__init__()
        _check(head, body, tail)
        self.head = FusedConv(head, dtype, relu=True)
        self.body = nn.Sequential(
            *(
                FusedConv(layer, dtype, relu=True)
                if isinstance(layer, nn.Conv2d)
                else FusedResidual(*layer, dtype)
                for layer in body
            )
        )
        self.tail = FusedConv(tail, dtype)
        self.banded = _BandedStack(head, body, tail, dtype, band)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, D, H, W)``."""
        if _products_dominate(x):
            banded: Tensor = self.banded(x)
            return banded
        result: Tensor = self.tail(self.body(self.head(x)))
        return result


class _BandedStack(nn.Module):
    """`FusedStack` in bands of rows."""

    def __init__(
        self, head: nn.Conv2d, body: Sequence[Layer], tail: nn.Conv2d, dtype: torch.dtype, band: int
    ) -> None:
        super().__init__()
        self.band = band
        self.head = _PairedHead(head, dtype)
        self.body = nn.ModuleList()
        gain = 1  # of the features: each residual block doubles them
        for layer in body:
            if isinstance(layer, nn.Conv2d):
                self.body.append(_Plain(layer, dtype, gain))
            else:
                self.body.append(_Residual(layer, dtype, gain))
                gain *= 2
        self.tail = WinogradConv(tail, dtype, gain=1 / gain, bias_gain=1)
        self.width, self.channels = head.out_channels, tail.out_channels
        # Each layer but the head makes a row less of the first band, and a row more of the last.
        self.delay = 1 + sum(1 if isinstance(layer, nn.Conv2d) else 2 for layer in body)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, D, H, W)``."""
        batch, _, height, width = x.shape
        pairs = (width + 1) // 2
        padded = F.pad(x, (0, width % 2, 1, 1)).contiguous(memory_format=torch.channels_last)
        result = x.new_empty(batch, height, pairs, 2, self.channels)
        for image, columns in zip(padded.chunk(batch), result, strict=True):
            self._fill(columns, image, odd_width=width % 2 == 1)
        return result.view(batch, height, 2 * pairs, self.channels).permute(0, 3, 1, 2)[..., :width]

    def _fill(self, result: Tensor, x: Tensor, *, odd_width: bool) -> None:
        """Pass one image through all layers.

        Args:
            result: ``(H, W/2, 2, D)``, filled.
            x: ``(1, C, 1 + H + 1, W)``, with an even width.
            odd_width: the last column is beyond the image.
        """
        height, pairs = result.shape[:2]
        rows = min(max(self.band // (2 * pairs), self.delay + 1), height)
        shape = (4, rows + self.delay + 2, pairs, self.width)
        scratch = [x.new_empty(shape).permute(0, 3, 1, 2) for _ in range(2)]
        kept = [[RowBuffer(odd_width=odd_width) for _ in range(2)] for _ in self.body]
        kept_for_tail = RowBuffer(odd_width=odd_width)
        done = 0
        for begin in range(0, height, rows):
            last = begin + rows >= height
            band = self.head(x[:, :, begin : begin + rows + 2])
            for block, buffers in zip(self.body, kept, strict=True):
                band = block(band, buffers, scratch, last=last)
                scratch.reverse()  # the next block reads what this one has written
            band = self.tail(kept_for_tail.push(band, scratch[0], last=last), relu=False)
            for column, half in enumerate(band):
                result[done : done + half.shape[2], :, column] = half[0].permute(1, 2, 0)
            done += band.even.shape[2]


class _Plain(nn.Module):
    """A layer of the body with a ReLU; `gain` is that of what it reads."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype, gain: int) -> None:
        super().__init__()
        self.conv = WinogradConv(conv, dtype, gain=1, bias_gain=gain)

    def forward(
        self, x: ColumnPairs, buffers: Sequence[RowBuffer], scratch: Sequence[Tensor], *, last: bool
    ) -> ColumnPairs:
        """The next rows -> as many, one less for the first band, and one more for the last.

        Args:
            x: may lie in ``scratch[1]``.
            buffers: the first is that of the layer.
            scratch: for the rows that the layer reads.
            last: whether the image ends with `x`.
        """
        result: ColumnPairs = self.conv(buffers[0].push(x, scratch[0], last=last), relu=True)
        return result


class _Residual(nn.Module):
    """Two layers of the body, whose result is added to what the first one reads, and doubled."""

    def __init__(self, layers: tuple[nn.Conv2d, nn.Conv2d], dtype: torch.dtype, gain: int) -> None:
        super().__init__()
        self.first = WinogradConv(layers[0], dtype, gain=1, bias_gain=gain)
        self.second = WinogradConv(layers[1], dtype, gain=2, bias_gain=2 * gain)

    def forward(
        self, x: ColumnPairs, buffers: Sequence[RowBuffer], scratch: Sequence[Tensor], *, last: bool
    ) -> ColumnPairs:
        """The next rows -> as many, two less for the first band, and two more for the last.

        Args:
            x: may lie in ``scratch[1]``.
            buffers: of the layers.
            scratch: for the rows that they read. The result lies in ``scratch[0]``.
            last: whether the image ends with `x`.
        """
        before = buffers[0].push(x, scratch[0], last=last)
        between = buffers[1].push(self.first(before, relu=True), scratch[1], last=last)
        rows = between.total.shape[2] - 2
        above = before.total.shape[2] - x.even.shape[2] - last  # rows in front of `x`, one above the image
        return self.second.add_to_double(between, before.rows(2 - above, 2 - above + rows))


class _PairedHead(nn.Module):
    """The first layer with its ReLU, whose result is split into even and odd columns.

    Of two columns beside each other, one has a column of zeros after its weights, and the other before them.
    """

    even: Tensor
    odd: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        weight = conv.weight.detach()
        self.register_buffer("even", in_layout(F.pad(weight, (0, 1)), dtype))
        self.register_buffer("odd", in_layout(F.pad(weight, (1, 0)), dtype))
        self.register_buffer("bias", None if conv.bias is None else in_layout(conv.bias, dtype))

    def forward(self, x: Tensor) -> ColumnPairs:
        """``(1, C, n + 2, W)`` -> n rows."""
        return ColumnPairs(
            *(
                conv_relu(x, weight, self.bias, stride=(1, 2), padding=(0, 1))
                for weight in (self.even, self.odd)
            )
        )


def _check(head: nn.Conv2d, body: Sequence[Layer], tail: nn.Conv2d) -> None:
    hidden = [conv for layer in body for conv in (layer if isinstance(layer, tuple) else (layer,))]
    for conv in (head, *hidden, tail):
        shape = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups)
        if shape != ((3, 3), (1, 1), (1, 1), (1, 1), 1) or conv.padding_mode != "zeros":
            raise ValueError(
                f"expected a 3x3 convolution of stride 1 with a zero padding of 1, but got {conv}"
            )
    for conv in (*hidden, tail):
        if conv.in_channels != head.out_channels or (
            conv is not tail and conv.out_channels != conv.in_channels
        ):
            raise ValueError(
                f"expected a layer of {head.out_channels} channels, as many as the head's, but got {conv}"
            )


def _products_dominate(x: Tensor) -> bool:
    """Whether multiplications take most of the time, so that fewer of them pay for more additions."""
    has_amx = x.dtype == torch.bfloat16 and torch.cpu.get_capabilities().get("amx_bf16", False)
    return x.dtype in (torch.float32, torch.bfloat16) and not has_amx and has_onednn(x)
