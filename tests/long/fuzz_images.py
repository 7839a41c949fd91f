"""Damage valid image files, and check that reading them returns a photo or raises `ImageError`.

::

    python tests/long/fuzz_images.py --count 10000

Bytes are changed, removed, duplicated and copied from other files, by seed. Half of the files are damaged in
their structure instead: entries of TIFF and EXIF directories, frames of GIF, entries of ICO, headers of BMP
and tags of ICC profiles get extreme values, XMP gets strange elements, and checksums of PNG are corrected, so
that the damage is reached. Each file is read in a process with limited memory and time. A crash, a hang, a
lack of memory or any exception but `ImageError` is reported with its seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms

SECONDS = 20
CPU_SECONDS = 3
MEMORY = 3 * 2**29  # address space for reading, in addition to that of the process at its start
PIXELS = 4_000_000

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)

__all__ = ["corpus", "fuzz", "mutated", "restructured"]


def corpus() -> list[tuple[str, bytes]]:
    """Return valid files of every supported format and pixel format."""
    random = np.random.default_rng(0)
    picture = Image.fromarray(
        np.kron(random.integers(0, 256, (8, 10, 3), np.uint8), np.ones((5, 5, 1), np.uint8))
    )
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Maker", 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    kinds = {
        "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
        "tif": ["1", "L", "P", "RGB", "RGBA", "CMYK", "F"],
        "jpg": ["L", "RGB", "CMYK"],
        "gif": ["L", "P"],
        "bmp": ["RGB"],
    }
    kinds |= {suffix: ["RGB", "RGBA"] for suffix in ("webp", "avif")}
    kinds |= {suffix: ["RGB"] for suffix in ("tga", "ppm", "pcx", "ico", "jp2", "qoi", "dds", "sgi")}
    files: list[tuple[str, bytes]] = []
    with tempfile.TemporaryDirectory() as folder:

        def save(suffix: str, image: Image.Image, **options: Any) -> None:
            path = Path(folder, f"a.{suffix}")
            image.save(path, **options)
            files.append((suffix, path.read_bytes()))

        for suffix, modes in kinds.items():
            for mode in modes:
                options: dict[str, Any] = (
                    {"exif": exif} if suffix in ("png", "jpg", "webp", "avif", "tif") else {}
                )
                save(
                    suffix,
                    picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode),
                    **options,
                )
        for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
            save("tif", picture, compression=compression)
        for suffix in ("gif", "webp", "png"):
            save(suffix, picture, save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for suffix in ("jpg", "png", "webp", "tif"):
            save(suffix, picture, exif=exif, icc_profile=profile, xmp=XMP)
        for size in (16, 24, 40):
            save("ico", picture.convert("RGBA").resize((size, size)), sizes=[(size, size)])
        save("ico", picture.resize((32, 32)), sizes=[(16, 16), (32, 32)], bitmap_format="bmp")
        save("icns", picture.resize((64, 64)))
        save("tif", picture, save_all=True, append_images=[picture, picture], exif=exif)
        save("tif", picture, big_tiff=True)
        for mode in ("1", "L", "P", "RGBA"):
            save("bmp", picture.convert(mode))
        if find_spec("pillow_jxl"):
            import pillow_jxl  # noqa: F401

            save("jxl", picture, effort=1)
        for channels, photometric in ((2, "minisblack"), (3, "rgb"), (4, "rgb")):
            deep = random.integers(0, 65536, (30, 40, channels), np.uint16)
            files.append(("png", bytes(imagecodecs.png_encode(deep))))
            extra: dict[str, Any] = {} if channels == 3 else {"extrasamples": ["unassalpha"]}
            for options in ({}, {"compression": "zlib", "predictor": True}, {"compression": "lzw"}):
                for kind in (deep, (deep / 65535).astype(np.float32)):
                    if kind.dtype == np.uint16 or not options:
                        path = Path(folder, "b.tif")
                        tifffile.imwrite(path, kind, photometric=photometric, **extra, **options)
                        files.append(("tif", path.read_bytes()))
    return files


def _extreme(random: np.random.Generator, size: int, data: bytes) -> int:
    """A number of `size` bytes that is likely to be at some bound."""
    if random.random() < 0.3:
        return int(random.integers(256 ** min(size, 4)))
    bounds = [0, 1, 2, 7, 8, 16, 255, 256, 4097, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, len(data)]
    return bounds[random.integers(len(bounds))] % int(256**size)


def _places(data: bytes) -> Iterator[list[tuple[int, str]]]:
    """Offsets and formats of numbers in the structures that `data` contains, a list for each structure."""
    if data[:4] == b"GIF8":
        yield [(6, "<H"), (8, "<H"), (10, "<B")]
        for place in (at for at in range(13, len(data) - 10) if data[at] == ord(",")):
            yield [(place + offset, "<H") for offset in (1, 3, 5, 7)]
    if data[:2] == b"BM":
        yield [(place, "<I") for place in (2, 10, 14, 18, 22, 30, 34, 46, 50)] + [(26, "<H"), (28, "<H")]
    if data[:4] == b"\0\0\1\0":
        yield [(4, "<H")]
        for place in range(6, min(len(data) - 16, 6 + 16 * data[4]), 16):
            yield [(place, "<B"), (place + 1, "<B"), (place + 6, "<H"), (place + 8, "<I"), (place + 12, "<I")]
            inner = struct.unpack_from("<I", data, place + 12)[0]
            yield [(inner + offset, "<I") for offset in (0, 4, 8, 14, 16, 20)]
    if (place := data.find(b"acsp")) >= 36:  # an ICC profile: its size, kinds and table of tags
        start = place - 36
        yield [(start, ">I"), (start + 16, ">I"), (start + 20, ">I"), (start + 128, ">I")]
        for tag in range(start + 132, start + 132 + 12 * 10, 12):
            yield [(tag, ">I"), (tag + 4, ">I"), (tag + 8, ">I")]
    for magic, order in ((b"II*\0", "<"), (b"MM\0*", ">")):  # TIFF, and EXIF in other files
        if (start := data.find(magic)) >= 0 and len(data) >= start + 8:
            yield [(start + 4, f"{order}I")]
            yield from _entries(data, start, order)


def _entries(data: bytes, start: int, order: str) -> Iterator[list[tuple[int, str]]]:
    """Those of the directories of a TIFF structure, and of the ones that they point to."""
    pending = [struct.unpack_from(f"{order}I", data, start + 4)[0]]
    seen: set[int] = set()
    while pending and len(seen) < 8:
        place = start + pending.pop()
        if place in seen or place + 2 > len(data):
            continue
        seen.add(place)
        count = struct.unpack_from(f"{order}H", data, place)[0]
        yield [(place, f"{order}H"), (place + 2 + 12 * count, f"{order}I")]
        for entry in range(place + 2, min(place + 2 + 12 * count, len(data) - 12), 12):
            yield [
                (entry, f"{order}H"),
                (entry + 2, f"{order}H"),
                (entry + 4, f"{order}I"),
                (entry + 8, f"{order}I"),
            ]
            if struct.unpack_from(f"{order}H", data, entry)[0] in (0x8769, 0x8825):
                pending.append(struct.unpack_from(f"{order}I", data, entry + 8)[0])


def restructured(data: bytes, random: np.random.Generator) -> bytes:
    """`data` with extreme values in one to three of its structures, and correct checksums if it is a PNG."""
    found = bytearray(data)
    places = list(_places(data))
    for _ in range(random.integers(1, 4)):
        if (at := data.find(b"<rdf:Description")) > 0 and random.random() < 0.3:
            part = [b"<a>" * 2000, b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"\0", b"<a " + b"c='d' " * 500]
            found[at:at] = part[random.integers(len(part))]
        elif places:
            structure = places[random.integers(len(places))]
            place, form = structure[random.integers(len(structure))]
            size = struct.calcsize(form)
            if place + size <= len(found):
                struct.pack_into(form, found, place, _extreme(random, size, data))
    return _with_checksums(bytes(found)) if data.startswith(b"\x89PNG") else bytes(found)


def _with_checksums(data: bytes) -> bytes:
    """A PNG with the checksum of each chunk, as far as their lengths lead."""
    found, place = bytearray(data), 8
    while place + 12 <= len(found):
        end = place + 8 + struct.unpack_from(">I", found, place)[0]
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def mutated(files: list[tuple[str, bytes]], seed: int) -> tuple[str, bytes]:
    """Return the suffix and content of one damaged file."""
    random = np.random.default_rng(seed)
    suffix, whole = files[random.integers(len(files))]
    if random.random() < 0.5:
        damaged = restructured(whole, random)
        if damaged != whole:
            return suffix, damaged
    data = bytearray(whole)
    for _ in range(random.integers(1, 5)):
        # Damage headers more often: they are short and matter most.
        reach = min(len(data), 300) if random.random() < 0.6 else len(data)
        place, length = int(random.integers(max(reach, 1))), int(random.integers(1, 40))
        match random.integers(6):
            case 0 | 1:
                for index in random.integers(0, max(reach, 1), 3):
                    data[index : index + 1] = bytes([random.integers(256)])
            case 2:
                data[place : place + 4] = bytes(random.choice([0, 1, 127, 128, 255], 4).tolist())
            case 3:
                del data[place : place + length]
            case 4:
                other = files[random.integers(len(files))][1]
                start = int(random.integers(len(other)))
                data[place : place + length] = other[start : start + length]
            case _:
                data = data[: max(1, place)] if random.random() < 0.5 else data + data[place:]
    return suffix, bytes(data)


def _tried(job: tuple[int, str, bytes]) -> tuple[int, str]:
    """Return the outcome for one file: ``read``, ``refused`` or an error."""
    from restore.errors import ImageError
    from restore.images import read_all, read_provenance, size_of

    seed, suffix, data = job
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        path.write_bytes(data)
        signal.alarm(SECONDS)  # kills a process that hangs, even in C code
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # and one that computes for too long
        try:
            read_provenance(path)
            with suppress(ImageError):
                size_of(path)
            read_all(path, max_pixels=PIXELS)
        except ImageError as error:
            sentence = str(error)
            if "not enough memory" in sentence:
                return seed, "out of memory"
            return seed, "refused" if "\n" not in sentence else f"not one sentence: {sentence!r}"
        except MemoryError:
            return seed, "out of memory"
        except BaseException as error:
            return seed, f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    return seed, "read"


def _serve(jobs: Any, results: Any) -> None:
    """Process jobs with limited memory until there are none."""
    import restore.images  # noqa: F401

    if find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    while (job := jobs.recv()) is not None:
        results.send(_tried(job))


def fuzz(count: int, first: int = 0) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Try `count` files from seed `first` on.

    Returns:
        The numbers of files that were read and refused, and the seed and symptom of all others.
    """
    files = corpus()
    found: Counter[str] = Counter()
    wrong: list[tuple[int, str]] = []
    process, jobs, results = _started()
    for seed in range(first, first + count):
        jobs.send((seed, *mutated(files, seed)))
        try:
            _, outcome = results.recv()
        except EOFError:
            process.join()
            outcome = f"the process died of signal {-(process.exitcode or 0)}"
            process, jobs, results = _started()
        if outcome in ("read", "refused"):
            found[outcome] += 1
        else:
            wrong.append((seed, outcome))
    jobs.send(None)
    process.join()
    return found, wrong


def _started() -> tuple[Any, Any, Any]:
    context = multiprocessing.get_context("spawn")
    theirs, jobs = context.Pipe(duplex=False)
    results, out = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, out), daemon=True)
    process.start()
    out.close()
    return process, jobs, results


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files to try")
    parser.add_argument("--first", type=int, default=0, help="seed of the first file")
    given = parser.parse_args()
    begin = time.monotonic()
    found, wrong = fuzz(given.count, given.first)
    summary = {**found, "wrong": len(wrong), "seconds": round(time.monotonic() - begin)}
    print(json.dumps(summary))  # noqa: T201
    for seed, outcome in wrong:
        print(f"--first {seed} --count 1: {outcome}")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
