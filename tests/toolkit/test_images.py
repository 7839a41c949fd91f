from __future__ import annotations

import errno
import os
import struct
import tracemalloc
import warnings
import zlib
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile
from torch import Tensor

from restore.errors import ImageError
from restore.images import (
    READ_SUFFIXES,
    WRITE_SUFFIXES,
    Photo,
    check,
    from_pil,
    is_image_name,
    read,
    read_all,
    read_levels,
    size_of,
    to_pil,
    write,
    write_atomic,
)
from restore.images.png import BAND

Levels = NDArray[Any]

LOSSLESS = [".png", ".tif", ".bmp"]
DEEP = [".png", ".tif", ".tiff"]
ALPHA = [".png", ".tif", ".webp", ".avif"]
LOSSY = [".jpg", ".webp", ".avif"]
EXIF = [".png", ".jpg", ".webp", ".tif", ".avif"]
GRAY_PROFILE = bytes(16) + b"GRAYXYZ " + bytes(12) + b"acsp" + bytes(92)


def noise(*shape: int, levels: int = 256, seed: int = 0) -> Levels:
    dtype = np.uint8 if levels <= 256 else np.uint16
    return np.random.default_rng(seed).integers(0, levels, shape).astype(dtype)


def smooth(height: int = 24, width: int = 32) -> Levels:
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + 3 * x, 200 - 4 * y, 90 + x + y], axis=-1).astype(np.uint8)


def color_levels(photo: Photo, full: int = 255) -> Levels:
    """(H, W, 3)."""
    return (photo.color[0].permute(1, 2, 0).double() * full).round().numpy().astype(int)


def alpha_levels(photo: Photo) -> Levels:
    """(H, W)."""
    assert photo.alpha is not None
    return (photo.alpha[0, 0].double() * 255).round().numpy().astype(int)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def flat(color: float = 0.5, height: int = 4, width: int = 5) -> Tensor:
    return torch.full((1, 3, height, width), color)


def photo_of(pixels: Levels, alpha: Levels | None = None, gray: bool = False) -> Photo:
    color = torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1).copy())[None].float() / 255
    return Photo(
        color=color.repeat(1, 3, 1, 1) if gray else color,
        alpha=None if alpha is None else torch.from_numpy(alpha.copy())[None, None].float() / 255,
        gray=gray,
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, transparent: bytes = b"") -> bytes:
    """A PNG of a kind that Pillow does not write; `rows` each begin with the filter byte 0."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


def tiff(width: int, bits: int, photometric: int, data: bytes, order: str = "<", sample: int = 1) -> bytes:
    """A gray TIFF with one row of a kind that Pillow does not write."""
    values = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1}
    values |= {279: len(data), 339: sample}
    data += bytes(len(data) % 2)
    entries = b"".join(
        struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(values.items())
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return head + data + struct.pack(order + "H", len(values)) + entries + bytes(4)


def rgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cmyk_profile() -> bytes:
    """A CMYK profile by which cyan is mid gray: nothing like Pillow's own formula."""
    lightness = [0 if node & 1 else 128 if node & 8 else 255 for node in range(16)]  # node: bits CMYK
    grid = bytes(value for level in lightness for value in (level, 128, 128))  # L, a, b
    ramp = bytes(range(256))
    unit = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + ramp * 4 + grid + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    offset, tags, body = 132 + 12 * 3, b"", b""
    for name, data in ((b"A2B0", table), (b"wtpt", white), (b"cprt", text)):
        tags += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body


