"""Damage valid image files, and check that reading them returns a photo or raises `ImageError`.

::

    python tests/long/fuzz_images.py --count 10000

Bytes are changed, removed, duplicated and copied from other files, by seed. Each file is read in a process
with limited memory and time. A crash, a hang or any other exception is reported with its seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, Image

SECONDS = 20
MEMORY = 3 * 2**30  # address space for reading, in addition to that of the process at its start
PIXELS = 4_000_000

__all__ = ["corpus", "fuzz", "mutated"]


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


def mutated(files: list[tuple[str, bytes]], seed: int) -> tuple[str, bytes]:
    """Return the suffix and content of one damaged file."""
    random = np.random.default_rng(seed)
    suffix, whole = files[random.integers(len(files))]
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
        try:
            read_provenance(path)
            with suppress(ImageError):
                size_of(path)
            read_all(path, max_pixels=PIXELS)
        except ImageError as error:
            sentence = str(error)
            return seed, "refused" if "\n" not in sentence else f"not one sentence: {sentence!r}"
        except MemoryError:
            return seed, "out of memory"
        except BaseException as error:
            return seed, f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
    return seed, "read"


def _serve(jobs: Any, results: Any) -> None:
    """Process jobs with limited memory until there are none."""
    import restore.images  # noqa: F401

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
