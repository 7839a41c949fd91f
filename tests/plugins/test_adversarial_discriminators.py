"""The discriminators: shapes, sizes, receptive fields, spectral norms and transforms."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from restore_adversarial.dct import BlockDct
from restore_adversarial.dct import build as build_dct
from restore_adversarial.options import DctOptions, PatchOptions, UNetOptions, VggStyleOptions
from restore_adversarial.patch import build as build_patch
from restore_adversarial.unet import UNetDiscriminator
from restore_adversarial.unet import build as build_unet
from restore_adversarial.vgg_style import build as build_vgg


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_unet_has_the_parameters_of_the_authors_network() -> None:
    assert parameters(build_unet(128, UNetOptions())) == 4_376_897


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (33, 40)])
def test_the_unet_gives_a_logit_for_each_pixel_of_any_size(size: tuple[int, int]) -> None:
    network = UNetDiscriminator(4)
    assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_skips_change_what_the_unet_answers() -> None:
    torch.manual_seed(0)
    network, image = UNetDiscriminator(4).eval(), torch.rand(1, 3, 16, 16)
    with_skips = network(image)
    network.skip = False
    assert not torch.allclose(with_skips, network(image))


def test_the_norm_of_each_normalized_convolution_comes_to_one() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(4).train()
    for _ in range(50):  # each pass in training mode improves the estimate
        network(torch.rand(1, 3, 8, 8))
    for convolution in [*network.down, *network.up, *network.tail]:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)
        assert float(largest.detach()) == pytest.approx(1, abs=1e-2)


def test_a_patch_has_seventy_pixels_by_default() -> None:
    network = build_patch(128, PatchOptions(width=4))
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    logits = network(image)
    logits[0, 0, 7, 7].backward()
    assert image.grad is not None
    touched = image.grad[0].abs().sum(0).nonzero()
    assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [70, 70]


def test_the_patch_discriminator_has_the_parameters_of_its_layers() -> None:
    widths = [3, 64, 128, 256, 512, 1]
    expected = sum(16 * a * b + b for a, b in pairwise(widths))
    assert parameters(build_patch(128, PatchOptions())) == expected


def test_several_scales_give_a_list_of_logits_of_shrinking_size() -> None:
    logits = build_patch(128, PatchOptions(width=4, scales=3))(torch.rand(2, 3, 128, 128))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 14, 14), (2, 1, 6, 6), (2, 1, 2, 2)]


def test_targets_too_small_for_the_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="targets of 64 pixels are 16 pixels at scale 3"):
        build_patch(64, PatchOptions(scales=3))


def test_the_vgg_style_discriminator_has_the_parameters_of_the_authors_network() -> None:
    assert parameters(build_vgg(128, VggStyleOptions())) == 14_499_401  # BasicSR's, of 128 pixels


def test_the_vgg_style_discriminator_refuses_targets_that_it_cannot_halve_five_times() -> None:
    with pytest.raises(ValueError, match="targets of 31 pixels"):
        build_vgg(31, VggStyleOptions())


@pytest.mark.parametrize("block", [2, 4, 8])
def test_the_cosine_transform_keeps_the_power_but_for_the_typical_one(block: int) -> None:
    transform = BlockDct(block).double()
    image = torch.rand(2, 3, 4 * block, 2 * block, dtype=torch.float64)
    typical = transform.weight.flatten(1).norm(dim=1).reciprocal()  # the waves are orthonormal
    coefficients = transform(image).view(2, 3, block**2, 4, 2) * typical[:, None, None]
    assert torch.allclose(coefficients.square().sum(), (image - 0.5).square().sum())
    assert float(typical[0]) == pytest.approx(0.25 * block)


def test_a_woven_pattern_is_an_offset_of_one_coefficient() -> None:
    torch.manual_seed(0)
    image, pattern = torch.rand(1, 3, 32, 32), torch.tensor([0.01, -0.01]).repeat(16).expand(1, 3, 32, 32)
    transform = BlockDct(2)
    offset = (transform(image + pattern) - transform(image)).view(3, 4, 16, 16)
    assert float(offset[:, 1].std()) < 1e-5
    assert float(offset[:, 1].mean().abs()) == pytest.approx(0.02 / (0.15 * 0.5**1.5), rel=1e-3)
    assert float(offset[:, [0, 2, 3]].abs().max()) < 1e-5


def test_the_dct_discriminator_gives_a_logit_for_two_by_two_blocks() -> None:
    assert build_dct(64, DctOptions(width=4))(torch.rand(2, 3, 64, 64)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("size", [4, 66])
def test_the_dct_discriminator_refuses_targets_that_blocks_do_not_fill(size: int) -> None:
    with pytest.raises(ValueError, match=f"targets of {size} pixels"):
        build_dct(size, DctOptions())
