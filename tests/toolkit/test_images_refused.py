"""Files that are refused, each with a reason."""

from __future__ import annotations

import errno
import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import camera_exif, color_levels, forbid_decoding, noise, png, saved, smooth
from PIL import Image

from restore.errors import ImageError
from restore.images import (
    check,
    from_pil,
    read,
    read_all,
    read_levels,
    size_of,
)


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
    sentence = refused(tmp_path / "a.png")
    assert "it is not an image in a format that is supported" in sentence
    assert "Pillow" not in sentence


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
