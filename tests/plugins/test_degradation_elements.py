"""Elementary degradations against SciPy, Pillow and plain loops, and what they draw."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, special
from torch import Tensor

from restore.images import read_levels
from restore.interfaces import Options
from restore_degradations import coding, kernels, noise
from restore_degradations.bsrgan import build_bsrgan
from restore_degradations.draws import Draws
from restore_degradations.elements import (
    build_blur,
    build_jpeg,
    build_noise,
    build_quantize,
    build_resize,
    build_sharpen,
    noisy,
)
from restore_degradations.filtering import filtered
from restore_degradations.options import (
    BlurOptions,
    JpegOptions,
    NoiseOptions,
    PhotoOptions,
    QuantizeOptions,
    RealEsrganOptions,
    ResizeOptions,
    SharpenOptions,
)
from restore_degradations.photo import build_photo
from restore_degradations.realesrgan import build_realesrgan
from restore_degradations.resampling import METHODS, resized

PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(seed: int = 0) -> Draws:
    return Draws(seeded(seed))


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return read_levels(PHOTO)[:, 60:188, 60:188].float() / 255


def test_a_gaussian_kernel_equals_its_formula() -> None:
    kernel = kernels.gaussian(7, 1.5, 0.7, 0.4)
    expected = np.zeros((7, 7))
    for row in range(7):
        for column in range(7):
            x, y = column - 3, row - 3
            along, across = x * math.cos(0.4) + y * math.sin(0.4), y * math.cos(0.4) - x * math.sin(0.4)
            expected[row, column] = math.exp(-0.5 * ((along / 1.5) ** 2 + (across / 0.7) ** 2))
    assert np.allclose(kernel.numpy(), expected / expected.sum(), atol=1e-7)


def test_an_isotropic_gaussian_is_that_of_scipy() -> None:
    impulse = np.zeros((21, 21))
    impulse[10, 10] = 1
    expected = ndimage.gaussian_filter(impulse, 2.0, radius=10)
    assert np.allclose(kernels.gaussian(21, 2.0).numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_generalized_and_plateau_kernels_equal_their_formulas(beta: float) -> None:
    distance = np.array([[(x**2 + y**2) / 1.7**2 for x in range(-4, 5)] for y in range(-4, 5)])
    for function, formula in (
        (kernels.generalized_gaussian, np.exp(-0.5 * distance**beta)),
        (kernels.plateau, 1 / (1 + distance**beta)),
    ):
        assert np.allclose(function(9, 1.7, beta=beta).numpy(), formula / formula.sum(), atol=1e-7)


def test_a_disk_has_the_weights_of_the_area_that_it_covers() -> None:
    kernel = kernels.disk(2.5)
    assert kernel.shape == (5, 5)
    assert float(kernel[2, 2]) == pytest.approx(1 / (math.pi * 2.5**2), rel=0.02)
    assert float(kernel[0, 0]) < 0.2 * float(kernel[2, 2])


def test_a_line_lies_along_its_angle() -> None:
    across = kernels.line(7, 0.0)
    assert float(across[across.shape[0] // 2].sum()) == pytest.approx(1, abs=1e-6)
    down = kernels.line(7, math.pi / 2)
    assert torch.allclose(across, down.T, atol=1e-6)


def test_the_sinc_kernel_equals_its_formula_with_the_bessel_function_of_scipy() -> None:
    cutoff, kernel = 1.3, kernels.sinc(11, 1.3)
    expected = np.array(
        [
            [
                cutoff * special.j1(cutoff * math.hypot(x, y)) / (2 * math.pi * math.hypot(x, y))
                if x or y
                else cutoff**2 / (4 * math.pi)
                for x in range(-5, 6)
            ]
            for y in range(-5, 6)
        ]
    )
    assert np.allclose(kernel.numpy(), expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize(
    "kernel",
    [kernels.gaussian(5, 1, 0.5, 0.3), kernels.gaussian(21, 3, 1, 0.7), kernels.disk(3), kernels.sinc(21, 1)],
)
def test_filtering_is_the_mirrored_convolution_of_scipy(kernel: Tensor, photo: Tensor) -> None:
    image = photo.double()
    expected = [ndimage.convolve(plane.numpy(), kernel.double().numpy(), mode="mirror") for plane in image]
    assert np.allclose(filtered(image, kernel).numpy(), np.stack(expected), atol=1e-6)


def test_images_smaller_than_the_kernel_are_mirrored_again_and_again() -> None:
    for size in ((1, 1), (2, 5), (4, 3)):
        image = torch.rand(3, *size, generator=seeded())
        result = filtered(image, kernels.gaussian(21, 4))
        assert result.shape == image.shape
        assert bool((result >= image.amin((1, 2), keepdim=True) - 1e-6).all())


@pytest.mark.parametrize(
    ("method", "filter_"),
    [
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
@pytest.mark.parametrize("size", [(32, 32), (50, 43)])
def test_resizing_equals_pillow_inside_of_the_image(
    method: str, filter_: Image.Resampling, size: tuple[int, int], photo: Tensor
) -> None:
    result = resized(photo, size, method)  # type: ignore[arg-type]
    planes = [
        np.asarray(Image.fromarray(plane.numpy(), mode="F").resize(size[::-1], filter_)) for plane in photo
    ]
    inside = (slice(None), slice(4, -4), slice(4, -4))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert np.abs(result.numpy() - np.stack(planes))[inside].max() < 1e-4


def test_area_is_the_mean_over_the_covered_shares_of_pixels() -> None:
    row = torch.arange(7, dtype=torch.float64)
    result = resized(row.expand(1, 7, 7), (7, 3), "area")[0, 0]
    third = 7 / 3
    expected = [
        sum(max(0.0, min(right, x + 1) - max(left, x)) * x for x in range(7)) / third
        for left, right in ((0, third), (third, 2 * third), (2 * third, 7))
    ]
    assert result.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_image_stays_flat_when_resized(method: str) -> None:
    flat = torch.full((3, 13, 17), 0.3)
    for size in ((5, 4), (13, 17), (31, 40)):
        assert torch.allclose(resized(flat, size, method), torch.full((3, *size), 0.3), atol=1e-6)  # type: ignore[arg-type]


def test_gaussian_noise_has_its_deviation_and_gray_noise_is_equal_in_all_channels() -> None:
    flat = torch.full((3, 256, 256), 0.5)
    added = (noise.gaussian(flat, 20, draws()) - flat) * 255
    assert float(added.std()) == pytest.approx(20, rel=0.02)
    assert abs(float(torch.corrcoef(added.flatten(1))[0, 1])) < 0.02
    gray = noise.gaussian(flat, 20, draws(), gray=True) - flat
    assert torch.equal(gray[0], gray[2])


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_variance_of_photons_grows_with_the_light(level: float) -> None:
    flat = torch.full((3, 256, 256), level)
    added = noise.poisson(flat, 400.0, draws()) - flat
    assert float(added.var()) == pytest.approx(level / 400, rel=0.03)
    assert abs(float(added.mean())) < 1e-3


@pytest.mark.parametrize("level", [0.05, 0.2, 0.6])
def test_the_noise_of_a_camera_has_its_variance_in_linear_light(level: float) -> None:
    image = noise.from_linear(torch.full((3, 256, 256), level))
    shot, read = 1e-4, 2e-3
    seen = noise.to_linear(noise.camera(image, shot, read, draws()))
    assert float(seen.var()) == pytest.approx(shot * level + read**2, rel=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "camera"])
def test_a_strength_means_the_same_deviation_on_a_gray_of_one_half(kind: str) -> None:
    flat = torch.full((3, 256, 256), 0.5)
    added = (noisy(flat, kind, 10.0, draws()) - flat) * 255
    assert float(added.std()) == pytest.approx(10, rel=0.05)


def test_the_tone_curve_and_its_inverse_cancel() -> None:
    values = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(noise.from_linear(noise.to_linear(values)), values, atol=1e-7)


@pytest.mark.parametrize("subsampling", coding.SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [10, 75, 100])
def test_jpeg_is_that_of_pillow(quality: int, subsampling: coding.Subsampling, photo: Tensor) -> None:
    buffer = io.BytesIO()
    pixels = (photo.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    expected = np.asarray(Image.open(buffer))
    result = (coding.jpeg(photo, quality, subsampling) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(result, expected)


def test_webp_is_that_of_pillow(photo: Tensor) -> None:
    buffer = io.BytesIO()
    pixels = (photo.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "WEBP", quality=40, method=2)
    expected = np.asarray(Image.open(buffer).convert("RGB"))
    assert np.array_equal((coding.webp(photo, 40) * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_the_grid_of_a_jpeg_lies_where_it_is_put(photo: Tensor) -> None:
    moved = coding.jpeg(photo, 20, "4:4:4", (3, 5))
    steps = (moved[:, :, 1:] - moved[:, :, :-1]).abs().mean((0, 1))
    at_grid = steps[(torch.arange(127) + 1 + 5) % 8 == 0].mean()
    assert float(at_grid) > 1.2 * float(steps.mean())


def test_detailed_images_of_high_quality_fit_into_the_encoders_buffer() -> None:
    image = torch.rand(3, 512, 512, generator=seeded())
    assert coding.jpeg(image, 100, "4:4:4").shape == image.shape


def test_quantizing_leaves_as_many_levels_as_bits_allow(photo: Tensor) -> None:
    result = build_quantize(1, QuantizeOptions(bits=3))(photo[None], seeded()).image
    assert len(set(result.flatten().tolist())) == 8


def test_sharpening_adds_what_a_blur_takes_away(photo: Tensor) -> None:
    options = SharpenOptions(amount=0.5, sigma=1.0)
    result = build_sharpen(1, options)(photo[None], seeded()).image[0]
    blurred = filtered(photo, kernels.gaussian(9, 1.0))
    assert torch.allclose(result, (photo + 0.5 * (photo - blurred)).clamp(0, 1), atol=1e-6)


def test_drawn_strengths_fill_their_ranges_evenly(photo: Tensor) -> None:
    noise_ = build_noise(1, NoiseOptions(sigma="5:25"))
    small = photo[None, :, :8, :8]
    sigmas = torch.tensor([float(noise_(small, seeded(n)).parameters[0]["sigma"]) for n in range(600)])
    assert 5 <= float(sigmas.min()) < 5.5
    assert 24.5 < float(sigmas.max()) <= 25
    assert float(sigmas.mean()) == pytest.approx(15, abs=0.8)


def test_an_element_is_applied_as_often_as_its_probability_says(photo: Tensor) -> None:
    blur = build_blur(1, BlurOptions(probability=0.3))
    drawn = [bool(blur(photo[None, :, :8, :8], seeded(n)).parameters[0]) for n in range(500)]
    assert sum(drawn) / 500 == pytest.approx(0.3, abs=0.06)


def test_several_rounds_of_jpeg_lose_more_than_one(photo: Tensor) -> None:
    once, often = (
        build_jpeg(1, JpegOptions(quality=50, rounds=rounds, subsampling="4:2:0"))(
            photo[None], seeded()
        ).image
        for rounds in (1, 6)
    )
    assert float((often - photo).square().mean()) > float((once - photo).square().mean())


def test_an_intermediate_size_loses_detail(photo: Tensor) -> None:
    direct, detour = (
        build_resize(1, ResizeOptions(factor=factor))(photo[None], seeded()).image for factor in (1, 0.5)
    )
    assert torch.allclose(direct[0], photo, atol=1e-6)
    assert float((detour - photo).square().mean()) > 1e-4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("95:30", "smaller number first"),
        ("a", "range LOW:HIGH"),
        (0, "between 1 and 100"),
        ("1:2:3", "range"),
    ],
)
def test_nonsense_ranges_are_refused(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        JpegOptions(quality=given)


def test_ranges_are_written_as_they_are_given() -> None:
    assert JpegOptions(quality="30:95").model_dump(mode="json")["quality"] == "30:95"
    assert JpegOptions(quality=40).model_dump(mode="json")["quality"] == 40


RECIPES = {
    "photo": build_photo(4, PhotoOptions()),
    "bsrgan": build_bsrgan(4, Options()),
    "realesrgan": build_realesrgan(4, RealEsrganOptions()),
    "realesrgan of one order": build_realesrgan(4, RealEsrganOptions(order=1)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_other_images_for_other_seeds_and_8_bit_levels(name: str, photo: Tensor) -> None:
    results = [RECIPES[name](photo[None], seeded(n)) for n in range(12)]
    for image, _ in results:
        assert image.shape == (1, 3, 32, 32)
        assert torch.allclose(image * 255, (image * 255).round(), atol=1e-3)
    assert len({float(image.sum()) for image, _ in results}) == 12
    assert torch.equal(RECIPES[name](photo[None], seeded(3)).image, results[3].image)


def test_photo_leaves_a_share_of_images_clean(photo: Tensor) -> None:
    clean = build_photo(4, PhotoOptions(clean=1))(photo[None], seeded())
    expected = coding.quantized(resized(photo, (32, 32), "bicubic"))
    assert torch.equal(clean.image[0], expected)
    drawn = [RECIPES["photo"](photo[None], seeded(n)).parameters[0] for n in range(200)]
    assert 5 <= sum(not each for each in drawn) <= 45
    qualities = [float(each["quality"]) for each in drawn if "quality" in each]
    assert min(qualities) < 40
    assert max(qualities) > 85
