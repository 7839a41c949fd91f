"""tests/long/files_of_others.py on files that Pillow, tifffile and imagecodecs make here."""

from __future__ import annotations

import json
import runpy
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, features

COMMAND = Path(__file__).parents[1] / "long" / "files_of_others.py"


def run(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, str(COMMAND), str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def picture(mode: str = "RGB", side: int = 24) -> Image.Image:
    """Smooth gradients, with alpha from clear to opaque where `mode` has it."""
    x = np.linspace(0, 255, side).astype(np.uint8)
    levels = np.dstack([np.tile(x, (20, 1)), np.full((20, side), 90, np.uint8), 255 - np.tile(x, (20, 1))])
    image = Image.fromarray(levels)
    if mode in {"LA", "RGBA", "PA"}:
        image.putalpha(Image.fromarray(np.tile(x[::-1], (20, 1))))
    if mode == "PA":
        return image.convert("LA").convert("PA")
    if mode == "I;16":
        return Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(levels[..., 0].astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(levels[..., 0].astype(np.float32) / 255)
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        return to_lab.apply(image)
    return image.convert(mode)


MODES = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "tif": ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"],
    "jpg": ["1", "L", "RGB", "CMYK", "YCbCr"],
    "gif": ["1", "L", "P", "RGB", "RGBA"],
    "bmp": ["1", "L", "P", "RGB", "RGBA"],
    "webp": ["RGB", "RGBA"],
    "avif": ["L", "RGB", "RGBA"],
    "ico": ["L", "RGB", "RGBA"],
    "tga": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "pcx": ["1", "L", "P", "RGB"],
    "ppm": ["1", "L", "RGB", "I"],
    "sgi": ["L", "RGB", "RGBA"],
    "dds": ["L", "LA", "RGB", "RGBA"],
    "jp2": ["L", "LA", "RGB", "RGBA"],
    "dib": ["L", "RGB"],
    "qoi": ["RGB", "RGBA"],
}


def save_modes(folder: Path) -> None:
    for suffix, modes in MODES.items():
        for mode in modes:
            if suffix != "avif" or features.check("avif"):
                picture(mode).save(folder / f"{mode.replace(';', '')}.{suffix}")


def save_metadata(folder: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Artist] = "Maker", "Somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for suffix in ("jpg", "png", "webp", "tif"):
        for orientation in range(1, 9):
            exif[ExifTags.Base.Orientation] = orientation
            picture().save(folder / f"turned{orientation}.{suffix}", exif=exif, icc_profile=profile)


def save_variants(folder: Path) -> None:
    picture().save(folder / "progressive.jpg", progressive=True, quality=80)
    picture("CMYK").save(folder / "cmyk.jpg", quality=80)
    picture().save(folder / "lossless.webp", lossless=True)
    picture("RGBA", 64).save(folder / "sizes.ico", sizes=[(16, 16), (20, 20)])
    palette = picture("P")
    palette.save(folder / "transparent.png", transparency=3)
    palette.save(folder / "transparent-table.png", transparency=bytes(range(256)))
    picture("L").save(folder / "key.png", transparency=90)
    for bits in (1, 2, 4):
        palette.quantize(2**bits).save(folder / f"palette{bits}.png", bits=bits)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "group4"):
        picture("1" if compression == "group4" else "RGB").save(
            folder / f"{compression}.tif", compression=compression
        )
    levels = np.asarray(picture())
    for order in "<>":
        for planar in ("contig", "separate"):
            name = f"{'little' if order == '<' else 'big'}-{planar}"
            for bits, values in ((8, levels), (16, levels.astype(np.uint16) * 257)):
                options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar, "byteorder": order}
                stored = values.transpose(2, 0, 1) if planar == "separate" else values
                tifffile.imwrite(folder / f"{name}{bits}.tif", np.ascontiguousarray(stored), **options)
    tifffile.imwrite(folder / "white-is-zero.tif", levels[..., 0], photometric="miniswhite")
    for channels in (2, 3, 4):
        deep = np.random.default_rng(0).integers(0, 65536, (9, 7, channels), np.uint16)
        (folder / f"deep{channels}.png").write_bytes(bytes(imagecodecs.png_encode(deep)))


