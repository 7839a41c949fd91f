"""MS-SSIM and the frequency loss against plain computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from torch import Tensor

from restore.interfaces import Options
from restore.resizing import imresize
from restore_baselines.frequency import build as build_frequency
from restore_baselines.losses import build_charbonnier, build_consistency
from restore_baselines.options import CharbonnierOptions
from restore_baselines.structure import build as build_structure
from restore_baselines.structure import ms_ssim


def pictures(side: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A smooth image and a noisy version of it."""
    numbers = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, side // 8 + 1, side // 8 + 1, generator=numbers, dtype=dtype)
    image = F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)
    noise = 0.1 * torch.randn(image.shape, generator=numbers, dtype=dtype)
    return image, (image + noise).clamp(0, 1)


def test_on_one_scale_it_is_the_structural_similarity_of_scikit_image() -> None:
    image, noisy = pictures(20)
    _, whole = structural_similarity(
        image[0].numpy(),
        noisy[0].numpy(),
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    inside = np.asarray(whole)[:, 5:-5, 5:-5].mean()
    assert float(ms_ssim(image, noisy)) == pytest.approx(inside, rel=1e-9)


def test_five_scales_agree_with_torchmetrics() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

    image, noisy = pictures(192)
    # It pads each scale by reflection and cuts the padding's results off again; its scales are means of 2x2.
    expected = reference(noisy, image, data_range=1.0, normalize=None)
    assert float(ms_ssim(noisy, image)) == pytest.approx(float(expected), abs=2e-3)


def test_the_number_of_scales_follows_the_size() -> None:
    values = {}
    for side in (12, 24, 48, 96, 200):
        image, noisy = pictures(side)
        values[side] = float(ms_ssim(image, noisy))
        assert 0 < values[side] < 1
    with pytest.raises(ValueError, match="10 pixels"):
        ms_ssim(*pictures(10))


def test_opposite_images_give_a_finite_loss_with_a_finite_gradient() -> None:
    image = pictures(64, torch.float32)[0].requires_grad_()
    loss = build_structure(Options())(1 - image, image.detach())
    (gradient,) = torch.autograd.grad(loss, image)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_the_frequency_loss_equals_a_discrete_fourier_transform_written_out() -> None:
    image, noisy = (each[..., :6, :8] for each in pictures(16, torch.float32))
    difference = (image - noisy)[0].double().numpy()
    rows, columns = np.arange(6), np.arange(8)
    total = 0.0
    for u in range(6):
        for v in range(5):  # half the plane
            wave = np.exp(-2j * np.pi * (u * rows[:, None] / 6 + v * columns / 8))
            coefficients = (difference * wave).sum((-2, -1)) / np.sqrt(48)
            total += float((np.abs(coefficients.real) + np.abs(coefficients.imag)).sum())
    expected = total / (3 * 6 * 5 * 2)
    assert float(build_frequency(Options())(image, noisy)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("build", [build_structure, build_frequency])
def test_equal_images_have_no_loss_and_gradients_are_right(build: object) -> None:
    loss = build_structure(Options()) if build is build_structure else build_frequency(Options())
    image, noisy = pictures(16, torch.float32)
    assert float(loss(image, image)) == pytest.approx(0, abs=1e-6)
    step = 1e-2
    noisy = noisy.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(noisy, image), noisy)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        slope = (loss(noisy + step * direction, image) - loss(noisy - step * direction, image)) / (2 * step)
    assert float(slope) == pytest.approx(float(gradient.norm()), rel=0.05)


def test_the_charbonnier_loss_equals_its_formula_and_is_smooth_at_zero() -> None:
    loss = build_charbonnier(CharbonnierOptions(epsilon=0.1))
    image, noisy = pictures(16, torch.float32)
    expected = torch.sqrt((image - noisy).double().square() + 0.01).mean()
    assert float(loss(image, noisy)) == pytest.approx(float(expected), rel=1e-6)
    restored = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(restored, image), restored)
    assert not gradient.any()


def test_consistency_is_nothing_for_an_image_whose_reduction_is_the_input() -> None:
    image, noisy = pictures(32, torch.float32)
    loss = build_consistency(Options())
    degraded = imresize(image, (8, 8))
    assert float(loss(image, degraded=degraded)) == pytest.approx(0, abs=1e-7)
    assert float(loss(noisy, degraded=degraded)) > 1e-3
