"""Frames, images in Pillow's memory, and names of image files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from image_files import camera_exif, color_levels, flat, noise, parsed, rgb_profile, saved
from PIL import ExifTags, Image

from restore.images import (
    READ_SUFFIXES,
    WRITE_SUFFIXES,
    Photo,
    from_pil,
    is_image_name,
    read,
    to_pil,
    write,
)
from restore.images.formats import HEIC, JXL, enable


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
    enable(JXL)
    enable(HEIC)
    openable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert openable >= READ_SUFFIXES >= WRITE_SUFFIXES
