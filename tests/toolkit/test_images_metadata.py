"""Damaged, hostile and unusual metadata: what is sound of it is kept, and a note names the rest."""

from __future__ import annotations

import struct
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from restore.images import Photo, Provenance, losses, read, read_provenance, write, xmp

MADE = Provenance("ab" * 32, "enhancenet:e", "cd" * 32, (("scale", "4"),), "0.1.0")
Entry = tuple[int, int, int, bytes]
TEXT, LONG = 2, 4


def directory(entries: list[Entry], start: int) -> bytes:
    """A little-endian TIFF directory of (tag, type, count, value), values behind it."""
    head, tail = struct.pack("<H", len(entries)), b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        if len(value) <= 4:
            head += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            head += struct.pack("<HHII", tag, kind, count, behind + len(tail))
            tail += value + b"\0" * (len(value) % 2)
    return head + bytes(4) + tail


def text(tag: int, value: bytes) -> Entry:
    return tag, TEXT, len(value) + 1, value + b"\0"


def exif(main: list[Entry], camera: list[Entry], place: list[Entry]) -> bytes:
    main = [text(ExifTags.Base.Make, b"Acme"), text(ExifTags.Base.Artist, b"Jane Doe"), *main]
    camera = [text(ExifTags.Base.DateTimeOriginal, b"2020:01:02 03:04:05"), *camera]
    place = [text(ExifTags.GPS.GPSLatitudeRef, b"N"), *place]
    end = 8 + len(directory([*main, (0x8769, LONG, 1, bytes(4)), (0x8825, LONG, 1, bytes(4))], 8))
    inner = directory(camera, end)
    main += [
        (0x8769, LONG, 1, struct.pack("<I", end)),
        (0x8825, LONG, 1, struct.pack("<I", end + len(inner))),
    ]
    return b"Exif\0\0II*\0\x08\0\0\0" + directory(main, 8) + inner + directory(place, end + len(inner))


