"""Photos in files of every format: levels, sizes, and what goes wrong."""

from __future__ import annotations

import errno
import os
import tracemalloc
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from image_files import (
    ALPHA,
    LOSSLESS,
    LOSSY,
    alpha_levels,
    camera_exif,
    color_levels,
    flat,
    noise,
    paletted,
    photo_of,
    smooth,
)
from PIL import Image
from torch import Tensor

from restore.errors import ImageError
from restore.images import (
    WRITE_SUFFIXES,
    Photo,
    from_pil,
    is_image_name,
    read,
    to_pil,
    write,
    write_atomic,
)
from restore.images.png import BAND


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
    with pytest.raises(ImageError, match=r"cannot store its transparency; choose \.png or \.webp"):
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
    with pytest.raises(
        ImageError, match=rf"at most {longest} pixels per side, not 1 x {longest + 1}; choose"
    ):
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
    with pytest.raises(ImageError, match="No space left on device; free some space") as caught:
        write_atomic(Photo(flat()), path)
    assert str(path) in str(caught.value)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"old"


def test_what_the_encoder_refuses_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"the encoder failed \('utf-8' codec can't decode .*\); choose"):
        write(Photo(flat(), xmp=b"\xff"), path, small=True)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_place_that_is_no_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match=r"file/a\.png: cannot write it: "):
        write(Photo(flat()), tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="Is a directory"):
        write(Photo(flat()), tmp_path / "folder.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.png"]
