"""How accurately degradations are estimated, on a photograph and on synthetic textures."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from restore import images
from restore.errors import ImageError
from restore.estimation import (
    blur_width,
    enlargement_factor,
    estimate,
    jpeg_from_file,
    jpeg_from_pixels,
    nearest_quality,
    noise_level,
    standard_table,
)

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
SUBSAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def astronaut() -> Image.Image:
    """128x128, reduced by two, so that the JPEG compression of the file is gone."""
    with Image.open(ASTRONAUT) as image:
        return image.resize((128, 128), Image.Resampling.LANCZOS)


def texture() -> Image.Image:
    """192x192 of fractal noise, as in photographs, stronger in some places than in others."""
    generator = np.random.default_rng(7)
    frequency = np.hypot(np.fft.fftfreq(192)[:, None], np.fft.fftfreq(192))
    frequency[0, 0] = np.inf
    smooth, red, green, blue = (
        plane / plane.std()
        for plane in (
            np.fft.ifft2(np.fft.fft2(generator.normal(size=(192, 192))) / frequency**power).real
            for power in (3, 1.3, 1.3, 1.3)
        )
    )
    detail = np.stack([red, 0.8 * red + 0.2 * green, 0.8 * red + 0.2 * blue])
    levels = 128 + 15 * smooth + 25 * np.clip(smooth, 0, 2) * detail
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def disks() -> Image.Image:
    """256x256 with sharp edges in all directions."""
    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:256, :256]
    levels = np.full((256, 256), 128.0)
    for row, column, radius, level in generator.uniform((0, 0, 15, 30), (256, 256, 40, 225), (30, 4)):
        levels[np.hypot(rows - row, columns - column) < radius] = level
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


PICTURES = {"photograph": astronaut, "texture": texture}


@pytest.fixture(params=PICTURES)
def clean(request: pytest.FixtureRequest) -> Image.Image:
    return PICTURES[request.param]()


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def jpeg(image: Image.Image, quality: int, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def decoded(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGB")


def noisy(image: Image.Image, sigma: float | np.ndarray) -> Image.Image:
    levels = np.array(image).astype(float)
    levels += np.random.default_rng(1).normal(size=levels.shape) * sigma
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def blurred(image: Image.Image, sigma: float) -> Image.Image:
    place = torch.arange(-16.0, 17)
    kernel = torch.exp(-place.square() / (2 * sigma**2))
    kernel /= kernel.sum()
    levels = F.pad(tensor(image)[:, None].float(), (16, 16, 16, 16), mode="reflect")
    levels = F.conv2d(F.conv2d(levels, kernel[None, None, None]), kernel[None, None, :, None])
    return Image.fromarray(levels[:, 0].permute(1, 2, 0).round().byte().numpy())


def enlarged(image: Image.Image, factor: float) -> Image.Image:
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_tables_of_a_file_give_quality_and_subsampling_exactly(subsampling: int) -> None:
    small = astronaut().crop((0, 0, 32, 32))
    for quality in range(1, 101):
        found = jpeg_from_file(jpeg(small, quality, subsampling=subsampling))
        assert found is not None
        assert (found.quality, found.standard, found.confidence) == (quality, True, 1)
        assert (found.subsampling, found.offset) == (SUBSAMPLINGS[subsampling], (0, 0))


def test_a_gray_file_has_no_subsampling() -> None:
    found = jpeg_from_file(jpeg(astronaut().convert("L"), 61))
    assert found is not None
    assert (found.quality, found.standard, found.subsampling) == (61, True, None)


def test_other_tables_are_not_standard_and_give_the_nearest_quality() -> None:
    tables = [(standard_table(70) * 1.04 + 1).astype(int).flatten().tolist()] * 2
    found = jpeg_from_file(jpeg(astronaut(), -1, qtables=tables))
    assert found is not None
    assert not found.standard
    assert 62 <= found.quality <= 70
    assert nearest_quality(np.array(tables[0]).reshape(8, 8)) == found.quality


def test_a_file_of_another_format_has_no_tables(tmp_path: Path) -> None:
    astronaut().save(tmp_path / "a.png")
    assert jpeg_from_file(tmp_path / "a.png") is None
    assert jpeg_from_file((tmp_path / "a.png").read_bytes()) is None


def test_a_missing_or_foreign_file_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text")
    for name in ("a.jpg", "missing.jpg"):
        with pytest.raises(ImageError, match=name):
            jpeg_from_file(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_grid_of_a_turned_file_is_where_the_upright_pixels_have_it(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "turned.jpg"
    file.write_bytes(jpeg(texture().crop((0, 0, 189, 187)), 50, exif=exif, subsampling=1))
    tables, pixels = jpeg_from_file(file), jpeg_from_pixels(images.read(file).color)
    assert tables is not None
    assert pixels is not None
    assert tables.offset == pixels.offset
    assert tables.subsampling == ("4:4:0" if orientation >= 5 else "4:2:2")


@pytest.mark.parametrize("quality", [10, 20, 30, 40, 50, 60, 70, 80, 90, 95])
def test_pixels_alone_give_the_quality(clean: Image.Image, quality: int) -> None:
    found = jpeg_from_pixels(tensor(decoded(jpeg(clean, quality))))
    assert found is not None
    assert (found.source, found.standard, found.offset) == ("pixels", True, (0, 0))
    assert abs(found.quality - quality) <= 1
    assert 0.3 < found.confidence <= 1


def test_cropped_pixels_give_quality_and_offset_of_the_grid(clean: Image.Image) -> None:
    whole = decoded(jpeg(clean, 60))
    for left, top in ((1, 0), (3, 6), (4, 4), (7, 15)):
        found = jpeg_from_pixels(tensor(whole.crop((left, top, whole.width, whole.height))))
        assert found is not None
        assert (found.quality, found.offset) == (60, (-top % 8, -left % 8))


def test_pixels_quantized_by_other_tables_give_the_nearest_quality() -> None:
    table = [6 + row + column for row in range(8) for column in range(8)]
    found = jpeg_from_pixels(tensor(decoded(jpeg(texture(), -1, qtables=[table, table]))))
    assert found is not None
    assert not found.standard
    assert abs(found.quality - nearest_quality(np.array(table).reshape(8, 8))) <= 10


def test_noise_before_compression_does_not_hide_its_quality(clean: Image.Image) -> None:
    found = jpeg_from_pixels(tensor(decoded(jpeg(noisy(clean, 15), 45))))
    assert found is not None
    assert found.quality == 45


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_subsampling_is_found_where_chroma_has_detail(subsampling: int) -> None:
    levels = np.random.default_rng(5).uniform(60, 190, (3, 24, 24)).astype(np.float32)
    colors = F.interpolate(torch.from_numpy(levels)[None], 192, mode="bicubic")[0].clamp(5, 250)
    image = Image.fromarray(colors.permute(1, 2, 0).byte().numpy())
    found = jpeg_from_pixels(tensor(decoded(jpeg(noisy(image, 8), 92, subsampling=subsampling))))
    assert found is not None
    assert found.subsampling == SUBSAMPLINGS[subsampling]


def test_a_clean_picture_is_not_called_degraded(clean: Image.Image) -> None:
    found = estimate(tensor(clean))
    assert found.jpeg is None
    assert found.enlarged is None
    assert found.degradations == ()


def test_other_degradations_are_not_called_jpeg(clean: Image.Image) -> None:
    for degraded in (noisy(clean, 10), blurred(clean, 1.5), enlarged(clean, 2)):
        assert jpeg_from_pixels(tensor(degraded)) is None


@pytest.mark.parametrize("sigma", [5, 10, 15, 25, 50])
def test_noise_is_measured_within_fifteen_percent(clean: Image.Image, sigma: int) -> None:
    found = noise_level(tensor(noisy(clean, sigma)))
    assert found is not None
    for channel in found.sigma:
        assert abs(channel - sigma) <= max(1.5, 0.15 * sigma)


def test_noise_is_measured_for_each_channel() -> None:
    found = noise_level(tensor(noisy(texture(), np.array([4.0, 12, 24]))))
    assert found is not None
    assert found.sigma == pytest.approx((4, 12, 24), rel=0.15)


def test_noise_that_grows_with_the_intensity_has_that_slope() -> None:
    ramp = np.broadcast_to(np.linspace(20, 220, 256)[None, :, None], (256, 256, 3))
    image = Image.fromarray(ramp.round().astype(np.uint8))
    found = noise_level(tensor(noisy(image, np.sqrt(0.5 * ramp + 9))))
    assert found is not None
    assert found.slope == pytest.approx((0.5, 0.5, 0.5), abs=0.1)
    assert found.intercept == pytest.approx((9, 9, 9), abs=8)
    even = noise_level(tensor(noisy(image, 8)))
    assert even is not None
    assert even.slope == pytest.approx((0, 0, 0), abs=0.06)
    assert even.intercept == pytest.approx((64, 64, 64), abs=10)


@pytest.mark.parametrize("quality", [10, 30, 60, 90])
def test_jpeg_artifacts_are_not_called_noise(clean: Image.Image, quality: int) -> None:
    assert "noise" not in estimate(tensor(decoded(jpeg(clean, quality)))).degradations


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("sigma", [10, 25])
def test_noise_before_a_compression_is_measured_in_luma(sigma: int, quality: int) -> None:
    image = tensor(decoded(jpeg(noisy(texture(), sigma), quality)))
    found = noise_level(image, jpeg=jpeg_from_pixels(image))
    assert found is not None
    assert found.before_jpeg is not None
    expected = sigma * np.hypot.reduce([0.299, 0.587, 0.114])
    assert found.before_jpeg == pytest.approx(expected, rel=0.25)
    assert noise_level(image) == replace(found, before_jpeg=None)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
def test_the_blur_of_edges_is_measured_within_a_fifth(sigma: float) -> None:
    found = blur_width(tensor(blurred(disks(), sigma)))
    assert found is not None
    assert found.sigma == pytest.approx(sigma, rel=0.2)
    assert found.confidence > 0.5


def test_blur_grows_with_the_blur_of_a_photograph() -> None:
    widths = [blur_width(tensor(blurred(astronaut(), sigma))) for sigma in (0.5, 1, 2, 3)]
    sigmas = [width.sigma for width in widths if width is not None]
    assert len(sigmas) == 4
    assert sigmas == sorted(sigmas)
    assert sigmas[2:] == pytest.approx([2, 3], rel=0.25)


@pytest.mark.parametrize("factor", [1.5, 2, 3, 4])
def test_the_factor_of_an_enlargement_is_found(clean: Image.Image, factor: float) -> None:
    found = enlargement_factor(tensor(enlarged(clean, factor)))
    assert found is not None
    assert found.factor == pytest.approx(factor, rel=0.01)
    assert found.confidence > 0.5


def test_blur_alone_is_not_called_an_enlargement(clean: Image.Image) -> None:
    assert enlargement_factor(tensor(blurred(clean, 1.5))) is None


def test_the_estimate_reports_all_that_was_done(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(jpeg(noisy(blurred(disks(), 2), 6), 80))
    photo = images.read(file)
    found = estimate(photo, file)
    assert found.jpeg is not None
    assert (found.jpeg.quality, found.jpeg.source) == (80, "tables")
    without_file = estimate(photo)
    assert without_file.jpeg is not None
    assert (without_file.jpeg.quality, without_file.jpeg.source) == (80, "pixels")
    assert {"jpeg", "blur"} <= set(found.degradations)
    assert json.loads(json.dumps(found.to_json()))["jpeg"]["quality"] == 80
    assert found.to_text()[0].startswith("compression: JPEG of quality 80, chroma 4:2:0")


def test_levels_and_unit_range_give_the_same_estimate(clean: Image.Image) -> None:
    levels = tensor(noisy(clean, 10))
    first, second = estimate(levels), estimate(levels[None].float() / 255)
    assert first.noise is not None
    assert second.noise is not None
    assert second.noise.sigma == pytest.approx(first.noise.sigma, rel=1e-3)
    assert (first.jpeg, first.enlarged) == (second.jpeg, second.enlarged)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (16, 16), (64, 64), (300, 17)])
def test_small_and_flat_pictures_have_no_degradations(size: tuple[int, int]) -> None:
    for level in (0, 100, 255):
        found = estimate(torch.full((3, *size), level, dtype=torch.uint8))
        assert found.degradations == ()
        json.dumps(found.to_json(), allow_nan=False)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="three channels"):
        estimate(torch.zeros(1, 64, 64))
    with pytest.raises(ValueError, match="one picture"):
        estimate(torch.zeros(2, 3, 64, 64))
