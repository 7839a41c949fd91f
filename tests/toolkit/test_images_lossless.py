"""What was stored exactly is written exactly, or a note says otherwise."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from restore.images import Animation, losses, read, read_all, write, write_animation
from restore.images.lossless import is_lossless

PIXELS = np.random.default_rng(0).integers(0, 256, (33, 70, 4), np.uint8)


def stored(path: Path, channels: int, *, lossless: bool) -> Path:
    write_format = {".webp": "WEBP", ".jxl": "JXL"}[path.suffix]
    if path.suffix == ".jxl":
        import pillow_jxl  # noqa: F401 - registers the format with Pillow
    pixels = PIXELS[..., :channels]
    Image.fromarray(pixels.squeeze()).save(path, write_format, lossless=lossless, exact=True)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".jxl"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_lossless_file_stays_lossless(tmp_path: Path, suffix: str, channels: int) -> None:
    photo = read(stored(tmp_path / f"a{suffix}", channels, lossless=True))
    assert photo.lossless
    assert losses(photo, tmp_path / f"b{suffix}") == ()
    write(photo, tmp_path / f"b{suffix}")
    back = read(tmp_path / f"b{suffix}")
    assert back.lossless
    assert back.color.equal(photo.color)
    assert (back.alpha is None) == (photo.alpha is None)


@pytest.mark.parametrize("suffix", [".webp", ".jxl"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_lossy_file_stays_lossy(tmp_path: Path, suffix: str, channels: int) -> None:
    photo = read(stored(tmp_path / f"a{suffix}", channels, lossless=False))
    assert not photo.lossless
    write(photo, tmp_path / f"b{suffix}")
    assert not read(tmp_path / f"b{suffix}").lossless


def test_a_quality_that_is_asked_for_counts_more(tmp_path: Path) -> None:
    photo = read(stored(tmp_path / "a.webp", 3, lossless=True))
    write(photo, tmp_path / "b.webp", quality=80)
    assert not read(tmp_path / "b.webp").lossless


def test_the_best_quality_of_jpeg_xl_is_exact(tmp_path: Path) -> None:
    photo = read(stored(tmp_path / "a.webp", 3, lossless=True))
    write(photo, tmp_path / "b.jxl", quality=100)
    again = read(tmp_path / "b.jxl")
    assert again.lossless
    assert again.color.equal(photo.color)


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_a_lossless_file_of_a_format_without_lossless_encoder_gets_a_note(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(PIXELS[..., :3], level=100))
    photo = read(tmp_path / "a.avif")
    assert photo.lossless
    (note,) = losses(photo, tmp_path / f"b{suffix}")
    assert note.endswith("is written with lossy compression, although the original is lossless")
    assert losses(photo, tmp_path / "b.png") == ()
    write(photo, tmp_path / "b.avif")
    assert not read(tmp_path / "b.avif").lossless


def test_an_animation_stays_lossless(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(PIXELS[..., :3], shift, 1)) for shift in (0, 5, 9)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    animation = read_all(tmp_path / "a.webp")
    assert isinstance(animation, Animation)
    write_animation(animation, tmp_path / "b.webp")
    again = read_all(tmp_path / "b.webp")
    assert isinstance(again, Animation)
    for before, after in zip(animation.frames, again.frames, strict=True):
        assert before.color.equal(after.color)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (33, 70), (300, 200)])
def test_the_header_of_jpeg_xl_says_whether_it_is_lossless(
    tmp_path: Path, channels: int, container: bool, lossless: bool, size: tuple[int, int]
) -> None:
    pixels = np.zeros((*size, channels), np.uint8).squeeze()
    content = imagecodecs.jpegxl_encode(pixels, lossless=lossless, usecontainer=container)
    (tmp_path / "a.jxl").write_bytes(content)
    with (tmp_path / "a.jxl").open("rb") as file:
        assert is_lossless(file) == lossless


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WEBP", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n"])
def test_a_file_without_content_is_not_lossless(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as file:
        assert not is_lossless(file)
