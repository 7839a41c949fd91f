"""A file's headers decide how much memory and time it may take, before anything is decoded."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_files import with_chunk
from PIL import Image

from restore.errors import ImageError
from restore.images import Animation, Photo, check, header_of, read, read_all, read_levels, size_of, suffix_of
from restore.images.failures import is_out_of_memory
from restore.images.headers import MAX_PAGES, gif_canvas, tiff_pages
from restore.images.jxl import read_header
from restore.images.limits import MAX_PIXELS, DeclaredSize, check_declared_size

Upscale = Callable[..., Any]

SMALL = {
    256: (4, 8),
    257: (4, 8),
    258: (3, 8),
    259: (3, 1),
    262: (3, 1),
    273: (4, 8),
    277: (3, 1),
    278: (4, 8),
    279: (4, 64),
}
"""Tag -> type and value of a page of 8 x 8 gray pixels, stored in one strip at byte 8."""


def directory(tags: dict[int, tuple[int, int]], following: int = 0) -> bytes:
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items())
    )
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def tiff(changed: dict[int, tuple[int, int]], without: tuple[int, ...] = ()) -> bytes:
    tags = {tag: value for tag, value in (SMALL | changed).items() if tag not in without}
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + directory(tags)


def pages(count: int, last: int = 0) -> bytes:
    """A TIFF file of `count` pages, the last of which points to the offset `last`."""
    content = bytearray(b"II*\0" + struct.pack("<I", 72) + bytes(64))
    size = 6 + 12 * len(SMALL)
    for index in range(count):
        content += directory(SMALL, last if index == count - 1 else len(content) + size)
    return bytes(content)


def png(width: int = 8, height: int = 8, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height) if width * height < 10**6 else b"")
    parts = [(b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def gif(screen: tuple[int, int], frames: list[tuple[int, int, int, int]]) -> bytes:
    content = b"GIF89a" + struct.pack("<2H3B", *screen, 0x80, 0, 0) + bytes(6)
    for frame in frames:
        content += b"," + struct.pack("<4HB", *frame, 0) + b"\x02\x02\x44\x01\0"
    return content + b";"


def icon(inner: bytes) -> bytes:
    entry = struct.pack("<4B2H2I", 16, 16, 0, 0, 1, 32, len(inner), 22)
    return b"\0\0\1\0\1\0" + entry + inner


def icns(inner: bytes) -> bytes:
    return b"icns" + struct.pack(">I", 16 + len(inner)) + b"ic07" + struct.pack(">I", 8 + len(inner)) + inner


def webp(width: int, height: int) -> bytes:
    """An animation without frames on a canvas."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


