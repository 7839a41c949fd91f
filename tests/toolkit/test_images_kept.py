"""What a file carries besides 8-bit colors is still there when its picture has been through the toolkit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

import restore
from restore.batch import Job, run_all
from restore.errors import ImageError
from restore.images import (
    Animation,
    Photo,
    Provenance,
    formats,
    losses,
    read,
    read_all,
    read_provenance,
    stores_provenance,
    write,
    write_animation,
)
from restore.inference import Restorer

Levels = NDArray[Any]

MADE = Provenance("ab" * 32, "enhancenet:e", "cd" * 32, (("precision", "fp32"), ("scale", "4")), "0.1.0")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:Orientation="6" tiff:ImageWidth="12" '
    'tiff:XResolution="300/1"><dc:creator>Müller</dc:creator>'
    "<xmp:Thumbnails><rdf:Alt>small</rdf:Alt></xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
).encode()
CARRYING = [".png", ".jpg", ".webp", ".tif", ".avif", ".heic"]
CHANNELS = {1: "minisblack", 2: "minisblack", 3: "rgb", 4: "rgb"}


def noise(*shape: int, seed: int = 0) -> Levels:
    return np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)


def levels(photo: Photo, full: int = 65535) -> Levels:
    """(H, W, C) as a file would hold it."""
    planes = [photo.color[0, :1] if photo.gray else photo.color[0]]
    if photo.alpha is not None:
        planes.append(photo.alpha[0])
    joined = torch.cat(planes).permute(1, 2, 0).double()
    return (joined * full).round().numpy().astype(np.int64)


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Maker"
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Software] = "Old"
    tags[ExifTags.Base.XResolution] = tags[ExifTags.Base.YResolution] = 300.0
    tags[ExifTags.Base.ResolutionUnit] = 2
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return tags.tobytes()


def tags_of(path: Path) -> Image.Exif:
    """With those of the directories that are looked at."""
    with Image.open(path) as image:
        tags = image.getexif()
        tags.get_ifd(ExifTags.IFD.GPSInfo)
        tags.get_ifd(ExifTags.IFD.IFD1)
        return tags


def identity(photo: Photo) -> Photo:
    return restore.load("bicubic", scale=1, device="cpu").upscale(photo)


# Sixteen bits and floating point ----------------------------------------------------------------------


def deep_file(path: Path, pixels: Levels, **options: Any) -> Path:
    """By other libraries than the one that reads it back in the test below, where there is another."""
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(squeezed))
    else:
        extra: dict[str, Any] = {"extrasamples": ["unassalpha"]} if pixels.shape[2] in (2, 4) else {}
        tifffile.imwrite(path, squeezed, photometric=CHANNELS[pixels.shape[2]], **extra, **options)
    return path


def other_reader(path: Path) -> Levels:
    pixels = imagecodecs.png_decode(path.read_bytes()) if path.suffix == ".png" else tifffile.imread(path)
    return np.asarray(np.atleast_3d(pixels))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_come_back_exactly(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = noise(40, 50, channels)
    photo = read(deep_file(tmp_path / f"a{suffix}", pixels))
    assert (photo.bits, photo.gray, photo.alpha is not None) == (16, channels < 3, channels % 2 == 0)
    assert np.array_equal(levels(photo), pixels)
    write(photo, tmp_path / f"b{suffix}")
    back = other_reader(tmp_path / f"b{suffix}")
    assert back.dtype == np.uint16
    assert np.array_equal(back, pixels)
    assert len(np.unique(back)) > 256


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_used_by_the_enlarged_picture(tmp_path: Path, suffix: str, channels: int) -> None:
    ramp = np.linspace(1000, 60000, 40 * 50).reshape(40, 50, 1).repeat(channels, 2).astype(np.uint16)
    photo = read(deep_file(tmp_path / f"a{suffix}", ramp))
    write(restore.load("bicubic", scale=2, device="cpu").upscale(photo), tmp_path / f"b{suffix}")
    back = other_reader(tmp_path / f"b{suffix}")
    assert back.dtype == np.uint16
    assert back.shape == (80, 100, channels)
    assert all(len(np.unique(back[..., i] % 256)) > 200 for i in range(channels))  # the low bytes as well


@pytest.mark.parametrize("options", [{"compression": "lzw"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("layout", [{}, {"planarconfig": "separate"}, {"byteorder": ">"}, {"tile": (16, 16)}])
def test_deep_tiff_of_any_layout_is_read(
    tmp_path: Path, options: dict[str, Any], layout: dict[str, Any]
) -> None:
    pixels = noise(40, 50, 3)
    given = pixels.transpose(2, 0, 1) if "planarconfig" in layout else pixels
    tifffile.imwrite(tmp_path / "a.tif", given, photometric="rgb", **options, **layout)
    assert np.array_equal(levels(read(tmp_path / "a.tif")), pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_floating_point_stays(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).random((20, 30, channels), np.float32)
    photo = read(deep_file(tmp_path / "a.tif", pixels))
    assert photo.bits == 32
    write(photo, tmp_path / "b.tif")
    assert np.array_equal(other_reader(tmp_path / "b.tif"), pixels)
    assert losses(photo, tmp_path / "b.png") == ("PNG stores 16 bits per channel, not floating point",)
    with pytest.raises(ImageError, match="where 0 to 1 is expected"):
        read(deep_file(tmp_path / "c.tif", pixels * 2))


def test_what_16_bits_lose_is_told(tmp_path: Path) -> None:
    photo = read(deep_file(tmp_path / "a.png", noise(9, 9, 3)))
    assert losses(photo, Path("b.jpg")) == ("JPEG stores 8 bits per channel, not 16 bits",)
    assert losses(photo, Path("b.tif")) == losses(photo, Path("b.xyz")) == ()


@pytest.mark.parametrize(
    ("mode", "note"), [("1", "1-bit"), ("P", "palette"), ("CMYK", "CMYK"), ("L", ""), ("RGB", "")]
)
def test_what_reading_changes_is_told(tmp_path: Path, mode: str, note: str) -> None:
    Image.fromarray(noise(9, 9, 3).astype(np.uint8)).convert(mode).save(tmp_path / "a.tif")
    notes = read(tmp_path / "a.tif").notes
    assert (len(notes) == 1 and note in notes[0]) if note else notes == ()


def test_start_up_imports_no_library_for_deep_files() -> None:
    heavy = "{'tifffile', 'imagecodecs', 'pillow_heif', 'pillow_jxl'}"
    code = f"import sys, restore.images; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# EXIF, XMP, resolution, provenance --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", CARRYING)
def test_everything_is_kept_and_corrected(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(noise(32, 48, 3).astype(np.uint8)).save(
        tmp_path / "a.jpg", exif=exif(6), xmp=XMP, dpi=(300, 300), icc_profile=SRGB
    )
    photo = restore.load("bicubic", scale=2, device="cpu").upscale(read(tmp_path / "a.jpg"))
    assert photo.dpi == pytest.approx((600, 600))
    path = tmp_path / f"b{suffix}"
    write(photo, path, provenance=MADE)
    tags = tags_of(path)
    assert (tags[ExifTags.Base.Make], tags.get(ExifTags.Base.Orientation, 1)) == ("Maker", 1)
    assert float(tags[ExifTags.Base.XResolution]) == pytest.approx(600)
    assert str(tags[ExifTags.Base.Software]).startswith("restorekit")
    assert tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    back = read(path)
    assert back.color.shape[-2:] == (96, 64)
    assert back.dpi == pytest.approx((600, 600), abs=0.01)
    assert back.icc_profile == SRGB
    assert back.xmp is not None
    packet = back.xmp.decode()
    assert "Müller" in packet
    assert 'tiff:Orientation="1"' in packet
    assert 'tiff:XResolution="60000/100"' in packet
    assert not [word for word in ("ImageWidth", "Thumbnails", "restore:") if word in packet]
    assert read_provenance(path) == MADE


@pytest.mark.parametrize("suffix", [*CARRYING, ".gif"])
def test_provenance_is_written_and_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(Photo(torch.rand(1, 3, 16, 16)), path, provenance=MADE)
    assert read_provenance(path) == MADE
    again = replace(MADE, model="bicubic")
    write(read(path), path, provenance=again)
    assert read_provenance(path) == again
    write(read(path), path)
    assert read_provenance(path) is None


@pytest.mark.parametrize("suffix", [*CARRYING, ".gif", ".bmp", ".jxl"])
def test_strip_leaves_pixels_and_profile_alone(tmp_path: Path, suffix: str) -> None:
    photo = Photo(torch.rand(1, 3, 16, 16), exif=exif(), xmp=XMP, icc_profile=SRGB)
    write(photo, tmp_path / f"a{suffix}", provenance=MADE, strip=True)
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert not [word for word in (b"Maker", b"rdf:", b"restore", b"GPS", b"abababab") if word in data]
    assert read_provenance(tmp_path / f"a{suffix}") is None
    if suffix in CARRYING:
        assert read(tmp_path / f"a{suffix}").icc_profile == SRGB


@pytest.mark.parametrize("suffix", [*CARRYING, ".gif", ".bmp", ".jxl"])
def test_what_stores_the_provenance_gives_it_back(tmp_path: Path, suffix: str) -> None:
    write(Photo(torch.rand(1, 3, 16, 16)), tmp_path / f"a{suffix}", provenance=MADE)
    assert (read_provenance(tmp_path / f"a{suffix}") == MADE) == stores_provenance(Path(f"a{suffix}"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_result_is_synced_and_renamed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    restorer = restore.load("bicubic", scale=2, device="cpu")
    synced: list[int] = []
    renamed: list[Path] = []
    rename = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        renamed.append(target)
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(Path, "replace", replaced)
    (outcome,) = run_all([Job(tmp_path / "a.png", tmp_path / f"b{suffix}")], restorer)
    assert outcome.status == "done"
    assert len(synced) == 1
    assert renamed == [tmp_path / f"b{suffix}"]


def test_what_has_no_provenance_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "b.txt").write_text(json.dumps({"settings": 3}))
    (tmp_path / "c.gif").write_bytes(b"")
    Image.new("RGB", (3, 3)).save(tmp_path / "d.bmp")
    for path in (*tmp_path.iterdir(), tmp_path, tmp_path / "none.png"):
        assert read_provenance(path) is None


def test_a_thumbnail_is_dropped(tmp_path: Path) -> None:
    small = BytesIO()
    Image.new("RGB", (16, 12), "red").save(small, "JPEG")
    tags = exif()[6:]
    first = int.from_bytes(tags[4:8], "big")
    end = first + 2 + 12 * int.from_bytes(tags[first : first + 2], "big")
    entries = (513, len(tags) + 30), (514, len(small.getvalue()))
    directory = b"".join(
        tag.to_bytes(2, "big") + b"\0\4\0\0\0\1" + value.to_bytes(4, "big") for tag, value in entries
    )
    with_thumbnail = (
        tags[:end] + len(tags).to_bytes(4, "big") + tags[end + 4 :] + b"\0\2" + directory + bytes(4)
    )
    data = b"Exif\0\0" + with_thumbnail + small.getvalue()
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=data)
    assert tags_of(tmp_path / "a.jpg").get_ifd(ExifTags.IFD.IFD1)
    write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert not tags_of(tmp_path / "b.jpg").get_ifd(ExifTags.IFD.IFD1)
    assert tags_of(tmp_path / "b.jpg")[ExifTags.Base.Make] == "Maker"


@pytest.mark.parametrize(
    "packet", [b"<x>", b"\xff\xfe\0", b"", b"</rdf:RDF>" * 3, XMP[:200], XMP.decode().encode("utf-16")]
)
def test_odd_packets_do_no_harm(tmp_path: Path, packet: bytes) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=packet)
    write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg", provenance=MADE)
    assert read_provenance(tmp_path / "b.jpg") == MADE


@pytest.mark.parametrize(("suffix", "module"), [(".jxl", "pillow_jxl"), (".heic", "pillow_heif")])
def test_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    write(Photo(torch.rand(1, 3, 16, 16)), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").color.shape == (1, 3, 16, 16)
    monkeypatch.setitem(sys.modules, module, None)
    for use in (read, lambda path: write(Photo(torch.rand(1, 3, 16, 16)), path)):
        with pytest.raises(ImageError, match=r"not installed; install it with: pip install 'restorekit\["):
            use(tmp_path / f"a{suffix}")


# Animations -------------------------------------------------------------------------------------------


def frames(clear: bool = False) -> list[Image.Image]:
    """Flat frames with a square that moves, on nothing if `clear`."""
    pictures = []
    for index, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 200, 0)]):
        picture = Image.new("RGBA", (24, 16), (0, 0, 0, 0) if clear else (250, 250, 250, 255))
        picture.paste((*color, 255), (4 * index, 4, 4 * index + 8, 12))
        if clear:  # a hole, without which the encoder of WebP forgets that anything is clear
            picture.paste((0, 0, 0, 0), (4 * index + 3, 7, 4 * index + 5, 9))
        pictures.append(picture if clear else picture.convert("RGB"))
    return pictures


def shown(path: Path) -> tuple[list[Levels], list[float], Any]:
    """What a viewer shows: whole frames, their durations, and the loop count of the file."""
    with Image.open(path) as image:
        pictures, durations = [], []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            pictures.append(np.array(image.convert("RGBA")).astype(int))
            durations.append(image.info["duration"])
        return pictures, durations, image.info.get("loop")


@pytest.mark.parametrize("source", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("target", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("clear", [False, True])
def test_an_animation_keeps_frames_durations_and_loop(
    tmp_path: Path, source: str, target: str, clear: bool
) -> None:
    pictures, durations = frames(clear), [40, 100, 250, 70]
    options: dict[str, Any] = {"lossless": True} if source == ".webp" else {}
    options |= {"disposal": 2} if source == ".gif" and clear else {}
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"a{source}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=2, **options)
    job = Job(path, tmp_path / f"b{target}")
    (outcome,) = run_all([job], restore.load("bicubic", scale=2, device="cpu"))
    soft = ("GIF cannot store partial transparency",) if clear and target == ".gif" else ()
    assert (outcome.status, outcome.notes) == ("done", soft)
    got, times, loop = shown(job.destination)
    assert times == durations
    assert loop == 2 + (source == ".gif") - (target == ".gif")
    for picture, back in zip(pictures, got, strict=True):
        expected = np.array(picture.convert("RGBA").resize((48, 32), Image.Resampling.NEAREST)).astype(int)
        inner = (slice(12, 20), slice(2, 46))  # rows away from the edges that a filter softens
        difference = np.abs(back - expected)[inner]
        visible = expected[inner][..., 3:] > 0
        assert np.median(difference * visible) <= 6
        assert (np.abs(back - expected)[..., 3] > 200).mean() < 0.05  # nothing of the last frame is left


def test_an_animation_that_plays_once_plays_once(tmp_path: Path) -> None:
    frames()[0].save(tmp_path / "a.gif", save_all=True, append_images=frames()[1:], duration=50)
    animation = read_all(tmp_path / "a.gif")
    assert isinstance(animation, Animation)
    assert animation.plays == 1
    for suffix, loop in ((".gif", None), (".webp", 1), (".png", 1)):
        write_animation(animation, tmp_path / f"b{suffix}", provenance=MADE)
        assert shown(tmp_path / f"b{suffix}")[2] == loop
        assert read_provenance(tmp_path / f"b{suffix}") == MADE
    with pytest.raises(ImageError, match="JPEG cannot store animations"):
        write_animation(animation, tmp_path / "b.jpg")


def test_all_frames_together_count_for_the_limit(tmp_path: Path) -> None:
    frames()[0].save(tmp_path / "a.gif", save_all=True, append_images=frames()[1:])
    assert isinstance(read(tmp_path / "a.gif", max_pixels=24 * 16), Photo)
    with pytest.raises(ImageError, match=r"24 x 16 in 4 frames.*`max_pixels` to 1536"):
        read_all(tmp_path / "a.gif", max_pixels=24 * 16)


# Lossless formats lose nothing ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_to_one() -> Callable[[Photo], Photo]:
    restorer = restore.load("bicubic", scale=1, device="cpu")
    assert isinstance(restorer, Restorer)
    return restorer.upscale


@settings(max_examples=60, deadline=None)
@given(
    suffix=st.sampled_from([".png", ".tif", ".tiff"]),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    channels=st.integers(1, 4),
    bits=st.sampled_from([8, 16, 32]),
    carries=st.booleans(),
    seed=st.integers(0, 99),
)
def test_scale_1_of_an_identity_loses_nothing(  # noqa: PLR0913, PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    one_to_one: Callable[[Photo], Photo],
    suffix: str,
    height: int,
    width: int,
    channels: int,
    bits: Literal[8, 16, 32],
    carries: bool,
    seed: int,
) -> None:
    bits = 16 if (bits, suffix) == (32, ".png") else bits
    folder = tmp_path_factory.mktemp("identity")
    full = 2.0 ** min(bits, 24) - 1
    values = np.random.default_rng(seed).integers(0, int(full) + 1, (channels, height, width)) / full
    if channels % 2 == 0:
        values[-1] = np.maximum(values[-1], 1 / full)  # what nobody sees has no color
    planes = torch.from_numpy(values)[None].float()
    gray, alpha = channels < 3, planes[:, -1:] if channels % 2 == 0 else None
    color = planes[:, :1].repeat(1, 3, 1, 1) if gray else planes[:, :3]
    along: dict[str, Any] = {}
    if carries:
        along = {"exif": exif(), "xmp": XMP, "dpi": (300.0, 300.0), "icc_profile": None if gray else SRGB}
    write(Photo(color, alpha, gray, bits, **along), folder / f"a{suffix}")
    first = read(folder / f"a{suffix}")
    write(one_to_one(first), folder / f"b{suffix}")
    second = read(folder / f"b{suffix}")
    rounding = 1e-7 if bits == 32 else 0.0  # of the mean of three gray channels
    assert (first.color - second.color).abs().max() <= rounding
    assert (first.color - color).abs().max() < 1e-6
    assert (first.alpha is None) == (alpha is None)
    if first.alpha is not None and second.alpha is not None:
        assert torch.equal(first.alpha, second.alpha)
    for name in ("gray", "bits", "icc_profile", "exif", "xmp", "dpi"):
        assert getattr(first, name) == getattr(second, name)


# The table in the documentation -----------------------------------------------------------------------

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "file-formats.md"
BEGIN, END = "<!-- formats -->\n", "<!-- /formats -->"


def row(suffix: str, folder: Path) -> str:
    """What a file of this name holds, found out by writing and reading one."""
    path = folder / f"a{suffix}"

    def back(photo: Photo, **options: Any) -> Photo | None:
        try:
            write(photo, path, **options)
        except ImageError:
            return None
        return read(path)

    deep = Photo(torch.linspace(0.1, 0.9, 3 * 64 * 64).reshape(1, 3, 64, 64), bits=16)
    floating = back(replace(deep, bits=32))
    sixteen = back(deep)
    assert sixteen is not None
    assert floating is not None
    bits = "8" + ", 16" * (sixteen.bits == 16) + ", float" * (floating.bits == 32)
    exact = Photo((torch.rand(1, 3, 16, 16) * 255).round() / 255)
    same = back(exact)
    assert same is not None
    few = Photo(torch.eye(16).expand(1, 3, 16, 16))
    simple = back(few)
    assert simple is not None
    pixels = "lossless" if torch.allclose(same.color, exact.color) else "lossy"
    if pixels == "lossy" and torch.allclose(simple.color, few.color, atol=1e-4) and suffix == ".gif":
        pixels = "256 colors"
    gray = back(Photo(torch.full((1, 3, 16, 16), 0.5), gray=True))
    assert gray is not None
    alpha = back(replace(exact, alpha=torch.full((1, 1, 16, 16), 0.7)))
    transparency = "-"
    if alpha is not None:
        partial = alpha.alpha is not None and abs(float(alpha.alpha.mean()) - 0.7) < 0.05
        transparency = "yes" if partial else "on or off"
    full = back(replace(exact, exif=exif(), xmp=XMP, icc_profile=SRGB, dpi=(200.0, 200.0)), provenance=MADE)
    assert full is not None
    moving = "yes" if formats.format_of(path).animated else "-"
    kept = [
        "yes" if found else "-"
        for found in (full.icc_profile == SRGB, full.exif, full.xmp, full.dpi, read_provenance(path))
    ]
    cells = [suffix, bits, pixels, "yes" if gray.gray else "as RGB", transparency, *kept, moving]
    return "| " + " | ".join(cells) + " |\n"


def test_the_table_of_formats_is_what_the_files_hold(tmp_path: Path) -> None:
    head = (
        "| | bits | pixels | gray | transparency | ICC | EXIF | XMP | resolution | provenance | animation |\n"
    )
    suffixes = [".png", ".tif", ".jpg", ".webp", ".avif", ".jxl", ".heic", ".gif", ".bmp"]
    table = head + "| --- " * 11 + "|\n" + "".join(row(suffix, tmp_path) for suffix in suffixes)
    text = DOCUMENT.read_text()
    written = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert written == table, f"put this table into {DOCUMENT.name}:\n{table}"
