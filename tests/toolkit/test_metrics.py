"""PSNR, SSIM and luma against hand calculation and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from restore.metrics import luma, psnr, shave, ssim
from restore.registry import discover


def levels(*rgb: int) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1) / 255


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((0, 0, 0), 16), ((255, 255, 255), 235), ((255, 0, 0), 81), ((0, 255, 0), 145), ((0, 0, 255), 41)],
)
def test_luma_is_that_of_rgb2ycbcr(rgb: tuple[int, int, int], expected: int) -> None:
    assert luma(levels(*rgb), gray=False).item() == expected


def test_a_gray_file_is_its_own_luma() -> None:
    assert luma(levels(200, 200, 200), gray=True).item() == 200
    assert luma(levels(200, 200, 200), gray=False).item() == 188


def test_luma_rounds_a_result_to_8_bits_first() -> None:
    assert luma(levels(100, 100, 100) + 0.4 / 255, gray=True).item() == 100


def test_psnr_of_a_constant_error_is_known() -> None:
    target = torch.zeros(1, 1, 8, 8)
    assert psnr(target + 0.1, target, data_range=1) == pytest.approx(20.0, abs=1e-5)
    assert psnr(target + 1, target, data_range=255) == pytest.approx(20 * math.log10(255))
    assert psnr(target, target, data_range=1) == math.inf


def test_psnr_and_ssim_equal_those_of_scikit_image() -> None:
    random = np.random.default_rng(0)
    target = random.random((40, 53)) * 255
    restored = np.clip(target + random.normal(0, 12, target.shape), 0, 255)
    a, b = (torch.tensor(image)[None, None] for image in (restored, target))
    assert psnr(a, b, data_range=255) == pytest.approx(
        peak_signal_noise_ratio(target, restored, data_range=255), abs=1e-10
    )
    _, similarity = structural_similarity(
        target, restored, data_range=255, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    assert ssim(a, b, data_range=255) == pytest.approx(similarity[5:-5, 5:-5].mean(), abs=1e-10)


def test_ssim_of_equal_images_is_one_and_small_images_work() -> None:
    image = torch.rand(1, 1, 5, 30)
    assert ssim(image, image, data_range=1) == pytest.approx(1.0)


def test_data_range_has_no_default() -> None:
    image = torch.rand(1, 1, 16, 16)
    for measure in (psnr, ssim):
        with pytest.raises(TypeError, match="data_range"):
            measure(image, image)  # type: ignore[call-arg]


def test_shaving_cuts_each_side_and_leaves_tiny_images() -> None:
    assert shave(torch.rand(1, 1, 20, 30), 4).shape == (1, 1, 12, 22)
    assert shave(torch.rand(1, 1, 8, 30), 4).shape == (1, 1, 8, 30)


def test_errors_in_the_shaved_border_do_not_count() -> None:
    metrics = discover().metrics
    spec = metrics["psnr"]
    metric = spec.build(4, spec.options())
    target = torch.rand(1, 3, 32, 32)
    restored = target.clone()
    restored[..., :4, :] = 0
    assert metric(restored, target, gray=False) == math.inf
    restored[..., 4, :] = 1 - target[..., 4, :].round()
    assert metric(restored, target, gray=False) < 30
