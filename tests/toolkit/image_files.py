"""Pictures, files and photos that the tests of `restore.images` share."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile
from torch import Tensor

from restore.images import Photo

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


def with_chunk(path: Path, name: bytes, content: bytes, *, late: bool = False) -> Path:
    """A PNG file of 4 x 6 pixels with one more chunk, before or after its pixels."""
    buffer = BytesIO()
    Image.new("RGB", (4, 6), (200, 100, 50)).save(buffer, "PNG")
    data = buffer.getvalue()
    place = data.index(b"IEND" if late else b"IDAT") - 4
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    path.write_bytes(data[:place] + chunk + data[place:])
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


def paletted() -> tuple[Image.Image, Levels, Levels]:
    """An image with a palette, its indices and its colors."""
    indices, palette = noise(5, 7, levels=4), noise(4, 3, seed=1)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    return image, indices, palette


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise AssertionError(f"{image} was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(Image.Image, "load", load)
