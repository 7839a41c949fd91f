"""Orientation and EXIF of one file in another; profiles and resolution."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import (
    EXIF,
    GRAY_PROFILE,
    LOSSLESS,
    Levels,
    alpha_levels,
    camera_exif,
    color_levels,
    forbid_decoding,
    noise,
    paletted,
    parsed,
    photo_of,
    rgb_profile,
    saved,
    smooth,
    with_chunk,
)
from PIL import ExifTags, Image

from restore.errors import ImageError
from restore.images import (
    from_pil,
    read,
    size_of,
    write,
)

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


def test_orientation_after_the_pixels_of_a_png_counts_for_the_size(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    content = tags.tobytes().removeprefix(b"Exif\0\0")
    for late in (False, True):
        path = with_chunk(tmp_path / "a.png", b"eXIf", content, late=late)
        assert read(path).color.shape[-2:] == (4, 6)
        assert size_of(path) == (6, 4)
