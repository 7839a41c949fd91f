"""Unsharp masking is that of Real-ESRGAN's code, and losses compare with a sharpened target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from restore.interfaces import LossSpec
from restore.sharpening import SharpenedTarget, gaussian_blur, unsharp_mask
from restore_baselines.plugin import restore_losses
from restore_degradations.plugin import restore_degradations

LOSSES = {spec.name: spec for spec in restore_losses()}


def photo(height: int = 70, width: int = 60) -> Tensor:
    """Noise with a strong edge, in float64."""
    generator = torch.Generator().manual_seed(0)
    image = 0.1 * torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
    image[..., width // 2 :] += 0.8
    return image


def usm_sharp(image: np.ndarray) -> np.ndarray:
    """Weight 0.5, radius 50 and threshold 10 as in BasicSR, for an image ``(C, H, W)``."""
    side = 51
    sigma = 0.3 * ((side - 1) * 0.5 - 1) + 0.8  # OpenCV's rule for a deviation of 0
    kernel = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        rows = correlate1d(x, kernel, axis=1, mode="mirror")
        return np.asarray(correlate1d(rows, kernel, axis=2, mode="mirror"))

    residual = image - blur(image)
    mask = (np.abs(residual) * 255 > 10).astype(image.dtype)
    soft = blur(mask)
    return np.asarray(soft * np.clip(image + 0.5 * residual, 0, 1) + (1 - soft) * image)


def sharpened(image: Tensor) -> Tensor:
    return unsharp_mask(image, lambda x: gaussian_blur(x, 8.0), 0.5, 10.0)


def test_the_mask_is_that_of_the_authors_code() -> None:
    image = photo()
    expected = torch.from_numpy(usm_sharp(image[0].numpy()))
    found = sharpened(image)[0]
    assert (found - image[0]).abs().max() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_degradation_sharpens_as_the_losses_do() -> None:
    spec = next(spec for spec in restore_degradations() if spec.name == "sharpen")
    options = spec.options.model_validate({"amount": 0.5, "sigma": 8, "threshold": 10})
    image = photo().float()
    found = spec.build(1, options)(image, torch.Generator()).image
    # The kernel of the degradation reaches four deviations, that of the losses 25/8.
    torch.testing.assert_close(found, sharpened(image), rtol=0, atol=2e-3)
    assert spec.margin(1, options) == 64
    assert spec.margin(1, options.model_copy(update={"threshold": 0.0})) == 32


def test_an_image_smaller_than_the_kernel_is_sharpened() -> None:
    small = photo(5, 7)
    assert sharpened(small).shape == small.shape
    assert sharpened(small).isfinite().all()


@pytest.mark.parametrize("name", ["l1", "mse"])
def test_a_pixel_loss_compares_with_the_sharpened_target(name: str) -> None:
    spec: LossSpec = LOSSES[name]
    plain, loss = spec.build(spec.options()), spec.build(spec.options.model_validate({"sharpen": True}))
    assert isinstance(loss, SharpenedTarget)
    restored, target = photo().flip(-1), photo()
    assert loss(restored, target).item() == plain(restored, sharpened(target)).item()


def test_no_gradient_passes_through_the_target_and_that_of_the_result_is_exact() -> None:
    loss, target = SharpenedTarget(torch.nn.MSELoss()), photo(6, 5)
    restored = photo(6, 5).flip(-1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: loss(image, target), (restored,))
