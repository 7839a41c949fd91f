"""Fused layers against the plain ones that they stand for, in float64, where rounding hides nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from restore.fusion import FusedConv, FusedStack, FusedUpsampling, folded

sides = st.integers(1, 9)

Stack = tuple[nn.Conv2d, list[nn.Conv2d | tuple[nn.Conv2d, nn.Conv2d]], nn.Conv2d]
"""Head, body and tail."""


@given(
    height=sides, width=sides, factor=st.integers(1, 4), kernel=st.sampled_from([1, 3, 5]), bias=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_enlargement_and_convolution_are_one_transposed_convolution(
    *, height: int, width: int, factor: int, kernel: int, bias: bool
) -> None:
    conv = nn.Conv2d(4, 6, kernel, padding=kernel // 2, bias=bias).double()
    image = torch.randn(2, 4, height, width, dtype=torch.float64)
    with torch.no_grad():
        plain = F.relu(conv(F.interpolate(image, scale_factor=factor, mode="nearest")))
        fused = FusedUpsampling(conv, factor, torch.float64)(image)
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)


def test_doubling_needs_four_ninths_of_the_multiplications() -> None:
    weight = folded(torch.rand(5, 3, 3, 3), 2)
    assert weight.shape == (3, 5, 4, 4)  # 16 weights for 4 outputs, where 4 outputs took 4 times 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_what_onednn_does_in_one_pass_equals_the_plain_operations(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    image = torch.randn(2, 16, 11, 13).to(dtype).contiguous(memory_format=layout)
    layers = (FusedConv(conv, dtype), FusedConv(conv, dtype, relu=True), FusedUpsampling(conv, 2, dtype))

    def results() -> list[torch.Tensor]:
        with torch.no_grad():
            return [*(layer(image) for layer in layers), layers[0].add_to(image.clone(), image)]

    fast = results()
    image.requires_grad_()  # oneDNN's fused operations have no gradient, so the plain ones are used
    for one, other in zip(fast, results(), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2 if dtype == torch.bfloat16 else 1e-5)


def plain_stack(
    channels: int = 8,
) -> Stack:
    torch.manual_seed(0)

    def conv(inputs: int = channels, outputs: int = channels) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, padding=1)

    return conv(5), [(conv(), conv()), conv(), conv(), (conv(), conv()), (conv(), conv())], conv(channels, 3)


def run_plain(stack: Stack, x: Tensor) -> Tensor:
    head, body, tail = stack
    x = F.relu(head(x))
    for layer in body:
        x = F.relu(layer(x)) if isinstance(layer, nn.Conv2d) else x + layer[1](F.relu(layer[0](x)))
    result: Tensor = tail(x)
    return result


@given(height=st.integers(1, 60), width=st.integers(1, 9), band=st.sampled_from([1, 150, 10_000]))
@settings(max_examples=60, deadline=None)
def test_a_stack_in_bands_of_rows_equals_its_layers(height: int, width: int, band: int) -> None:
    stack = plain_stack()
    image = torch.rand(1, 5, height, width)
    with torch.inference_mode():
        banded = FusedStack(*stack, torch.float32, band=band).banded(image)
        torch.testing.assert_close(banded, run_plain(stack, image), rtol=1e-5, atol=1e-5)


def test_a_stack_of_several_images_keeps_them_apart() -> None:
    stack = plain_stack()
    images = torch.rand(3, 5, 12, 17)
    with torch.inference_mode():
        fused = FusedStack(*stack, torch.float32)(images)
        torch.testing.assert_close(fused, run_plain(stack, images), rtol=1e-5, atol=1e-5)


def test_a_stack_rounds_about_as_much_as_its_layers() -> None:
    stack = plain_stack(channels=32)
    image = torch.rand(1, 5, 64, 65)
    with torch.inference_mode():
        exact = run_plain(stack, image)
        fused = FusedStack(*stack, torch.bfloat16)
        rounded = image.bfloat16().contiguous(memory_format=torch.channels_last)
        layers = (fused.tail(fused.body(fused.head(rounded))).float() - exact).square().mean()
        banded = (fused.banded(rounded).float() - exact).square().mean()
    assert banded < 4 * layers  # twice the standard deviation
    assert banded.sqrt() < 0.01 * exact.std()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (nn.Conv2d(8, 8, 5, padding=2), "expected a 3x3 convolution of stride 1"),
        (nn.Conv2d(8, 8, 3), "with a zero padding of 1"),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "with a zero padding of 1"),
        (
            nn.Conv2d(8, 4, 3, padding=1),
            "expected a layer of 8 channels, as many as the head's, but got Conv2d",
        ),
    ],
)
def test_a_stack_refuses_layers_of_another_kind(wrong: nn.Conv2d, sentence: str) -> None:
    head, body, tail = plain_stack()
    with pytest.raises(ValueError, match=sentence):
        FusedStack(head, [*body, wrong], tail, torch.float32)


def test_the_plain_layer_is_left_as_it_is() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1)
    fused = FusedConv(conv, torch.float32)
    fused.weight.zero_()
    assert conv.weight.abs().sum() > 0


def test_padding_by_name_is_refused() -> None:
    with pytest.raises(ValueError, match="padding of a fused layer as numbers, not as 'same'"):
        FusedConv(nn.Conv2d(4, 4, 3, padding="same"), torch.float32)
