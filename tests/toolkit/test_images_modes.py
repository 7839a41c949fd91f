"""Pixels of every mode: what color, gray and alpha they become."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from image_files import (
    DEEP,
    Levels,
    alpha_levels,
    cmyk_profile,
    color_levels,
    flat,
    noise,
    paletted,
    png,
    rgb_profile,
    saved,
    smooth,
    tiff,
)
from PIL import ExifTags, Image, ImageCms

from restore.errors import ImageError
from restore.images import (
    Photo,
    from_pil,
    read,
    write,
)


def test_color_follows_the_tensor_contract(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    photo = read(saved(Image.fromarray(pixels), tmp_path / "a.png"))
    assert photo.color.shape == (1, 3, 4, 6)
    assert photo.color.dtype == torch.float32
    assert photo.color.is_contiguous()
    expected = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    assert torch.equal(photo.color, expected)
    assert (photo.alpha, photo.gray, photo.bits, photo.frames) == (None, False, 8, 1)


def test_gray_is_repeated_to_three_channels(tmp_path: Path) -> None:
    pixels = noise(4, 6)
    photo = read(saved(Image.fromarray(pixels), tmp_path / "a.png"))
    assert photo.gray
    assert (color_levels(photo) == pixels[..., None]).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    pixels = noise(5, 9, levels=2) * 255
    photo = read(saved(Image.fromarray(pixels).convert("1"), tmp_path / "a.png"))
    assert photo.gray
    assert (color_levels(photo)[..., 0] == pixels).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_separate_and_color_not_multiplied_by_it(tmp_path: Path, mode: str) -> None:
    pixels = noise(4, 6, len(mode))
    photo = read(saved(Image.fromarray(pixels), tmp_path / "a.png"))
    assert photo.gray == (mode == "LA")
    assert (color_levels(photo) == pixels[..., :-1]).all()
    assert (alpha_levels(photo) == pixels[..., -1]).all()


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_color_is_divided_by_alpha(mode: str) -> None:
    straight = Image.new("LA", (2, 2), (200, 128)) if mode == "La" else Image.new("RGBA", (2, 2), (200,) * 4)
    photo = from_pil(straight.convert(mode))
    assert abs(color_levels(photo)[0, 0, 0] - 200) <= 1
    assert photo.gray == (mode == "La")


def test_padding_of_rgbx_is_not_alpha() -> None:
    pixels = noise(3, 4, 4)
    photo = from_pil(Image.frombytes("RGBX", (4, 3), pixels.tobytes()))
    assert photo.alpha is None
    assert (color_levels(photo) == pixels[..., :3]).all()


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif", ".bmp"])
def test_palette_becomes_its_colors(tmp_path: Path, suffix: str) -> None:
    image, indices, palette = paletted()
    photo = read(saved(image, tmp_path / f"a{suffix}"))
    assert (color_levels(photo) == palette[indices]).all()
    assert photo.alpha is None
    assert not photo.gray


def test_palette_with_one_transparent_entry_has_alpha(tmp_path: Path) -> None:
    image, indices, palette = paletted()
    for name in ("a.png", "a.gif"):
        photo = read(saved(image, tmp_path / name, transparency=2))
        assert (alpha_levels(photo) == np.where(indices == 2, 0, 255)).all()
        assert (color_levels(photo) == palette[indices]).all()


def test_palette_with_alpha_for_each_entry_keeps_it(tmp_path: Path) -> None:
    image, indices, _ = paletted()
    opacity = np.array([0, 77, 150, 255])
    photo = read(saved(image, tmp_path / "a.png", transparency=bytes(opacity.tolist())))
    assert (alpha_levels(photo) == opacity[indices]).all()


def test_palette_with_alpha_channel_keeps_it(tmp_path: Path) -> None:
    image, indices, palette = paletted()
    image = image.convert("PA")
    image.putalpha(Image.fromarray(noise(5, 7, seed=2)))
    photo = read(saved(image, tmp_path / "a.tif"))
    assert (alpha_levels(photo) == noise(5, 7, seed=2)).all()
    assert (color_levels(photo) == palette[indices]).all()


def test_gray_gif_stays_gray(tmp_path: Path) -> None:
    pixels = noise(8, 8, levels=9) * 20
    photo = read(saved(Image.fromarray(pixels), tmp_path / "a.gif"))
    assert photo.gray
    assert (color_levels(photo)[..., 0] == pixels).all()


def test_gray_palette_with_an_rgb_profile_stays_color(tmp_path: Path) -> None:
    image = Image.fromarray(noise(5, 7, levels=4))
    image.putpalette(bytes(value for value in (0, 50, 90, 200) for _ in range(3)))
    assert read(saved(image, tmp_path / "a.png")).gray
    photo = read(saved(image, tmp_path / "b.png", icc_profile=rgb_profile()))
    assert not photo.gray
    assert photo.icc_profile == rgb_profile()


@pytest.mark.parametrize(
    ("depth", "color", "row", "transparent", "levels", "opaque"),
    [
        (1, 0, b"\x80", b"\0\1", [255, 0], [0, 255]),
        (2, 0, b"\xe0", b"\0\2", [255, 170], [255, 0]),
        (4, 0, b"\xf0", b"\0\x0f", [255, 0], [0, 255]),
        (8, 0, b"\x09\x0a", b"\0\x0a", [9, 10], [255, 0]),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\4", [1, 1], [255, 0]),
        (16, 2, b"\xff\xff\1\0\0\0\x0a\0\0\0\0\0", b"\xff\xff\1\0\0\0", [255, 10], [0, 255]),
    ],
    ids=["1-bit", "2-bit", "4-bit", "gray", "color", "16-bit color"],
)
def test_transparent_color_of_png_is_compared_at_its_depth(
    tmp_path: Path,
    depth: int,
    color: int,
    row: bytes,
    transparent: bytes,
    levels: list[int],
    opaque: list[int],
) -> None:
    (tmp_path / "a.png").write_bytes(png(2, 1, depth, color, b"\0" + row, transparent))
    photo = read(tmp_path / "a.png")
    assert color_levels(photo)[0, :, 0].tolist() == levels
    assert alpha_levels(photo)[0].tolist() == opaque
    assert photo.gray == (color == 0)


def test_transparent_level_of_16_bit_gray_is_compared_exactly(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 0, b"\0\x03\xe8\x03\xe9", b"\x03\xe8"))
    photo = read(tmp_path / "a.png")
    assert color_levels(photo, 65535)[0, :, 0].tolist() == [1000, 1001]
    assert alpha_levels(photo)[0].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB"])
def test_other_color_spaces_become_rgb(mode: str) -> None:
    image = Image.fromarray(smooth())
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(image)
    else:
        converted = image.convert(mode)
    photo = from_pil(converted)
    assert np.abs(color_levels(photo) - smooth()).max() <= 12
    assert not photo.gray


def test_lab_does_not_keep_its_profile(tmp_path: Path) -> None:
    image = Image.fromarray(smooth()).convert("LAB")
    assert read(saved(image, tmp_path / "a.tif", icc_profile=rgb_profile())).icc_profile is None


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_without_profile_uses_the_formula(tmp_path: Path, suffix: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    photo = read(saved(image, tmp_path / f"a{suffix}"))
    assert np.abs(color_levels(photo)[8, 8] - [0, 255, 255]).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_converted_by_its_profile_which_is_then_dropped(tmp_path: Path, suffix: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    photo = read(saved(image, tmp_path / f"a{suffix}", icc_profile=cmyk_profile()))
    pixel = color_levels(photo)[8, 8]
    assert np.ptp(pixel) <= 2
    assert abs(pixel[0] - 119) <= 3  # L* 50 in sRGB
    assert photo.icc_profile is None


@pytest.mark.parametrize("profile", [b"nonsense" * 40, rgb_profile()], ids=["damaged", "rgb"])
def test_cmyk_with_an_unusable_profile_uses_the_formula_and_drops_it(tmp_path: Path, profile: bytes) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    photo = read(saved(image, tmp_path / "a.tif", icc_profile=profile))
    assert color_levels(photo)[8, 8].tolist() == [0, 255, 255]
    assert photo.icc_profile is None


@pytest.mark.parametrize("suffix", DEEP)
def test_16_bit_gray_survives_exactly(tmp_path: Path, suffix: str) -> None:
    pixels = noise(40, 50, levels=65536)
    photo = read(saved(Image.fromarray(pixels), tmp_path / f"a{suffix}"))
    assert photo.gray
    assert photo.bits == 16
    assert (color_levels(photo, 65535)[..., 0] == pixels).all()
    write(photo, tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.mode == "I;16"
        assert (np.array(back) == pixels).all()
        assert len(np.unique(np.array(back))) > 256


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".gif", ".avif"])
def test_16_bit_gray_falls_to_8_bits_where_the_format_has_no_more(tmp_path: Path, suffix: str) -> None:
    write(Photo(flat(0.5), gray=True, bits=16), tmp_path / f"a{suffix}")
    back = read(tmp_path / f"a{suffix}")
    assert back.bits == 8
    assert np.abs(color_levels(back) - 128).max() <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_every_16_bit_mode_has_the_same_range(mode: str) -> None:
    kind = {"I;16B": ">u2", "I": "<i4"}.get(mode, "<u2")
    values = np.array([[0, 1, 256, 65535]], dtype=kind)
    photo = from_pil(Image.frombytes(mode, (4, 1), values.tobytes()))
    assert color_levels(photo, 65535)[0, :, 0].tolist() == [0, 1, 256, 65535]
    assert (photo.gray, photo.bits) == (True, 16)


@pytest.mark.parametrize(
    ("data", "levels"),
    [
        (tiff(2, 16, 1, struct.pack(">2H", 1, 1000), order=">"), [1, 1000]),
        (tiff(2, 16, 0, struct.pack("<2H", 0, 1000)), [65535, 64535]),
        (tiff(2, 12, 1, b"\xff\xf8\x00"), [65535, 32776]),
    ],
    ids=["big-endian", "zero is white", "12-bit"],
)
def test_unusual_gray_tiff_has_the_full_range(tmp_path: Path, data: bytes, levels: list[int]) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    photo = read(tmp_path / "a.tif")
    assert color_levels(photo, 65535)[0, :, 0].tolist() == levels


def test_unsigned_32_bits_have_the_full_range_and_signed_8_bits_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.array([[0, 2**31, 2**32 - 1]], np.uint32), photometric="minisblack"
    )
    assert color_levels(read(tmp_path / "a.tif"), 65535)[0, :, 0].tolist() == [0, 32768, 65535]
    tifffile.imwrite(tmp_path / "b.tif", np.array([[-1, 7]], np.int8), photometric="minisblack")
    with pytest.raises(ImageError, match="signed integers, whose range is not known"):
        read(tmp_path / "b.tif")


def test_float_image_keeps_values_between_0_and_1(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    photo = read(saved(Image.fromarray(values), tmp_path / "a.tif"))
    assert (photo.gray, photo.bits) == (True, 32)
    assert np.array_equal(photo.color[0, 1].numpy(), values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[-0.5, 1.0]], dtype=np.float32), "run from -0.5 to 1.0 where 0 to 1 is expected"),
        (np.array([[0.0, 1.5]], dtype=np.float32), "run from 0.0 to 1.5 where 0 to 1 is expected"),
        (np.array([[0.0, np.nan]], dtype=np.float32), "run from nan to nan"),
        (np.array([[0, 70000]], dtype=np.int32), "run from 0 to 70000 where 0 to 65535 is expected"),
        (np.array([[-1, 7]], dtype=np.int32), "run from -1 to 7 where 0 to 65535 is expected"),
    ],
)
def test_values_without_a_known_range_are_refused(tmp_path: Path, values: Levels, words: str) -> None:
    path = saved(Image.fromarray(values), tmp_path / "a.tif")
    with pytest.raises(ImageError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_16_bit_gray_is_turned_upright() -> None:
    for kind, mode in (("<u2", "I;16"), (">u2", "I;16B")):
        image = Image.frombytes(mode, (2, 1), np.array([5, 60000], dtype=kind).tobytes())
        image.getexif()[ExifTags.Base.Orientation] = 6
        assert color_levels(from_pil(image), 65535)[:, :, 0].tolist() == [[5], [60000]]
