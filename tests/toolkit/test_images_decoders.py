"""Sound files that Pillow does not decode: another decoder reads them, or the error says so."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from restore.errors import ImageError
from restore.images import Photo, header_of, read, read_all, read_levels, size_of

Y, X = np.mgrid[:20, :28]
RGB = np.stack([X * 9, Y * 12, (X + Y) * 5], -1).astype(np.uint8)
GRAY = RGB[..., 0].copy()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NO_PALETTE, GRAYS = b"", b"".join(bytes((level, level, level, 0)) for level in range(256))


def deep(levels: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    scaled: NDArray[np.uint16] = (levels.astype(np.float64) / 255 * (2**bits - 1)).round().astype(np.uint16)
    return scaled


def padded(rows: NDArray[Any]) -> bytes:
    """Rows of a BMP, from the bottom, each of a multiple of four bytes."""
    flat = np.ascontiguousarray(rows[::-1]).view(np.uint8).reshape(len(rows), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4))).tobytes()


def bmp(
    bits: int, compression: int, pixels: bytes, masks: tuple[int, ...] = (), palette: bytes = b""
) -> bytes:
    height, width = GRAY.shape
    long = len(masks) == 4
    rest = struct.pack(f"<{len(masks)}I", *masks) + bytes(52 * long)
    size = 108 if long else 40
    header = struct.pack(
        "<IiiHHIIiiII",
        size,
        width,
        height,
        1,
        bits,
        compression,
        len(pixels),
        11811,
        11811,
        len(palette) // 4,
        0,
    )
    start = 14 + len(header) + len(rest) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + header + rest + palette + pixels


def packed(channels: tuple[NDArray[np.uint8], ...], bits: tuple[int, ...], shifts: tuple[int, ...]) -> Any:
    """Channels reduced to some bits each and shifted into one number."""
    parts = zip(channels, bits, shifts, strict=True)
    return sum((deep(channel, count).astype(np.uint32) << shift for channel, count, shift in parts))


def tiff(levels: NDArray[Any], **options: Any) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, levels, **options)
    return buffer.getvalue()


R, G, B = RGB[..., 0], RGB[..., 1], RGB[..., 2]
COLORS: dict[
    str, tuple[Callable[[], bytes | bytearray], int, float]
] = {  # bits of the photo, and its largest error
    "12-bit.jpg": (lambda: imagecodecs.jpeg8_encode(deep(RGB, 12), 100, bitspersample=12), 16, 0.05),
    "lossless.jpg": (
        lambda: imagecodecs.jpeg8_encode(deep(RGB, 12), lossless=True, bitspersample=12),
        16,
        2e-3,
    ),
    "ls.jpg": (lambda: imagecodecs.jpegls_encode(RGB), 8, 1e-6),
    "webp.tif": (lambda: tiff(RGB, photometric="rgb", compression="webp"), 8, 1e-6),
    "webp-big.tif": (lambda: tiff(RGB, photometric="rgb", compression="webp", bigtiff=True), 8, 1e-6),
    "jpegxl-big.tif": (
        lambda: tiff(deep(RGB, 16), photometric="rgb", compression="jpegxl", bigtiff=True),
        16,
        1e-4,
    ),
    "lerc.tif": (lambda: tiff(RGB, photometric="rgb", compression="lerc"), 8, 1e-6),
    "12-bit-jpeg.tif": (
        lambda: tiff(deep(RGB, 12), photometric="rgb", compression="jpeg", bitspersample=12),
        16,
        0.05,
    ),
    "palette16.tif": (
        lambda: tiff(
            (Y * 28 + X).astype(np.uint16),
            photometric="palette",
            colormap=np.pad(deep(RGB, 16).reshape(-1, 3).T, ((0, 0), (0, 2**16 - Y.size))),
        ),
        8,
        1e-4,
    ),
    "444.bmp": (
        lambda: bmp(16, 3, padded(packed((R, G, B), (4, 4, 4), (8, 4, 0)).astype("<u2")), (0xF00, 0xF0, 0xF)),
        8,
        0.04,
    ),
    "10-bit.bmp": (
        lambda: bmp(
            32,
            3,
            padded(packed((R, G, B), (10, 10, 10), (20, 10, 0)).astype("<u4")),
            (0x3FF00000, 0xFFC00, 0x3FF),
        ),
        16,
        1e-3,
    ),
}


def saved(folder: Path, name: str, content: bytes | bytearray) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", COLORS)
def test_a_kind_that_pillow_does_not_decode_is_read_by_another_decoder(tmp_path: Path, name: str) -> None:
    content, bits, error = COLORS[name]
    path = saved(tmp_path, name, content())
    photo = read(path)
    whole = read_all(path)
    assert (photo.bits, photo.gray, photo.alpha) == (bits, False, None)
    expected = torch.from_numpy(RGB).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(photo.color, expected, atol=error, rtol=0)
    assert isinstance(whole, Photo)
    assert torch.equal(whole.color, photo.color)
    assert size_of(path) == (28, 20)
    levels = read_levels(path)
    assert levels.shape == (3, 20, 28)
    torch.testing.assert_close(levels.float() / 255, expected[0], atol=error + 0.002, rtol=0)
    with pytest.raises(ImageError, match="560"):
        read(path, max_pixels=500)


@pytest.mark.parametrize(
    "encode", [imagecodecs.jpegls_encode, imagecodecs.ljpeg_encode], ids=["ls", "lossless"]
)
def test_gray_of_16_bits_in_a_lossless_jpeg_is_exact(
    tmp_path: Path, encode: Callable[[NDArray[np.uint16]], bytes]
) -> None:
    photo = read(saved(tmp_path, "a.jpg", encode(deep(GRAY, 16))))
    assert (photo.gray, photo.bits) == (True, 16)
    assert np.array_equal((photo.color[0, 0].numpy() * 65535).round(), deep(GRAY, 16))


def test_alpha_of_unusual_masks_is_kept(tmp_path: Path) -> None:
    pixels = packed((R, G, B, GRAY), (8, 8, 8, 8), (8, 16, 24, 0)).astype("<u4")
    photo = read(saved(tmp_path, "a.bmp", bmp(32, 3, padded(pixels), (0xFF00, 0xFF0000, 0xFF000000, 0xFF))))
    assert photo.alpha is not None
    assert np.array_equal((photo.alpha[0, 0].numpy() * 255).round(), GRAY)
    assert photo.dpi == pytest.approx((300, 300), abs=0.01)


def test_metadata_of_a_12_bit_jpeg_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    buffer = BytesIO()
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></x:xmpmeta>"
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif, icc_profile=ICC, dpi=(300, 300), xmp=packet)
    small = buffer.getvalue()
    segments = small[2 : small.index(b"\xff\xdb")]
    bare = imagecodecs.jpeg8_encode(deep(RGB, 12), bitspersample=12)
    bare = bare[4 + int.from_bytes(bare[4:6], "big") :]  # without its own resolution
    path = saved(tmp_path, "a.jpg", b"\xff\xd8" + segments + bare)
    photo = read(path)
    assert size_of(path) == (20, 28)  # turned
    assert photo.color.shape == (1, 3, 28, 20)
    assert photo.icc_profile == ICC
    assert photo.dpi == pytest.approx((300, 300))
    assert photo.exif is not None
    assert b"Maker" in photo.exif
    assert photo.xmp is not None
    assert photo.notes == ()


@pytest.mark.parametrize("order", "<>")
def test_tags_of_bigtiff_are_kept(tmp_path: Path, order: str) -> None:
    tags = [(274, 3, 1, 6, True), (315, 2, 0, "Ada", True), (34675, 7, len(ICC), ICC, True)]
    content = tiff(
        RGB.astype(np.float32) / 255,
        bigtiff=True,
        byteorder=order,
        photometric="rgb",
        extratags=tags,
        resolution=(300, 300),
        resolutionunit="INCH",
    )
    path = saved(tmp_path, "a.tif", content)
    photo = read(path)
    assert photo.color.shape == (1, 3, 28, 20)
    assert size_of(path) == (20, 28)
    assert (photo.icc_profile, photo.dpi) == (ICC, (300, 300))
    assert photo.exif is not None
    assert b"Ada" in photo.exif


def psd(mode: int, channels: int, bits: int) -> bytes:
    size = channels * 20 * 28 * bits // 8
    return struct.pack(">4sH6xHIIHHIIIH", b"8BPS", 1, channels, 20, 28, bits, mode, 0, 0, 0, 0) + bytes(size)


def dds(code: bytes) -> bytes:
    pixels = struct.pack("<II4s20x", 32, 4, code)
    return b"DDS " + struct.pack("<7I44x", 124, 0x1007, 20, 28, 0, 0, 0) + pixels + bytes(20 + 560)


UNSUPPORTED = {
    "2-bit.bmp": bmp(2, 0, padded(np.zeros((20, 7), np.uint8)), palette=GRAYS[:16]),
    "png.bmp": bmp(0, 5, b"\x89PNG"),
    "rle24.bmp": bmp(24, 4, bytes(100)),
    "16-bit.psd": psd(3, 3, 16),
    "32-bit.psd": psd(3, 3, 32),
    "dxt2.dds": dds(b"DXT2"),
    "yuy2.dds": dds(b"YUY2"),
    "huffman.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 32, 0, 0, 0, 0, 0, 28, 20, 24, 32) + RGB.tobytes(),
    "lab16.tif": tiff(deep(RGB, 16), photometric="cielab"),
    "jbig.tif": tiff(GRAY).replace(
        struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34661)
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_sound_file_that_no_decoder_reads_is_not_called_damaged(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, name, UNSUPPORTED[name])
    for reader in (read, read_levels):
        with pytest.raises(ImageError) as caught:
            reader(path)
        assert "not supported" in caught.value.problem
        assert "damaged" not in str(caught.value)
        assert caught.value.hint.startswith("convert it to")


@pytest.mark.parametrize("name", COLORS)
def test_of_a_cut_file_no_decoder_gives_a_part_as_the_whole(tmp_path: Path, name: str) -> None:
    content = COLORS[name][0]()
    for part in (0.2, 0.5, 0.9):
        path = saved(tmp_path, name, content[: int(part * len(content))])
        with pytest.raises(ImageError):
            read(path)


def test_the_header_of_a_kind_that_pillow_does_not_decode_is_bounded(tmp_path: Path) -> None:
    large = imagecodecs.jpeg8_encode(deep(GRAY, 12), bitspersample=12)
    frame = large.index(b"\xff\xc1") + 5
    path = saved(tmp_path, "a.jpg", large[:frame] + b"\xff\xff\xff\xff" + large[frame + 4 :])
    with pytest.raises(ImageError, match="65535 x 65535"):
        header_of(path, max_pixels=10**6)
    with pytest.raises(ImageError, match="65535 x 65535"):
        read(path)