BAD: dict[str, tuple[list[Entry], list[Entry], list[Entry]]] = {
    "XResolution": ([text(ExifTags.Base.XResolution, b"300\x02")], [], []),
    "GPSLatitude": ([], [], [text(ExifTags.GPS.GPSLatitude, b"52 N")]),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
@pytest.mark.parametrize("name", BAD)
def test_of_damaged_exif_only_the_bad_tag_is_dropped_with_a_note(
    tmp_path: Path, name: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 8)).save(path, exif=exif(*BAD[name]))
    photo = read(path)
    assert photo.notes == (f"its damaged EXIF tags were dropped: {name}",)
    write(photo, tmp_path / f"b{suffix}", provenance=MADE)
    with Image.open(tmp_path / f"b{suffix}") as image:
        tags = image.getexif()
        camera, place = tags.get_ifd(ExifTags.IFD.Exif), tags.get_ifd(ExifTags.IFD.GPSInfo)
    assert (tags[ExifTags.Base.Make], tags[ExifTags.Base.Artist]) == ("Acme", "Jane Doe")
    assert camera[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
    assert place[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_exif_that_cannot_be_parsed_is_dropped_with_a_note(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense that is not TIFF")
    photo = read(tmp_path / "a.jpg")
    assert (photo.exif, photo.notes) == (None, ("its damaged EXIF was dropped",))


def packet(content: str, names: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {names}>{content}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    "content",
    [
        "<tiff:ImageWidth>" * 60_000,
        "<xmp:Thumbnails>" * 60_000,
        "<tiff:Make/>" * 90_000,
        "<!--" + "x" * 1_000_000 + "-->",
        '<rdf:Description rdf:about="" xmlns:restore=' * 25_000,
        "<tiff:Make>" * 90_000 + "</tiff:Make>" * 90_000,
        "".join(f'<a xmlns="u:{number}"/>' for number in range(50_000)),
        "<tiff:Make " + " ".join(f'a{number}="1"' for number in range(90_000)) + "/>",
    ],
    ids=[
        "unclosed sizes",
        "unclosed thumbnails",
        "many elements",
        "comment",
        "provenance",
        "nested",
        "namespaces",
        "attributes",
    ],
)
def test_a_megabyte_of_xmp_is_handled_in_a_second_of_processor_time(content: str) -> None:
    source = packet(content)
    assert len(source) > 900_000
    begun = time.process_time()
    kept = xmp.cleared(source)
    xmp.provenance_in(xmp.with_provenance(kept or source, "{}", "restorekit"))
    assert time.process_time() - begun < 2  # of which half a second is meant: machines differ


def test_a_long_editing_history_is_kept() -> None:
    ancestor = "<rdf:li>xmp.did:0123456789abcdef0123456789abcdef</rdf:li>"
    history = f"<tiff:Artist><rdf:Bag>{ancestor * 20_000}</rdf:Bag></tiff:Artist>"
    assert (xmp.cleared(packet(history)) or b"").count(b"xmp.did:") == 20_000


def test_entities_are_not_expanded() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]>'.encode() + packet("<tiff:Make>&e9;</tiff:Make>")
    assert xmp.cleared(bomb) is None
    assert xmp.provenance_in(xmp.with_provenance(bomb, "{}", "restorekit")) == "{}"


def test_xmp_that_is_not_well_formed_is_dropped_with_a_note(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=packet("<tiff:Make>"))
    photo = read(tmp_path / "a.jpg")
    assert photo.xmp is None
    (note,) = photo.notes
    assert note.startswith("its XMP was dropped: it is not well-formed")


def test_names_belong_to_their_namespace_whatever_their_prefix() -> None:
    source = packet(
        "<t:ImageWidth>5</t:ImageWidth><t:Orientation>6</t:Orientation><m:Orientation>6</m:Orientation>"
        '<m:Title xml:lang="de">Größe</m:Title>',
        'xmlns:t="http://ns.adobe.com/tiff/1.0/" xmlns:m="urn:mine#"',
    )
    kept = (xmp.cleared(source) or b"").decode()
    assert "ImageWidth" not in kept
    assert "tiff:Orientation>1<" in kept
    assert "m:Orientation>6<" in kept
    assert '<m:Title xml:lang="de">Größe</m:Title>' in kept


def test_two_namespaces_of_one_prefix_stay_apart() -> None:
    kept = xmp.cleared(packet('<a:B xmlns:a="urn:1#">1</a:B><a:B xmlns:a="urn:2#">2</a:B>'))
    assert kept is not None
    again = xmp.cleared(kept)
    assert again == kept
    assert kept.count(b"urn:1#") == kept.count(b"urn:2#") == 1


@pytest.mark.parametrize("text", ['{"a": "<b> & \\"c\\""}', "{}"])
def test_provenance_survives_any_characters_and_is_replaced(text: str) -> None:
    first = xmp.with_provenance(packet("<tiff:Make>A</tiff:Make>"), "{}", "restorekit")
    second = xmp.with_provenance(first, text, "restorekit")
    assert xmp.provenance_in(second) == text
    assert second.count(b"<restore:provenance>") == 1
    assert b"<tiff:Make>A</tiff:Make>" in second
    assert b"restore:provenance" not in (xmp.cleared(second) or b"")


def test_a_packet_without_end_is_no_provenance(tmp_path: Path) -> None:
    buffer = BytesIO()
    write(Photo(torch.rand(1, 3, 8, 8)), tmp_path / "a.webp", provenance=MADE)
    data = (tmp_path / "a.webp").read_bytes()
    buffer.write(data.replace(b"</rdf:RDF>", b"</rdf:RDX>"))
    (tmp_path / "b.webp").write_bytes(buffer.getvalue())
    assert read_provenance(tmp_path / "a.webp") == MADE
    assert read_provenance(tmp_path / "b.webp") is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra", "used"),
    [
        (4, "rgb", ["unspecified"], 3),
        (5, "rgb", ["unassalpha", "unspecified"], 4),
        (5, "minisblack", ["unspecified"] * 4, 1),
        (2, "minisblack", ["unspecified"], 1),
        (4, "rgb", ["unassalpha"], 4),
        (2, "minisblack", ["unassalpha"], 2),
        (3, "rgb", [], 3),
    ],
)
def test_channels_that_are_not_used_are_told(
    tmp_path: Path,
    dtype: type[np.uint8 | np.uint16],
    channels: int,
    photometric: str,
    extra: list[str],
    used: int,
) -> None:
    pixels = np.arange(8 * 8 * channels).astype(dtype).reshape(8, 8, channels)
    options: dict[str, Any] = {"extrasamples": extra} if extra else {}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, planarconfig="contig", **options)
    photo = read(tmp_path / "a.tif")
    verb = "was" if used == 1 else "were"
    told = (f"only {used} of its {channels} channels {verb} used",) if used < channels else ()
    assert photo.notes == told
    assert photo.gray == (photometric == "minisblack")
    full = 255 if dtype == np.uint8 else 65535
    assert torch.allclose(photo.color[0, 0].double() * full, torch.from_numpy(pixels[..., 0].astype(float)))


