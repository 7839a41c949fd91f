"""JPEG files that were cut off are recognized although they end properly."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.errors import ImageError
from restore.images import is_cut_off, read

NOTE = "its file was cut off: the lower part of the image is missing"
LACKS_DETAILS = "its file was cut off: details or the lower part are missing"
EOI = b"\xff\xd9"
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "many restarts": {"restart_marker_blocks": 5},
    "low quality": {"quality": 10},
    "full color": {"subsampling": 0, "quality": 95},
}


def picture(mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:200, :300]
    levels = np.stack([60 + x % 180, 200 - y % 150, 90 + (x + y) % 100], -1)
    noise = np.random.default_rng(0).normal(0, 6, levels.shape)
    return Image.fromarray((levels + noise).clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_cut_jpeg_that_ends_properly_is_recognized(tmp_path: Path, mode: str, name: str) -> None:
    content = encoded(picture(mode), **OPTIONS[name])
    (tmp_path / "whole.jpg").write_bytes(content)
    assert not is_cut_off(tmp_path / "whole.jpg")
    assert read(tmp_path / "whole.jpg").notes == (("its CMYK became RGB of 8 bits",) * (mode == "CMYK"))
    for part in (0.5, 0.7, 0.9):
        cut = content[: int(len(content) * part)].rstrip(b"\xff") + EOI
        (tmp_path / "cut.jpg").write_bytes(cut)
        assert is_cut_off(tmp_path / "cut.jpg")
        try:
            assert {NOTE, LACKS_DETAILS} & set(read(tmp_path / "cut.jpg").notes)
        except ImageError:  # Pillow notices some
            assert name == "progressive"


@pytest.mark.parametrize("color", ["white", "gray", "black"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_flat_lower_part_is_no_sign_of_a_cut(tmp_path: Path, color: str, name: str) -> None:
    image = picture()
    image.paste(color, (0, 90, 300, 200))
    (tmp_path / "a.jpg").write_bytes(encoded(image, **OPTIONS[name]))
    assert not is_cut_off(tmp_path / "a.jpg")


def test_what_follows_the_picture_is_no_sign_of_a_cut(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture()) + b"a trailer" * 100)
    assert not is_cut_off(tmp_path / "a.jpg")


def test_a_jpeg_with_a_thumbnail_is_judged_by_its_picture(tmp_path: Path) -> None:
    thumbnail = encoded(picture().resize((32, 20)))
    content = encoded(picture(), exif=b"Exif\0\0" + thumbnail)
    (tmp_path / "a.jpg").write_bytes(content)
    assert not is_cut_off(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(content[:-3000] + EOI)
    assert is_cut_off(tmp_path / "b.jpg")


def test_only_a_jpeg_can_be_cut_off_in_this_way(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no image at all" + EOI)
    for path in (*tmp_path.iterdir(), tmp_path, tmp_path / "none.jpg"):
        assert not is_cut_off(path)
    (tmp_path / "c.jpg").write_bytes(encoded(picture())[:-1000])
    assert is_cut_off(tmp_path / "c.jpg")


def scan_starts(content: bytes) -> list[int]:
    return [found.start() for found in re.finditer(rb"\xff\xda", content)]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_that_was_cut_between_two_scans_is_recognized(tmp_path: Path, mode: str) -> None:
    content = encoded(picture(mode), progressive=True)
    starts = scan_starts(content)
    assert len(starts) > 4
    for start in starts[1:]:
        (tmp_path / "between.jpg").write_bytes(without_tables(content[:start]) + EOI)
        assert is_cut_off(tmp_path / "between.jpg")
        assert (
            "its file was cut off: details or the lower part are missing"
            in read(tmp_path / "between.jpg").notes
        )


def without_tables(content: bytes) -> bytes:
    """Without the Huffman table that belongs to the next scan."""
    place = content.rfind(b"\xff\xc4")
    last_scan = content.rfind(b"\xff\xda")
    return content[:place] if place > last_scan else content