def camera_exif(orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def parsed(exif: bytes | None) -> Image.Exif:
    assert exif is not None
    result = Image.Exif()
    result.load(exif)
    return result


# Modes ------------------------------------------------------------------------------------------------


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


def paletted() -> tuple[Image.Image, Levels, Levels]:
    """An image with a palette, its indices and its colors."""
    indices, palette = noise(5, 7, levels=4), noise(4, 3, seed=1)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    return image, indices, palette


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


# Sixteen bits -----------------------------------------------------------------------------------------


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


# Orientation and EXIF ---------------------------------------------------------------------------------

# The picture is "ab / cd / ef", upright. What a file with each orientation holds, written out by hand.
UPRIGHT = ["ab", "cd", "ef"]
STORED = {
    1: ["ab", "cd", "ef"],
    2: ["ba", "dc", "fe"],
    3: ["fe", "dc", "ba"],
    4: ["ef", "cd", "ab"],
    5: ["ace", "bdf"],
    6: ["bdf", "ace"],
    7: ["fdb", "eca"],
    8: ["eca", "fdb"],
}


def blocks(rows: list[str], side: int = 16) -> Levels:
    """One flat square of gray a letter, large enough for lossy formats."""
    return np.kron(
        [[40 * (ord(letter) - 96) for letter in row] for row in rows], np.ones((side, side))
    ).astype(np.uint8)


@pytest.mark.parametrize("suffix", EXIF)
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied_once_and_reset(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = Image.fromarray(blocks(STORED[orientation]))
    path = saved(image, tmp_path / f"a{suffix}", exif=camera_exif(orientation).tobytes())
    for _ in range(2):  # the file of a camera, then our own
        photo = read(path)
        assert photo.color.shape[-2:] == (48, 32)
        assert np.abs(color_levels(photo)[..., 0] - blocks(UPRIGHT)).max() <= 6
        assert ExifTags.Base.Orientation not in parsed(photo.exif)
        path = tmp_path / f"b{suffix}"
        write(photo, path)


@pytest.mark.parametrize("suffix", EXIF)
@pytest.mark.parametrize("orientation", STORED)
def test_size_is_that_of_the_upright_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = Image.fromarray(blocks(STORED[orientation]))
    path = saved(image, tmp_path / f"a{suffix}", exif=camera_exif(orientation).tobytes())
    assert size_of(path) == (32, 48)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise AssertionError(f"{image} was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(Image.Image, "load", load)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".gif"])
def test_size_is_told_without_decoding_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}")
    forbid_decoding(monkeypatch)
    assert size_of(path) == (32, 24)


def test_size_of_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello, world")
    for path in (tmp_path, tmp_path / "none.png", tmp_path / "a.png"):
        with pytest.raises(ImageError, match=f"{path}: "):
            size_of(path)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_orientation_of_tiff_tags_is_applied_once(tmp_path: Path, compression: str) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    image = Image.fromarray(blocks(STORED[6], side=1))
    photo = read(saved(image, tmp_path / "a.tif", tiffinfo=tags, compression=compression))
    assert (color_levels(photo)[..., 0] == blocks(UPRIGHT, side=1)).all()


def test_alpha_is_turned_with_the_color() -> None:
    image = Image.fromarray(np.dstack([blocks(STORED[8], 1)] * 4))
    image.getexif()[ExifTags.Base.Orientation] = 8
    photo = from_pil(image)
    assert (alpha_levels(photo) == blocks(UPRIGHT, 1)).all()
    assert (color_levels(photo)[..., 2] == blocks(UPRIGHT, 1)).all()


def test_from_pil_leaves_the_orientation_of_the_callers_image(tmp_path: Path) -> None:
    path = saved(Image.fromarray(blocks(STORED[6])), tmp_path / "a.png", exif=camera_exif(6))
    with Image.open(path) as image:
        first, second = from_pil(image), from_pil(image)
    assert torch.equal(first.color, second.color)
    assert first.color.shape[-2:] == (48, 32)


@pytest.mark.parametrize("suffix", EXIF)
@pytest.mark.parametrize("source", EXIF)
def test_exif_travels_between_formats(tmp_path: Path, source: str, suffix: str) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{source}", exif=camera_exif(3).tobytes())
    write(read(path), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.size == (32, 24)
        exif = back.getexif()
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:01:01 00:00:00"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_exif_sizes_of_the_read_file_do_not_reach_the_written_one(tmp_path: Path, suffix: str) -> None:
    exif = camera_exif()
    exif[ExifTags.Base.ImageWidth] = 99
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 99
    photo = read(saved(Image.fromarray(smooth()), tmp_path / "a.png", exif=exif))
    write(photo, tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.size == (32, 24)
        found = back.getexif()
        assert found.get(ExifTags.Base.ImageWidth, 32) == 32
        assert ExifTags.Base.ExifImageWidth not in found.get_ifd(ExifTags.IFD.Exif)


def test_exif_with_an_interoperability_directory_reaches_tiff_and_comes_back(tmp_path: Path) -> None:
    exif = camera_exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R98"}
    write(read(saved(Image.fromarray(smooth()), tmp_path / "a.jpg", exif=exif)), tmp_path / "b.tif")
    back = parsed(read(tmp_path / "b.tif").exif)
    assert back[ExifTags.Base.Make] == "Maker"
    assert set(back.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.DateTimeOriginal}


def test_exif_of_big_tiff_is_kept(tmp_path: Path) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / "a.tif", exif=camera_exif(), big_tiff=True)
    assert parsed(read(path).exif)[ExifTags.Base.Make] == "Maker"


def test_exif_of_tiff_does_not_repeat_profile_and_layout(tmp_path: Path) -> None:
    path = saved(
        Image.fromarray(smooth()), tmp_path / "a.tif", exif=camera_exif().tobytes(), icc_profile=rgb_profile()
    )
    found = set(parsed(read(path).exif))
    assert found == {ExifTags.Base.Make, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}


def test_tiff_with_palette_layout_tags_becomes_a_readable_tiff(tmp_path: Path) -> None:
    image, indices, palette = paletted()
    photo = read(saved(image, tmp_path / "a.tif", exif=camera_exif().tobytes()))
    write(photo, tmp_path / "b.tif")
    assert (color_levels(read(tmp_path / "b.tif")) == palette[indices]).all()


@pytest.mark.parametrize("exif", [b"nonsense", b"II*\0\xff\xff\xff\xffrest"])
def test_damaged_exif_is_dropped_and_the_picture_read(tmp_path: Path, exif: bytes) -> None:
    pixels = noise(6, 7, 3)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png", exif=b"Exif\0\0" + exif)
    photo = read(path)
    assert photo.exif is None
    assert (color_levels(photo) == pixels).all()


def test_orientation_counts_even_if_other_exif_is_damaged(tmp_path: Path) -> None:
    exif, latitude = camera_exif(6).tobytes(), bytes([0, 1, 0, 2, 0, 0, 0, 2]) + b"N"
    assert latitude in exif
    exif = exif.replace(latitude, latitude[:1] + b"\4" + latitude[2:])  # a longitude that is text
    photo = read(saved(Image.fromarray(blocks(STORED[6], 1)), tmp_path / "a.png", exif=exif))
    assert (color_levels(photo)[..., 0] == blocks(UPRIGHT, 1)).all()
    assert parsed(photo.exif)[ExifTags.Base.Make] == "Maker"


def test_warnings_of_pillow_about_metadata_are_not_shown(tmp_path: Path) -> None:
    exif = camera_exif().tobytes()
    path = saved(Image.fromarray(smooth()), tmp_path / "a.png", exif=exif[: len(exif) // 2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path)
    assert caught == []


def test_unknown_orientation_is_ignored(tmp_path: Path) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / "a.png", exif=camera_exif(9))
    assert (color_levels(read(path)) == smooth()).all()


def test_a_file_without_exif_has_none(tmp_path: Path) -> None:
    for suffix in LOSSLESS:
        photo = read(saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}"))
        assert photo.exif is None


# Profiles and resolution ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_rgb_profile_is_kept(tmp_path: Path, suffix: str) -> None:
    profile = rgb_profile()
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}", icc_profile=profile)
    assert read(path).icc_profile == profile
    write(read(path), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.info["icc_profile"] == profile


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".avif"])
def test_gray_profile_stays_with_gray_files(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.fromarray(smooth()[..., 0]), tmp_path / "a.png", icc_profile=GRAY_PROFILE)
    write(read(path), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.info["icc_profile"] == GRAY_PROFILE


def test_gray_profile_is_dropped_where_gray_is_written_as_color(tmp_path: Path) -> None:
    photo = replace(photo_of(smooth()[..., 0], gray=True), icc_profile=GRAY_PROFILE)
    write(photo, tmp_path / "a.webp")
    write(replace(photo, alpha=torch.full((1, 1, 24, 32), 0.5)), tmp_path / "a.avif")
    for name in ("a.webp", "a.avif"):
        with Image.open(tmp_path / name) as back:
            assert back.mode.startswith("RGB")
            assert not back.info.get("icc_profile")


@pytest.mark.parametrize("profile", [rgb_profile(), b"short"], ids=["rgb", "damaged"])
def test_profile_of_another_kind_is_dropped_from_gray(tmp_path: Path, profile: bytes) -> None:
    path = saved(Image.fromarray(smooth()[..., 0]), tmp_path / "a.jpg", icc_profile=profile)
    assert read(path).icc_profile is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_resolution_is_kept(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}", dpi=(300, 200))
    write(read(path), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as back:
        assert back.info["dpi"] == pytest.approx((300, 200), abs=0.1)


@pytest.mark.parametrize(
    "dpi", [(0, 0), (1, 1), (float("nan"), 72), (float("inf"), 72), (72, 0), (0, 72), "high", (72,)]
)
def test_placeholder_resolution_is_none(dpi: object) -> None:
    image = Image.new("RGB", (2, 2))
    image.info["dpi"] = dpi
    assert from_pil(image).dpi is None


# Writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("gray", [False, True])
def test_lossless_formats_keep_every_level(tmp_path: Path, suffix: str, gray: bool) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    original = photo_of(pixels if gray else np.dstack([pixels, pixels.T, 255 - pixels]), gray=gray)
    write(original, tmp_path / f"a{suffix}")
    back = read(tmp_path / f"a{suffix}")
    assert torch.equal(back.color, original.color)
    assert back.gray == gray


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("gray", [False, True])
def test_lossless_formats_keep_alpha(tmp_path: Path, suffix: str, gray: bool) -> None:
    original = photo_of(noise(6, 7) if gray else noise(6, 7, 3), alpha=noise(6, 7, seed=1), gray=gray)
    write(original, tmp_path / f"a{suffix}")
    back = read(tmp_path / f"a{suffix}")
    assert torch.equal(back.color, original.color)
    assert (alpha_levels(back) == noise(6, 7, seed=1)).all()
    assert back.gray == gray


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_stay_close(tmp_path: Path, suffix: str) -> None:
    write(photo_of(smooth()), tmp_path / f"a{suffix}")
    assert np.abs(color_levels(read(tmp_path / f"a{suffix}")) - smooth()).max() <= 12


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_keep_texture(tmp_path: Path, suffix: str) -> None:
    write(photo_of(noise(48, 48), gray=True), tmp_path / f"a{suffix}")
    assert np.abs(color_levels(read(tmp_path / f"a{suffix}"))[..., 0] - noise(48, 48)).mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_lossless_formats_compress(tmp_path: Path, suffix: str) -> None:
    write(Photo(flat(height=64, width=64)), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").stat().st_size < 64 * 64


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
def test_color_is_not_subsampled(tmp_path: Path, suffix: str) -> None:
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    write(photo_of(stripes), tmp_path / f"a{suffix}")
    error = np.abs(color_levels(read(tmp_path / f"a{suffix}")) - stripes)
    assert error.mean() < 8  # about 80 when every two columns share their color


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
@pytest.mark.parametrize("gray", [False, True])
def test_lossy_formats_with_alpha_keep_it(tmp_path: Path, suffix: str, gray: bool) -> None:
    pixels = smooth()[..., 0] if gray else smooth()
    write(photo_of(pixels, alpha=smooth()[..., 1], gray=gray), tmp_path / f"a{suffix}")
    assert np.abs(alpha_levels(read(tmp_path / f"a{suffix}")) - smooth()[..., 1]).max() <= 6


@pytest.mark.parametrize("suffix", [".jpg", ".avif", ".gif"])
def test_gray_stays_gray(tmp_path: Path, suffix: str) -> None:
    write(photo_of(smooth()[..., 0], gray=True), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").gray


def test_gif_keeps_up_to_256_colors(tmp_path: Path) -> None:
    image, indices, palette = paletted()
    write(from_pil(image), tmp_path / "a.gif")
    assert (color_levels(read(tmp_path / "a.gif")) == palette[indices]).all()


def test_transparency_is_refused_where_the_format_has_none(tmp_path: Path) -> None:
    photo = photo_of(smooth(), alpha=smooth()[..., 0])
    with pytest.raises(ImageError, match=r"cannot hold its transparency; choose \.png or \.webp"):
        write(photo, tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".gif"])
def test_opaque_alpha_is_left_out_where_the_format_has_none(tmp_path: Path, suffix: str) -> None:
    write(Photo(flat(), alpha=torch.ones(1, 1, 4, 5)), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").alpha is None


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.5, 128), (0.5 / 255, 1), (0.49 / 255, 0), (1.5 / 255, 2), (2.5 / 255, 3), (-0.2, 0), (1.7, 255)],
)
def test_values_are_clamped_and_rounded_half_up(tmp_path: Path, value: float, level: int) -> None:
    write(Photo(flat(value)), tmp_path / "a.png")
    assert (color_levels(read(tmp_path / "a.png")) == level).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_with_gradient_is_written(tmp_path: Path, dtype: torch.dtype) -> None:
    color = flat(1.0).to(dtype).requires_grad_()
    write(Photo(color, alpha=color[:, :1], gray=True), tmp_path / "a.png")
    assert (color_levels(read(tmp_path / "a.png")) == 255).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["color", "alpha"])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, part: str) -> None:
    photo = Photo(flat(), alpha=torch.ones(1, 1, 4, 5))
    bad: Tensor = getattr(photo, part)
    bad[..., 1, 1] = value
    with pytest.raises(ImageError, match=r"a\.png: some values are NaN or infinite"):
        write_atomic(photo, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_not_finite_below_the_first_band_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    color = torch.zeros(1, 3, 2, BAND)
    color[..., 1, 1] = float("nan")
    with pytest.raises(ImageError, match=r"a\.png: some values are NaN or infinite"):
        write_atomic(Photo(color), tmp_path / "a.png")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


LAYOUTS = [torch.contiguous_format, torch.channels_last]


def levels_photo(photo: Photo, layout: torch.memory_format) -> Photo:
    """The same photo as levels."""
    color = (photo.color * 255).round().to(torch.uint8).contiguous(memory_format=layout)
    alpha = None if photo.alpha is None else (photo.alpha * 255).round().to(torch.uint8)
    return replace(photo, color=color, alpha=alpha)


@pytest.mark.parametrize("suffix", sorted(WRITE_SUFFIXES))
@pytest.mark.parametrize("layout", LAYOUTS, ids=["planes", "pixels"])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_levels_are_written_like_the_values_they_stand_for(
    tmp_path: Path, suffix: str, layout: torch.memory_format, gray: bool, alpha: bool
) -> None:
    opacity = noise(24, 32, seed=1) if suffix in ALPHA else np.full((24, 32), 255, np.uint8)
    values = photo_of(smooth()[..., 0] if gray else smooth(), alpha=opacity if alpha else None, gray=gray)
    levels = levels_photo(values, layout)
    write(values, tmp_path / f"a{suffix}")
    write(levels, tmp_path / f"b{suffix}")
    assert (tmp_path / f"b{suffix}").read_bytes() == (tmp_path / f"a{suffix}").read_bytes()
    assert to_pil(levels) == to_pil(values)


@pytest.mark.parametrize("mixed", ["color", "alpha"])
def test_levels_and_values_go_together(tmp_path: Path, mixed: str) -> None:
    values = photo_of(noise(6, 7, 3), alpha=noise(6, 7, seed=1))
    levels = levels_photo(values, torch.channels_last)
    write(replace(values, **{mixed: getattr(levels, mixed)}), tmp_path / "a.png")
    back = read(tmp_path / "a.png")
    assert torch.equal(back.color, values.color)
    assert (alpha_levels(back) == noise(6, 7, seed=1)).all()


def test_levels_have_no_more_than_8_bits_to_write(tmp_path: Path) -> None:
    photo = replace(levels_photo(photo_of(noise(6, 7), gray=True), torch.channels_last), bits=16)
    write(photo, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as back:
        assert back.mode == "L"
        assert (np.array(back) == noise(6, 7)).all()


def test_a_photo_of_many_bands_is_written_whole(tmp_path: Path) -> None:
    values = photo_of(noise(700, 1500, 3), alpha=noise(700, 1500, seed=1))
    assert 3 * BAND < 700 * 1500
    for photo in (values, levels_photo(values, torch.channels_last)):
        write(photo, tmp_path / "a.png")
        back = read(tmp_path / "a.png")
        assert torch.equal(back.color, values.color)
        assert (alpha_levels(back) == noise(700, 1500, seed=1)).all()


def test_levels_are_written_without_a_copy_of_them_all(tmp_path: Path) -> None:
    color = torch.zeros(1, 3, 4000, 1000, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    tracemalloc.start()
    write(Photo(color), tmp_path / "a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < color.nbytes / 3


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gray", [False, True])
def test_a_small_png_holds_the_same_in_fewer_bytes(tmp_path: Path, gray: bool, bits: Literal[8, 16]) -> None:
    rows = np.tile(noise(1, 200, 1 if gray else 3, seed=3), (90, 1, 1))[:, :, 0 if gray else slice(None)]
    photo = replace(photo_of(rows, gray=gray), bits=bits, exif=camera_exif().tobytes(), dpi=(300.0, 300.0))
    write(photo, tmp_path / "a.png")
    write(photo, tmp_path / "b.png", small=True)
    assert (tmp_path / "b.png").stat().st_size < (tmp_path / "a.png").stat().st_size
    first, second = read(tmp_path / "a.png"), read(tmp_path / "b.png")
    assert torch.equal(first.color, second.color)
    assert (first.gray, first.bits, first.exif, first.dpi) == (
        second.gray,
        second.bits,
        second.exif,
        second.dpi,
    )


@pytest.mark.parametrize(
    ("suffix", "longest"), [(".jpg", 65500), (".webp", 16383), (".gif", 65535), (".avif", 32768)]
)
def test_the_longest_side_is_readable_and_one_more_is_refused(
    tmp_path: Path, suffix: str, longest: int
) -> None:
    write(Photo(torch.zeros(1, 3, 1, longest), gray=True), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").color.shape == (1, 3, 1, longest)
    with pytest.raises(ImageError, match=rf"at most {longest} pixels a side, not 1 x {longest + 1}; choose"):
        write(Photo(torch.zeros(1, 3, longest + 1, 1), gray=True), tmp_path / f"b{suffix}")
    assert not (tmp_path / f"b{suffix}").exists()


@pytest.mark.parametrize(
    ("color", "alpha", "words"),
    [
        (torch.zeros(3, 4, 5), None, r"color has the shape \(3, 4, 5\)"),
        (torch.zeros(2, 3, 4, 5), None, r"color has the shape \(2, 3, 4, 5\)"),
        (torch.zeros(1, 3, 0, 5), None, r"color has the shape \(1, 3, 0, 5\)"),
        (flat(), torch.ones(1, 1, 8, 10), r"alpha has the shape \(1, 1, 8, 10\); give \(1, 1, 4, 5\)"),
    ],
)
def test_wrong_shapes_are_refused(tmp_path: Path, color: Tensor, alpha: Tensor | None, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        write(Photo(color, alpha), tmp_path / "a.png")
    with pytest.raises(ImageError, match=words):
        to_pil(Photo(color, alpha))


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"the suffix '\.xyz' is not one of .*\.png.*\.webp") as caught:
        write(Photo(flat()), tmp_path / "a.xyz")
    assert str(tmp_path / "a.xyz") in str(caught.value)


def test_suffix_is_read_in_any_case_and_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "A.JPG"
    write(Photo(flat()), path)
    with Image.open(path) as back:
        assert back.format == "JPEG"


@pytest.mark.parametrize("suffix", sorted(WRITE_SUFFIXES))
def test_every_writable_suffix_is_readable(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(photo_of(smooth()), path)
    assert is_image_name(path)
    assert read(path).color.shape == (1, 3, 24, 32)


def fail_on_disk(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Make every write stop half way, as a full disk does."""

    class Full(FileIO):
        def write(self, data: Any) -> int:
            super().write(data[: len(data) // 2])
            raise OSError(code, os.strerror(code))

    def opened(path: Path, mode: str) -> Full:
        return Full(path, mode)

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_full_disk_is_reported_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    fail_on_disk(monkeypatch, errno.ENOSPC)
    with pytest.raises(ImageError, match="No space left on device; make room") as caught:
        write_atomic(Photo(flat()), path)
    assert str(path) in str(caught.value)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"old"


def test_what_the_encoder_refuses_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"the encoder refused it \(EXIF data is too long\); choose"):
        write(Photo(flat(), exif=b"Exif\0\0" + bytes(70000)), path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.jpg"]


def test_a_place_that_is_no_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match=r"file/a\.png: cannot write it: "):
        write(Photo(flat()), tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="Is a directory"):
        write(Photo(flat()), tmp_path / "folder.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.png"]


# Refused files ----------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    """The sentence, of which every one names the file and says what to do."""
    with pytest.raises(ImageError) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "; " in sentence
    assert "\n" not in sentence
    return sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "none.png")
    (tmp_path / "file").write_bytes(b"x")
    assert "there is no such file" in refused(tmp_path / "file" / "a.png")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "it is a folder" in refused(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert "the file is empty" in refused(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "not a regular file" in refused(tmp_path / "a.png")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / "a.png")

    def denied(path: Path, mode: str) -> None:  # not by chmod, which does not stop the superuser
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied; make the file readable" in refused(path)


@pytest.mark.parametrize("content", [b"hello, world" * 50, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png")


def test_text_is_said_to_be_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello, world")
    assert "it is not an image that Pillow knows" in refused(tmp_path / "a.png")


def test_postscript_is_refused(tmp_path: Path) -> None:
    saved(Image.fromarray(smooth()), tmp_path / "a.eps")
    assert "it is a PostScript page" in refused((tmp_path / "a.eps").rename(tmp_path / "a.png"))


def test_the_suffix_may_lie_about_the_format(tmp_path: Path) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / "a.jpg").rename(tmp_path / "a.png")
    assert np.abs(color_levels(read(path)) - smooth()).max() <= 60


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif", ".ppm", ".tga"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = saved(Image.fromarray(noise(60, 70, 3)), tmp_path / f"a{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    refused(path)


STORABLE = {
    ".png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    ".jpg": ["L", "RGB", "CMYK"],
    ".webp": ["RGB", "RGBA"],
    ".gif": ["L", "P"],
    ".tif": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"],
}


@pytest.mark.parametrize(
    ("suffix", "mode"), [(suffix, mode) for suffix, modes in STORABLE.items() for mode in modes]
)
def test_levels_are_the_colors_of_a_photo_rounded_to_8_bits(tmp_path: Path, suffix: str, mode: str) -> None:
    image = Image.fromarray(smooth())
    image = Image.fromarray(noise(24, 32, levels=65536)) if mode == "I;16" else image.convert(mode)
    path = saved(image, tmp_path / f"a{suffix}", exif=camera_exif(6).tobytes())
    levels = read_levels(path)
    assert levels.dtype == torch.uint8
    assert torch.equal(levels, (read(path).color[0] * 255).round().to(torch.uint8))


def test_levels_of_what_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = saved(Image.fromarray(noise(60, 70, 3)), tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:-1000])
    (tmp_path / "b.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for file in (path, tmp_path / "b.eps", tmp_path / "none.png"):
        with pytest.raises(ImageError, match=f"{file}: "):
            read_levels(file)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif"])
def test_a_file_with_a_sound_end_is_not_decoded_to_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}", exif=camera_exif(6).tobytes())
    forbid_decoding(monkeypatch)
    assert check(path) == ((24, 32) if suffix != ".gif" else (32, 24))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".tif", ".bmp", ".avif", ".ppm"])
@pytest.mark.parametrize("missing", [100, 1000])
def test_a_check_refuses_what_was_cut_and_passes_what_is_whole(
    tmp_path: Path, suffix: str, missing: int
) -> None:
    path = saved(Image.fromarray(noise(60, 70, 3)), tmp_path / f"a{suffix}")
    assert check(path) == (70, 60)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(ImageError, match=f"{path}: it is .*damaged"):
        check(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif"])
def test_what_was_appended_to_a_whole_file_is_no_damage(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes() + b"as some cameras and editors do")
    assert check(path) == size_of(path) == (32, 24)


@pytest.mark.parametrize("damage", [b"\xff", b""], ids=["changed", "missing"])
def test_png_with_damaged_pixels_is_refused(tmp_path: Path, damage: bytes) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in noise(100, 300))
    good = zlib.compress(rows)
    for place in range(10, len(good) - 10, len(good) // 20):
        data = png(100, 100, 8, 2, rows).replace(good, good[:place] + damage + good[place + 1 :])
        (tmp_path / "a.png").write_bytes(data)
        refused(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".webp", ".avif", ".bmp"])
def test_damaged_bytes_raise_nothing_but_image_error(tmp_path: Path, suffix: str) -> None:
    good = saved(Image.fromarray(noise(20, 30, 3)), tmp_path / f"a{suffix}").read_bytes()
    random = np.random.default_rng(7)
    outcomes: set[type] = set()
    for _ in range(60):
        data = bytearray(good)
        for place in random.integers(0, min(len(data), 400), 4):
            data[place] = random.integers(0, 256)
        (tmp_path / f"b{suffix}").write_bytes(data)
        try:
            outcomes.add(type(read(tmp_path / f"b{suffix}")))
        except ImageError:
            outcomes.add(ImageError)
    assert ImageError in outcomes


def test_lack_of_memory_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(smooth()), tmp_path / "a.png")

    def exhausted(path: Path, mode: str) -> None:
        raise MemoryError

    monkeypatch.setattr(Path, "open", exhausted)
    with pytest.raises(ImageError, match="not enough memory to decode it; close other programs"):
        read(path)


@pytest.mark.parametrize("side", [11, 15, 40])
def test_too_many_pixels_are_refused_with_the_option_that_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    path = saved(Image.new("RGB", (10, side)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # nor may Pillow's own limit be in the way
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for reader in (read, read_all):
            with pytest.raises(ImageError, match=rf"100 pixels \(10 x {side}\).*`max_pixels` to {side}0"):
                reader(path, max_pixels=100)
        assert read(path, max_pixels=10 * side).color.shape == (1, 3, side, 10)
        assert read(path, max_pixels=None).color.shape == (1, 3, side, 10)
    assert caught == []
    assert Image.MAX_IMAGE_PIXELS == 20


def test_a_decompression_bomb_is_refused_by_default(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(20000, 20000, 8, 2, b""))
    assert "set `max_pixels` to 400000000" in refused(tmp_path / "a.png")
    assert size_of(tmp_path / "a.png") == (20000, 20000)


def test_an_image_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"it has no pixels \(0 x 3\)"):
        from_pil(Image.new("RGB", (0, 3)))
    (tmp_path / "a.png").write_bytes(png(0, 3, 8, 2, b""))
    refused(tmp_path / "a.png")


def test_from_pil_explains_a_damaged_image(tmp_path: Path) -> None:
    path = saved(Image.fromarray(noise(60, 70, 3)), tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as image, pytest.raises(ImageError, match="it is damaged"):
        from_pil(image)


# Frames, Pillow and names -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_the_first_of_several_frames_is_read_and_all_are_counted(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "lime", "blue")]
    path = saved(frames[0], tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    photo = read(path)
    assert photo.frames == 3
    assert np.abs(color_levels(photo) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pillow_images_come_back_as_they_were(mode: str) -> None:
    pixels = noise(5, 6, levels=65536) if mode == "I;16" else noise(5, 6, *([len(mode)] * (len(mode) > 1)))
    image = Image.fromarray(pixels)
    back = to_pil(from_pil(image))
    assert back.mode == mode
    assert (np.array(back) == pixels).all()


def test_pillow_images_carry_profile_exif_and_resolution() -> None:
    photo = Photo(flat(), icc_profile=rgb_profile(), exif=camera_exif().tobytes(), dpi=(300.0, 300.0))
    back = from_pil(to_pil(photo))
    assert (back.icc_profile, back.dpi) == (photo.icc_profile, photo.dpi)
    assert parsed(back.exif)[ExifTags.Base.Make] == "Maker"


@pytest.mark.parametrize("bits", [8, 16])
def test_gray_takes_the_mean_of_the_channels(tmp_path: Path, bits: Literal[8, 16]) -> None:
    color = torch.tensor([0.2, 0.4, 0.9]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    write(Photo(color, gray=True, bits=bits), tmp_path / "a.png")
    assert read(tmp_path / "a.png").color[0, 0, 0, 0].item() == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", True),
        ("A.JPEG", True),
        ("a.b.tiff", True),
        ("a.txt", False),
        ("png", False),
        (".restore-abc.png", False),
        ("._a.jpg", False),
    ],
)
def test_image_names_are_told_by_suffix_and_hidden_files_left_out(name: str, expected: bool) -> None:
    assert is_image_name(Path("folder") / name) == expected


def test_every_listed_suffix_is_one_that_pillow_opens() -> None:
    Image.init()
    openable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert openable >= READ_SUFFIXES >= WRITE_SUFFIXES