def png(levels: NDArray[np.uint8], bits: int, *, interlaced: bool, key: int | None = None) -> bytes:
    """A gray PNG of 1 to 8 bits; Pillow and libpng's simplified interface write neither those nor Adam7."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    def rows(part: NDArray[np.uint8]) -> bytes:
        digits = np.unpackbits(part[..., None], axis=-1)[..., 8 - bits :]
        packed = np.packbits(digits.reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    parts = [levels[y::down, x::right] for y, x, down, right in passes] if interlaced else [levels]
    body = b"".join(rows(part) for part in parts if part.size)
    height, width = levels.shape
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, 0, 0, 0, interlaced))
    head += b"" if key is None else chunk(b"tRNS", struct.pack(">H", key))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def bmp(rows: bytes, height: int, *, bits: int, masks: tuple[int, ...] = ()) -> bytes:
    """An uncompressed BMP 8 pixels wide, with color masks if any; a negative height is from the top."""
    start = 54 + 4 * len(masks)
    info = struct.pack("<IiiHHIIiiII", 40, 8, height, 1, bits, 3 if masks else 0, len(rows), 2835, 2835, 0, 0)
    words = struct.pack(f"<{len(masks)}I", *masks)
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + info + words + rows


def save_by_hand(folder: Path) -> None:
    """Kinds that Pillow reads and does not write."""
    random = np.random.default_rng(0)
    for bits in (1, 2, 4, 8):
        levels = random.integers(0, 2**bits, (11, 13)).astype(np.uint8)
        for interlaced in (False, True):
            name = f"gray{bits}{'i' if interlaced else ''}"
            (folder / f"{name}.png").write_bytes(png(levels, bits, interlaced=interlaced))
            (folder / f"{name}k.png").write_bytes(png(levels, bits, interlaced=interlaced, key=1))
    data = random.integers(0, 256, 8 * 6 * 4, np.uint8).tobytes()
    (folder / "top.bmp").write_bytes(bmp(data[: 8 * 6 * 3], -6, bits=24))
    (folder / "bits15.bmp").write_bytes(bmp(data[: 8 * 6 * 2], 6, bits=16))
    (folder / "bits16.bmp").write_bytes(bmp(data[: 8 * 6 * 2], 6, bits=16, masks=(0xF800, 0x07E0, 0x1F)))
    (folder / "bits32.bmp").write_bytes(bmp(data, 6, bits=32))


def save_animations(folder: Path) -> None:
    frames = [picture(side=24).rotate(angle) for angle in (0, 90, 180)]
    for suffix in ("gif", "webp", "png", *(["avif"] if features.check("avif") else [])):
        options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
        durations = [100, 200, 50]
        frames[0].save(
            folder / f"moving.{suffix}",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            **options,
        )
    small = Image.new("P", (24, 20), 1)
    small.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    other = small.copy()
    other.paste(2, (5, 6, 12, 13))
    third = other.copy()
    third.paste(0, (2, 3, 6, 7))
    small.save(
        folder / "local.gif",
        save_all=True,
        append_images=[other, third],
        duration=70,
        disposal=2,
        transparency=0,
    )
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])


def test_every_difference_from_pillow_has_a_reason(tmp_path: Path) -> None:
    for save in (save_modes, save_metadata, save_variants, save_by_hand, save_animations):
        folder = tmp_path / save.__name__
        folder.mkdir()
        save(folder)
    code, found = run(tmp_path)
    unexplained = [each for each in found if each["reason"] is None]
    assert (code, unexplained) == (0, []), "\n".join(map(str, unexplained))
    assert {each["kind"] for each in found} >= {"gray", "colors", "alpha", "frames"}


def test_a_difference_without_a_reason_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((4, 5), 70000, np.int32)).save(tmp_path / "range.tif")
    (tmp_path / "notes.txt").write_text("not an image")
    command = runpy.run_path(str(COMMAND))
    monkeypatch.setattr(sys, "argv", [COMMAND.name, str(tmp_path)])
    assert command["main"]() == 0
    assert capsys.readouterr().out.endswith("values without a known range\n")
    command["REASONS"].clear()
    assert command["main"]() == 1
    assert "range.tif: read: refused" in capsys.readouterr().out
