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


def test_ssim_equals_two_windows_calculated_by_hand() -> None:
    """An image of 11x11 pixels is one window, so that `ssim_index` of MATLAB is one quotient."""
    flat = torch.full((1, 1, 11, 11), 100.0), torch.full((1, 1, 11, 11), 120.0)
    # No variance: (2*100*120 + 6.5025) / (100^2 + 120^2 + 6.5025) = 24006.5025 / 24406.5025
    assert ssim(*flat, data_range=255) == pytest.approx(0.983611, abs=1e-6)
    # A bright middle column. The Gaussian's middle weight is
    # 1 / (1 + 2 * (.800737 + .411112 + .135335 + .028566 + .003866)) = 0.266012; means 53.2024 and 26.6012;
    # variances and covariance 0.266012 * 0.733988 = 0.195250 times 200^2, 100^2 and 200*100.
    # (2830.495 + 6.5025) / (2830.495 + 707.624 + 6.5025) = 2836.998 / 3544.622 = 0.800367
    # (2 * 3905.0 + 58.5225) / (7810.0 + 1952.5 + 58.5225) = 7868.52 / 9821.02 = 0.801192
    columns = [torch.zeros(1, 1, 11, 11) for _ in range(2)]
    for image, level in zip(columns, (200, 100), strict=True):
        image[..., 5] = level
    assert ssim(*columns, data_range=255) == pytest.approx(0.800367 * 0.801192, abs=1e-5)


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
