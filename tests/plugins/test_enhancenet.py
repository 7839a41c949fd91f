"""The generator is that of Table 1."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from restore.resizing import imresize
from restore_enhancenet.generator import Generator, ResidualBlock


def test_the_4x_generator_has_the_parameters_of_the_paper() -> None:
    generator = Generator(4)
    assert sum(parameter.numel() for parameter in generator.parameters()) == 852_867
    convolutions = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 25
    assert all(layer.kernel_size == (3, 3) and layer.bias is not None for layer in convolutions)


@pytest.mark.parametrize(("scale", "convolutions"), [(2, 24), (3, 24), (4, 25), (8, 26)])
def test_each_scale_has_its_upsampling_blocks(scale: int, convolutions: int) -> None:
    layers = [layer for layer in Generator(scale).modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == convolutions


def test_without_a_residual_it_is_bicubic() -> None:
    generator = Generator(4, width=8, blocks=1)
    nn.init.zeros_(generator.tail.weight)
    image = torch.rand(1, 3, 9, 13)
    assert torch.equal(generator(image), imresize(image, (36, 52)))


def test_the_channel_mean_is_subtracted_from_the_input_only() -> None:
    generator = Generator(2, width=4, blocks=0)
    mean = generator.mean.expand(1, 3, 8, 8).contiguous()
    nn.init.zeros_(generator.tail.bias)  # type: ignore[arg-type]
    torch.testing.assert_close(generator(mean), imresize(mean, (16, 16)))


def test_a_residual_block_adds_without_a_last_relu() -> None:
    block = ResidualBlock(2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    negative = -torch.rand(1, 2, 5, 5)
    assert torch.equal(block(negative), negative)


def test_a_half_precision_network_keeps_the_bicubic_part_exact() -> None:
    generator = Generator(4, width=8, blocks=1)
    nn.init.zeros_(generator.tail.weight)
    image = torch.rand(1, 3, 9, 13)
    expected = imresize(image, (36, 52))
    generator.to(torch.bfloat16)
    generator.mean.data = generator.mean.float()
    restored = generator(image)
    assert restored.dtype == torch.float32
    assert torch.equal(restored, expected)
