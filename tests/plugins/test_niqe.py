"""NIQE against another implementation's values, and how it answers to degradations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restore.images import read_levels
from restore_baselines.niqe import niqe

PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return read_levels(PHOTO)[None].float() / 255


def test_the_photograph_has_the_value_of_basicsr(photo: Tensor) -> None:
    # basicsr 1.4.2, calculate_niqe(image, crop_border=0) on the luma: 3.69545
    assert niqe(photo, gray=False) == pytest.approx(3.69545, rel=5e-3)


def test_noise_and_blur_are_further_from_natural(photo: Tensor) -> None:
    clean = niqe(photo, gray=False)
    noise = 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert niqe((photo + noise).clamp(0, 1), gray=False) > 1.5 * clean
    blurred = F.avg_pool2d(F.pad(photo, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    assert niqe(blurred, gray=False) > 1.2 * clean


def test_a_gray_file_is_its_own_luma(photo: Tensor) -> None:
    gray = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert niqe(gray, gray=True) != pytest.approx(niqe(gray, gray=False), rel=1e-6)


def test_what_lies_outside_of_whole_blocks_does_not_count(photo: Tensor) -> None:
    cut = photo[..., : photo.shape[-2] // 96 * 96, : photo.shape[-1] // 96 * 96]
    assert niqe(cut, gray=False) == niqe(photo, gray=False)


def test_an_image_of_one_block_is_refused() -> None:
    with pytest.raises(ValueError, match="191x120 pixels are too few"):
        niqe(torch.rand(1, 3, 120, 191), gray=False)


def test_a_flat_block_leaves_the_value_finite(photo: Tensor) -> None:
    image = photo.clone()
    image[..., :96, :96] = 0.5
    value = torch.tensor(niqe(image, gray=False))
    assert value.isfinite()