TILES = (273, 278, 279)
BITMAP = struct.pack("<IiiHHIIiiII", 40, 30000, 60000, 1, 32, 0, 0, 0, 0, 0, 0)
BOMBS = {
    "samples.tif": tiff({256: (4, 65535), 257: (4, 900), 277: (3, 65535)}),
    "few-samples.tif": tiff({256: (4, 9000), 257: (4, 9000), 277: (3, 40), 258: (3, 16)}),
    "tile.tif": tiff({322: (4, 65520), 323: (4, 65520), 324: (4, 8), 325: (4, 64)}, without=TILES),
    "png.ico": icon(png(30000, 30000)),
    "bitmap.ico": icon(BITMAP),
    "png.icns": icns(png(30000, 30000)),
    "jpeg2000.icns": icns(b"\xff\x4f\xff\x51" + struct.pack(">2H4I", 47, 0, 30000, 30000, 0, 0) + bytes(40)),
    "canvas.webp": webp(65536, 65535),
    "screen.gif": gif((65535, 65535), [(0, 0, 1, 1)]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_a_header_claims_is_refused_before_decoding(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    assert path.stat().st_size < 300
    readers: list[Callable[[Path], Any]] = [read, read_all, read_levels, check]
    tracemalloc.start()
    try:
        for reader in readers:
            with pytest.raises(ImageError, match=r"would take [\d.]+ .iB of memory.*`max_pixels` to \d+"):
                reader(path)
        with pytest.raises(ImageError, match="would take"):
            size_of(path, max_pixels=MAX_PIXELS)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_a_batch_and_its_preview_refuse_a_bomb_and_do_the_rest(tmp_path: Path, upscale: Upscale) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bomb.tif").write_bytes(BOMBS["samples.tif"])
    for name in ("a.png", "z.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    for options in (["--dry-run"], []):
        done = upscale(folder, "-o", tmp_path / "out", *options)
        assert done.returncode == 1
        assert "bomb.tif: decoding it (65535 x 900) would take 3.5 TiB of memory" in done.stderr
        assert "set --max-pixels to 241584537657" in done.stderr
        assert "More samples" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "z.png"]


def test_the_estimate_of_an_animation_counts_all_frames(tmp_path: Path, upscale: Upscale) -> None:
    frames = [Image.new("RGB", (200, 100), (shade, 0, 0)) for shade in range(0, 250, 10)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    memory = {}
    for suffix in (".gif", ".jpg"):  # the memory of the process, which is included, only grows
        done = upscale(tmp_path / "a.gif", "-o", tmp_path / f"b{suffix}", "--dry-run", "--json")
        memory[suffix] = done.rows[0]["memory"]
    assert memory[".gif"] - memory[".jpg"] > 24 * 4 * 200 * 100 * 16 / 2


def test_the_limit_that_a_message_names_allows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(BOMBS["few-samples.tif"])
    with pytest.raises(ImageError) as caught:
        header_of(path, max_pixels=MAX_PIXELS)
    named = int(caught.value.hint.split()[3])
    assert header_of(path, max_pixels=named).declared.memory == 9000 * 9000 * 80
    with pytest.raises(ImageError):
        header_of(path, max_pixels=named - 1)


def test_an_ordinary_image_of_any_mode_may_have_as_many_pixels_as_the_limit() -> None:
    for pixel_bytes in (1, 3, 4, 6, 8, 12, 16):
        check_declared_size(DeclaredSize(1000, MAX_PIXELS // 1000, pixel_bytes), MAX_PIXELS)
        with pytest.raises(ImageError):
            check_declared_size(DeclaredSize(1000, MAX_PIXELS // 1000 + 1, pixel_bytes), MAX_PIXELS)


def test_a_tile_larger_than_a_small_image_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tile = {322: (4, 256), 323: (4, 256), 324: (4, 8), 325: (4, 64)}
    path.write_bytes(tiff(tile, without=TILES))
    assert size_of(path, max_pixels=64) == (8, 8)


@pytest.mark.parametrize("kind", ["JXL", "container"])
def test_jpeg_xl_is_measured_before_it_is_decoded(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pillow_jxl")
    path = tmp_path / "a.jxl"
    options = {} if kind == "JXL" else {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0", "use_container": True}
    Image.new("RGB", (300, 200)).save(path, "JXL", effort=1, **options)
    with path.open("rb") as file:
        header = read_header(file)
    assert header is not None
    assert (header.width, header.height) == (300, 200)
    with pytest.raises(ImageError, match="more than 1000 pixels"):
        read(path, max_pixels=1000)
    path.write_bytes(path.read_bytes()[:14])
    with pytest.raises(ImageError):
        read(path)
    assert suffix_of(path) in {".jxl", ".png"}


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (1000, 750), (70000, 3), (256, 256)])
def test_sizes_of_jpeg_xl_are_those_that_its_encoder_wrote(tmp_path: Path, size: tuple[int, int]) -> None:
    pytest.importorskip("pillow_jxl")
    Image.new("L", size).save(tmp_path / "a.jxl", "JXL", effort=1)
    with (tmp_path / "a.jxl").open("rb") as file:
        header = read_header(file)
    assert header is not None
    assert (header.width, header.height) == size


def test_a_frame_beyond_the_screen_of_a_gif_counts_and_is_cropped(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(gif((4, 4), [(0, 0, 1, 1), (10, 20, 1, 1)]))
    with path.open("rb") as file:
        assert gif_canvas(file) == (11, 21, 2)
    with pytest.raises(ImageError, match=r"11 x 21 in 2 frames"):
        read_all(path, max_pixels=400)
    animation = read_all(path)
    assert isinstance(animation, Animation)
    assert {frame.color.shape for frame in animation.frames} == {(1, 3, 4, 4)}
    assert isinstance(read(path, max_pixels=16), Photo)


def test_thousands_of_frames_count_with_what_each_takes(tmp_path: Path) -> None:
    animated = (b"acTL", struct.pack(">2I", 4_000_000, 0))
    (tmp_path / "a.png").write_bytes(png(8, 8, animated))
    with pytest.raises(ImageError, match="8 x 8 in 400000"):
        read_all(tmp_path / "a.png")
    declared = header_of(tmp_path / "a.png", all_frames=True).declared
    assert declared.frames >= 4_000_000
    assert declared.memory > 4_000_000 * 8 * 8 * 4


def test_pages_of_tiff_are_counted_as_pillow_does(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8))] * 5
    for name, big in (("a.tif", False), ("big.tif", True)):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], big_tiff=big)
        with Image.open(tmp_path / name) as image:
            assert getattr(image, "n_frames", None) == 5
        assert read(tmp_path / name).frames == 5


def test_a_chain_of_pages_is_counted_in_bounded_time(tmp_path: Path) -> None:
    chains = {"loop": (pages(3, 72), 3), "self": (pages(1, 72), 1), "outside": (pages(2, 2**32 - 2), 2)}
    for content, count in chains.values():
        assert tiff_pages(io.BytesIO(content)) == count
    path = tmp_path / "a.tif"
    path.write_bytes(pages(10_000))
    begin = time.process_time()
    assert read(path).frames == 10_000
    assert time.process_time() - begin < 2
    assert tiff_pages(io.BytesIO(pages(MAX_PAGES + 7))) == MAX_PAGES


@pytest.mark.parametrize("kind", [2, 5])
def test_exif_with_thousands_of_tags_is_dropped_with_a_note(tmp_path: Path, kind: int) -> None:
    tags = dict.fromkeys(range(1000, 60000), (kind, 1))
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8, (b"eXIf", b"II*\0" + struct.pack("<I", 8) + directory(tags))))
    begin = time.process_time()
    photo = read(path)
    assert time.process_time() - begin < 2
    assert photo.exif is None
    assert any("EXIF" in note for note in photo.notes)


def test_a_tiff_file_with_thousands_of_tags_is_read_in_bounded_time(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(dict.fromkeys(range(33000, 48000), (3, 1))))
    begin = time.process_time()
    assert read(path).color.shape == (1, 3, 8, 8)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("tag", [256, 257, 277, 322, 323])
def test_a_size_of_many_numbers_is_refused(tmp_path: Path, tag: int) -> None:
    tags = SMALL | {277: (3, 5), 322: (4, 16), 323: (4, 16), 324: (4, 8), 325: (4, 64)}
    entries = b"".join(
        struct.pack("<HHII", each, kind, 16 if each == tag else 1, 8 if each == tag else value)
        for each, (kind, value) in sorted(tags.items())
    )
    content = b"II*\0" + struct.pack("<I", 72) + b"\1\1\1\1" * 16 + struct.pack("<H", len(tags)) + entries
    (tmp_path / "a.tif").write_bytes(content + bytes(4))
    with pytest.raises(ImageError, match="damaged"):
        read(tmp_path / "a.tif")


def test_a_jpeg_of_thousands_of_scans_is_refused_and_one_of_a_hundred_is_not(tmp_path: Path) -> None:
    def with_scans(side: int, count: int) -> Path:
        Image.new("RGB", (side, side)).save(tmp_path / "a.jpg", progressive=True)
        content = (tmp_path / "a.jpg").read_bytes()
        last = content[content.rindex(b"\xff\xc4") : -2]
        (tmp_path / "a.jpg").write_bytes(content[:-2] + last * count + b"\xff\xd9")
        return tmp_path / "a.jpg"

    assert read(with_scans(64, 100)).color.shape == (1, 3, 64, 64)
    readers: list[Callable[[Path], Any]] = [read, read_levels, read_all]
    for reader in readers:
        with pytest.raises(ImageError, match=r"20\d\d scans of 4000 x 4000 pixels take too long to decode"):
            reader(with_scans(4000, 2000))


def test_a_profile_that_expands_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8, (b"iCCP", b"a\0\0" + zlib.compress(bytes(20 << 20)))))
    with pytest.raises(ImageError, match=r"more than 1 MiB; remove its metadata"):
        read(path)


def test_lack_of_memory_in_a_decoder_is_said_and_what_it_held_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    kept: list[Any] = []

    class Buffer:
        def __del__(self) -> None:
            kept.append("freed")

    def exhausted(self: Image.Image) -> None:
        buffer = Buffer()  # noqa: F841  (held by the frame alone)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Image.Image, "load", exhausted)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", exhausted)
    with pytest.raises(ImageError, match="not enough memory") as caught:
        read(tmp_path / "a.png")
    assert caught.value.path == tmp_path / "a.png"
    assert kept == ["freed"]
    assert not is_out_of_memory(RuntimeError("the file is truncated"))


@pytest.mark.parametrize("late", [False, True])
def test_a_png_of_thousands_of_chunks_is_refused_at_once(tmp_path: Path, late: bool) -> None:
    empty = bytes(4) + b"abCd" + zlib.crc32(b"abCd").to_bytes(4, "big")
    data = with_chunk(tmp_path / "a.png", b"abCd", b"", late=late).read_bytes()
    (tmp_path / "b.png").write_bytes(data.replace(empty, empty * 200_000))
    begin = time.process_time()
    with pytest.raises(ImageError, match="more than 10000 chunks"):
        read(tmp_path / "b.png")
    assert time.process_time() - begin < 2  # Pillow alone takes more than five seconds
    (tmp_path / "c.png").write_bytes(data.replace(empty, empty * 5000))
    assert read(tmp_path / "c.png").color.shape == (1, 3, 6, 4)
