"""Our own PNG encoder: what Pillow reads from it is what Pillow's encoder would have been given."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from restore.images.png import encoded

Levels = NDArray[Any]

COLOR_TYPES = {0: 1, 4: 2, 2: 3, 6: 4}  # -> channels
SIZES = [(1, 1), (1, 50), (50, 1), (7, 5), (64, 33)]


def noise(*shape: int, bits: int = 8, seed: int = 0) -> Levels:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, shape, dtype)


def file_of(pixels: Levels, rows: int = 10**9, **metadata: Any) -> bytes:
    """The PNG of an (H, W, C) array in bands of so many rows."""
    height, width, _ = pixels.shape
    bands = (pixels[top : top + rows] for top in range(0, height, rows))
    return b"".join(encoded(bands, (width, height), **metadata))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kinds and contents, whose checksums are right."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(kind + content),)
        found.append((kind, content))
        place += 12 + length
    return found


def decoded(data: bytes) -> Levels:
    """(H, W, C) of a PNG of which every row has the filter Up: Pillow cuts 16-bit color to 8 bits."""
    found = chunks(data)
    assert (found[0][0], found[-1]) == (b"IHDR", (b"IEND", b""))
    width, height, bits, color, *rest = struct.unpack(">IIBBBBB", found[0][1])
    assert rest == [0, 0, 0]
    stream = zlib.decompressobj()
    plain = stream.decompress(b"".join(content for kind, content in found if kind == b"IDAT"))
    assert stream.eof
    assert not stream.unused_data
    rows = np.frombuffer(plain, np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    pixels = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).view(">u2" if bits == 16 else np.uint8)
    return pixels.reshape(height, width, COLOR_TYPES[color])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pillow_reads_what_its_own_encoder_would_have_written(height: int, width: int, channels: int) -> None:
    pixels = noise(height, width, channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    theirs = BytesIO()
    image.save(theirs, "PNG")
    for rows in (1, 3, height):
        with Image.open(BytesIO(file_of(pixels, rows))) as back, Image.open(theirs) as expected:
            assert (back.mode, back.size) == (expected.mode, expected.size)
            assert np.array_equal(np.array(back), np.array(expected))
            assert back.info == expected.info


def test_pillow_reads_16_bit_gray_exactly() -> None:
    pixels = noise(30, 20, 1, bits=16)
    with Image.open(BytesIO(file_of(pixels, 7))) as back:
        assert back.mode == "I;16"
        assert np.array_equal(np.array(back), pixels[..., 0])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_level_of_every_kind_comes_back(height: int, width: int, channels: int, bits: int) -> None:
    pixels = noise(height, width, channels, bits=bits)
    assert np.array_equal(decoded(file_of(pixels, 3)), pixels)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    bits=st.sampled_from([8, 16]),
    levels=st.sampled_from([1, 2, 255]),
    rows=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_any_picture_in_any_bands_comes_back(
    height: int, width: int, channels: int, bits: int, levels: int, rows: int, seed: int
) -> None:
    pixels = noise(height, width, channels, bits=bits, seed=seed) // levels
    assert np.array_equal(decoded(file_of(pixels, rows)), pixels)


def test_large_bands_give_several_pieces_of_one_stream() -> None:
    pixels = noise(300, 2000, 3)
    data = file_of(pixels, 50)
    assert [kind for kind, _ in chunks(data)].count(b"IDAT") >= 6
    assert np.array_equal(decoded(data), pixels)


def test_bands_in_any_byte_order_and_memory_layout_are_read() -> None:
    pixels = noise(9, 8, 3, bits=16)
    assert np.array_equal(decoded(file_of(pixels.astype(">u2"), 2)), pixels)
    planar = np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert np.array_equal(decoded(file_of(planar, 2)), pixels)


def test_a_band_may_be_overwritten_when_the_next_one_is_asked_for() -> None:
    pixels = noise(12, 5, 3)

    def reused() -> Iterator[Levels]:
        band = np.empty((4, 5, 3), np.uint8)
        for top in range(0, 12, 4):
            band[:] = pixels[top : top + 4]
            yield band

    assert np.array_equal(decoded(b"".join(encoded(reused(), (5, 12)))), pixels)


def exif_with_maker() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    return exif.tobytes()


METADATA: dict[str, Any] = {
    "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "exif": exif_with_maker(),
    "dpi": (300.0, 72.5),
}


@pytest.mark.parametrize("names", [[], ["icc_profile"], ["exif"], ["dpi"], list(METADATA)])
def test_metadata_is_that_of_pillows_encoder_chunk_by_chunk(names: list[str]) -> None:
    pixels = noise(4, 6, 3)
    metadata = {name: METADATA[name] for name in names}
    theirs = BytesIO()
    Image.fromarray(pixels).save(theirs, "PNG", **metadata)
    ours = file_of(pixels, **metadata)
    without_pixels = [
        [part for part in chunks(data) if part[0] != b"IDAT"] for data in (ours, theirs.getvalue())
    ]
    assert without_pixels[0] == without_pixels[1]
    with Image.open(BytesIO(ours)) as back, Image.open(theirs) as expected:
        assert isinstance(back, PngImagePlugin.PngImageFile)
        assert back.info == expected.info
        assert dict(back.getexif()) == dict(expected.getexif())


@pytest.mark.parametrize("rows", [3, 5])
def test_too_few_and_too_many_rows_are_refused(rows: int) -> None:
    with pytest.raises(
        ValueError, match=r"of a picture of \(4, 6, 3\)|does not fit a picture of \(4, 6, 3\)"
    ):
        list(encoded([noise(rows, 6, 3)], (6, 4)))


def test_bands_of_unlike_width_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        list(encoded([noise(2, 6, 3), noise(2, 5, 3)], (6, 4)))


def test_no_more_than_a_few_bands_are_held() -> None:
    pixels = noise(3000, 1000, 3)
    tracemalloc.start()
    for _ in encoded((pixels[top : top + 50] for top in range(0, 3000, 50)), (1000, 3000)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * pixels[:50].nbytes