@pytest.mark.parametrize("gray", [False, True])
def test_bmp_keeps_alpha(tmp_path: Path, gray: bool) -> None:
    levels = torch.randint(0, 256, (1, 4, 5, 7), generator=torch.Generator().manual_seed(0)) / 255
    color = levels[:, :1].repeat(1, 3, 1, 1) if gray else levels[:, :3]
    write(Photo(color, levels[:, 3:], gray=gray, dpi=(300.0, 150.0)), tmp_path / "a.bmp")
    back = read(tmp_path / "a.bmp")
    assert back.alpha is not None
    assert back.color.equal(color)
    assert back.alpha.equal(levels[:, 3:])
    assert back.dpi == pytest.approx((300, 150), abs=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_shape_that_tifffile_describes_does_not_go_into_results(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.tif"
    artist = (ExifTags.Base.Artist.value, TEXT, 0, "Ada", True)
    tifffile.imwrite(path, np.zeros((4, 6, 3), dtype), photometric="rgb", extratags=[artist])
    assert b"shape" in path.read_bytes()
    found = read(path).exif
    assert found is not None
    assert b"Ada" in found
    assert b"shape" not in found
    tifffile.imwrite(path, np.zeros((4, 6, 3), dtype), photometric="rgb", description="a square in shape")
    assert b"a square in shape" in (read(path).exif or b"")


# What a format has no space for, and what no result keeps -----------------------------------------------


def long_packet(size: int) -> bytes:
    empty = xmp.with_provenance(None, "{}", "someone")
    return empty.replace(b"</rdf:RDF>", b'<rdf:Description dc="' + b"a" * size + b'"/></rdf:RDF>')


@pytest.mark.parametrize("size", [64_000, 70_000, 3_000_000])
def test_metadata_too_long_for_a_jpeg_are_shortened_with_a_note(tmp_path: Path, size: int) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Acme"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = bytes(size + 1400)
    photo = Photo(torch.rand(1, 3, 8, 8), exif=tags.tobytes(), xmp=long_packet(size))
    assert losses(photo, Path("a.png")) == ()
    assert losses(photo, Path("a.jpg")) == (
        "the EXIF data is too long for JPEG: its largest tags were dropped",
        "the XMP is too long for JPEG: it was dropped",
    )
    write(photo, tmp_path / "a.jpg", provenance=MADE)
    assert read_provenance(tmp_path / "a.jpg") == MADE
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif()[ExifTags.Base.Make] == "Acme"
        assert not image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.MakerNote)


def test_the_maker_s_notes_of_a_jpeg_reach_a_jpeg(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = bytes(range(250)) * 260
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=tags.tobytes())
    photo = read(tmp_path / "a.jpg")
    assert losses(photo, Path("b.jpg")) == ()
    write(photo, tmp_path / "b.jpg", provenance=MADE)
    with Image.open(tmp_path / "b.jpg") as image:
        kept = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote]
    assert kept == bytes(range(250)) * 260


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    added = b"".join(bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data for kind, data in segments)
    return buffer.getvalue()[:2] + added + buffer.getvalue()[2:]


def test_what_no_result_keeps_is_noted(tmp_path: Path) -> None:
    extended = b"http://ns.adobe.com/xmp/extension/\0" + b"a" * 32 + struct.pack(">2I", 4, 0) + b"<x/>"
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, 5) + b"\x1c\x02\x05\0\0\0"
    (tmp_path / "a.jpg").write_bytes(
        jpeg_with((0xE1, extended), (0xED, b"Photoshop 3.0\0" + resource), (0xFE, b"a walk"))
    )
    assert read(tmp_path / "a.jpg").notes == (
        "the extended part of its XMP was dropped",
        "its IPTC data was dropped",
        "its text was dropped: comment",
    )
    texts = PngInfo()
    for name in ("Software", "date:create", "Author", "parameters"):
        texts.add_text(name, "x")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=texts)
    assert read(tmp_path / "a.png").notes == ("its text was dropped: Author, parameters",)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".jpg"])
def test_a_result_has_nothing_to_note(tmp_path: Path, suffix: str) -> None:
    write(Photo(torch.rand(1, 3, 8, 8)), tmp_path / f"a{suffix}", provenance=MADE)
    assert read(tmp_path / f"a{suffix}").notes == ()


def test_the_pointer_to_an_extended_packet_is_removed_with_it() -> None:
    packet = long_packet(10).replace(
        b"<rdf:Description dc",
        b"<rdf:Description xmlns:n='http://ns.adobe.com/xmp/note/' n:HasExtendedXMP='AB' dc",
    )
    kept = xmp.cleared(packet)
    assert kept is not None
    assert b"HasExtendedXMP" in packet
    assert b"HasExtendedXMP" not in kept


@pytest.mark.parametrize(("bits", "shift"), [(10, 2), (12, 4)])
def test_bits_that_pillow_does_not_decode_are_noted(tmp_path: Path, bits: int, shift: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint16) << shift
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(levels, bitspersample=bits))
    (tmp_path / "a.jp2").write_bytes(
        imagecodecs.jpeg2k_encode(levels, bitspersample=bits, codecformat="jp2", level=0)
    )
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(levels << (8 - shift), lossless=True))
    for name, stored in (("a.avif", bits), ("a.jp2", bits), ("a.jxl", 16)):
        assert read(tmp_path / name).notes == (f"its {stored} bits per channel became 8",)
    (tmp_path / "b.avif").write_bytes(imagecodecs.avif_encode((levels >> shift).astype(np.uint8)))
    assert read(tmp_path / "b.avif").notes == ()


def test_a_heif_file_of_10_bits_gets_a_note(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    levels = np.random.default_rng(0).integers(0, 2**16, (64, 64, 3)).astype(np.uint16)
    pillow_heif.encode("RGB;16", (64, 64), levels.tobytes(), tmp_path / "a.heic", save_to_12bit=False)
    assert read(tmp_path / "a.heic").notes == ("its 10 bits per channel became 8",)
