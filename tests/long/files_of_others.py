"""Compare how `restore` reads a folder of image files, and writes them again, with Pillow's own conversion.

::

    python tests/long/files_of_others.py ~/Pictures
    python tests/long/files_of_others.py ~/Pictures --json

Compared are the upright size, gray or color, levels, alpha, frames and their durations, the ICC profile and
the EXIF tags. Every difference is reported in one line, with the reason where it is intended (see `REASONS`).
The exit code is 1 if a difference has no reason, or if anything but `ImageError` is raised.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin
from torch import Tensor

from restore.errors import ImageError, escaped
from restore.images import WRITE_SUFFIXES, Animation, Photo, read_all, size_of, write, write_animation

__all__ = ["REASONS", "Difference", "differences_in", "files_in"]

Levels = NDArray[np.uint8]

LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JXL", "JPEG2000"}
MOVING = {"GIF", "WEBP", "PNG", "AVIF"}
ALPHA = slice(3, 4)
GRAY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "F"}
MEAN_LOSS = 6
"""Mean difference in levels that a lossy format may make; random noise loses the most."""


@dataclass
class View:
    """An image file as one reader sees it."""

    format: str
    mode: str
    gray: bool
    frames: list[Levels]
    """``(H, W, 4)`` each: RGBA, not multiplied by alpha."""
    count: int
    """Frames or pages in the file; of pages, `frames` has the first alone."""
    durations: list[float]
    icc: bytes | None
    exif: dict[str, Any]
    deep: bool
    """Whether the file has more than 8 bits per channel."""
    bits: int | None = None
    """Bits per channel as a TIFF file states them."""


@dataclass(frozen=True)
class Difference:
    """One property of one file that two readers see differently."""

    file: str
    stage: str
    """``read``, or ``written`` for the file that `restore` wrote of it."""
    kind: str
    pillow: str
    restore: str
    reason: str | None


Applies = Callable[[View, View, str], bool]
REASONS: list[tuple[str, str, Applies, str]] = [
    ("read", "gray", lambda p, r, _: p.mode in {"P", "PA"} and r.gray, "a palette of grays is gray"),
    ("read", "gray", lambda p, r, _: p.deep and r.gray, "Pillow reads 16-bit gray with alpha as color"),
    ("read", "colors", lambda p, r, _: p.deep and _apart(p, r) <= 1, "Pillow truncates to 8 bits"),
    ("read", "alpha", lambda p, r, _: p.deep and _apart(p, r, ALPHA) <= 1, "Pillow truncates to 8 bits"),
    (
        "read",
        "alpha",
        lambda p, _, __: (p.format, p.mode) == ("PNG", "L"),
        "Pillow does not scale the color key",
    ),
    (
        "read",
        "alpha",
        lambda p, _, __: (p.format, p.deep) == ("PNG", True),
        "Pillow compares the key at 8 bits",
    ),
    ("read", "colors", lambda p, _, __: p.bits == 12, "Pillow does not scale 12 bits"),
    ("read", "colors", lambda p, _, __: p.bits == 32 and p.gray, "Pillow takes 32 bits to have a sign"),
    ("read", "refused", lambda _, __, why: "signed integers" in why, "values without a known range"),
    ("read", "colors", lambda p, _, __: p.mode == "CMYK" and bool(p.icc), "CMYK is converted by its profile"),
    ("read", "colors", lambda p, r, _: _apart_where_visible(p, r) == 0, "transparent pixels have no color"),
    ("read", "profile", lambda p, _, __: p.mode in {"CMYK", "LAB"}, "the pixels are sRGB now"),
    ("read", "profile", lambda p, r, _: p.icc is None and p.format == "PNG", "made from gamma and primaries"),
    ("read", "profile", lambda p, r, _: not _fits(p.icc, gray=r.gray), "a profile of another color space"),
    ("read", "refused", lambda _, __, why: "where 0 to" in why, "values without a known range"),
    ("read", "refused", lambda _, __, why: "PostScript" in why, "PostScript is not run"),
    ("read", "refused", lambda _, __, why: "max_pixels" in why, "too many pixels"),
    ("read", "only restore", lambda _, r, __: r.format in {"TIFF", "PNG"}, "Pillow does not know this kind"),
    (
        "read",
        "exif",
        lambda p, r, _: _without_shape(p) == r.exif,
        "tifffile describes the array, not the picture",
    ),
    ("written", "gray", lambda _, r, __: r.format in {"WEBP", "GIF", "HEIF"}, "the format has no gray"),
    ("written", "gray", lambda p, r, _: p.deep and p.gray, "Pillow reads 16-bit gray with alpha as color"),
    ("written", "colors", lambda p, r, _: p.deep and _apart(p, r) <= 1, "Pillow truncates to 8 bits"),
    ("written", "alpha", lambda p, r, _: p.deep and _apart(p, r, ALPHA) <= 1, "Pillow truncates to 8 bits"),
    ("written", "colors", lambda p, r, _: bool(p.icc) and p.icc != r.icc, "converted to sRGB"),
    (
        "written",
        "colors",
        lambda p, r, _: _apart_where_visible(p, r) == 0,
        "transparent pixels have no color",
    ),
    ("written", "colors", lambda _, r, __: r.format == "GIF", "256 colors per frame"),
    ("written", "alpha", lambda _, r, __: r.format == "GIF", "the format has no partial transparency"),
    ("written", "frames", lambda p, _, __: p.format not in MOVING, "only the first page is written"),
    ("written", "frames", lambda p, r, _: _same_showing(p, r), "equal frames are joined"),
    ("written", "durations", lambda p, r, _: _same_showing(p, r), "equal frames are joined"),
    ("written", "durations", lambda _, r, __: r.format == "GIF", "counted in hundredths of a second"),
    ("written", "profile", lambda _, r, __: r.format in {"BMP", "GIF", "JXL"}, "the format has no profile"),
    ("written", "profile", lambda _, r, __: r.format == "WEBP", "no gray profile for RGB pixels"),
    ("written", "exif", lambda _, r, __: r.format in {"BMP", "GIF"}, "the format has no EXIF"),
]
"""Stage, kind, condition on both views and the message, why it is intended. The first that fits counts."""


def _without_shape(view: View) -> dict[str, Any]:
    """The tags of a view, without a description by tifffile."""
    return {
        name: value
        for name, value in view.exif.items()
        if name != "ImageDescription" or not str(value).startswith('{"shape": [')
    }


def files_in(folder: Path) -> Iterator[Path]:
    """All regular files below `folder`, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def differences_in(path: Path) -> list[Difference]:
    """Compare both readers of `path`, and of what `restore` writes of it under the same suffix."""
    name = escaped(str(path))
    pillow, why_not = _by_pillow(path)
    try:
        photo = read_all(path)
        first = _first(photo)
        width, height = size_of(path)
    except ImageError as error:
        return [_difference(name, "read", "refused", (pillow, pillow), ("", str(error)))] if pillow else []
    except Exception as error:
        return [Difference(name, "read", "error", "", f"{type(error).__name__}: {error}", None)]
    ours = _of_restore(photo, path, pillow)
    if pillow is None:
        return [_difference(name, "read", "only restore", (ours, ours), (why_not, ""))]
    found = list(_compared(name, "read", pillow, ours))
    if (height, width) != first.color.shape[-2:]:
        found.append(Difference(name, "read", "size_of", str(first.color.shape), f"{width} x {height}", None))
    if path.suffix.lower() in WRITE_SUFFIXES:
        found += _written(name, path.suffix, photo, ours)
    return found


def _written(name: str, suffix: str, photo: Photo | Animation, ours: View) -> list[Difference]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        try:
            if isinstance(photo, Animation):
                write_animation(photo, path)
            else:
                write(photo, path)
        except ImageError as error:
            cannot = "cannot store" in str(error)
            reason = "the format cannot hold it" if cannot else None
            return [Difference(name, "written", "refused", "", str(error), reason)]
        except Exception as error:
            return [Difference(name, "written", "error", "", f"{type(error).__name__}: {error}", None)]
        again, why_not = _by_pillow(path)
    if again is None:
        return [Difference(name, "written", "unreadable", why_not, "", None)]
    return list(_compared(name, "written", ours, again))


def _compared(name: str, stage: str, one: View, other: View) -> Iterator[Difference]:
    """The differences of `other` from `one`; of a written file, Pillow's view is `other`."""

    def different(kind: str, mine: Any, theirs: Any) -> Difference:
        told = (str(mine), str(theirs)) if stage == "read" else (str(theirs), str(mine))
        return _difference(name, stage, kind, (one, other), told)

    sizes = [view.frames[0].shape[1::-1] for view in (one, other)]
    if sizes[0] != sizes[1]:
        yield different("size", *sizes)
        return
    if one.gray != other.gray:
        yield different("gray", one.gray, other.gray)
    if one.count != other.count or len(one.frames) != len(other.frames):
        yield different("frames", one.count, other.count)
    elif one.durations != other.durations:
        yield different("durations", one.durations, other.durations)
    lossy = stage == "written" and other.format in LOSSY
    for kind, channels in (("colors", slice(3)), ("alpha", ALPHA)):
        apart = _apart(one, other, channels, mean=lossy)
        if apart > (MEAN_LOSS if lossy else 0):
            yield different(kind, "", f"{'mean' if lossy else 'max'} {apart:.3g} levels apart")
    if one.icc != other.icc:
        yield different("profile", *(view.icc and f"{len(view.icc)} bytes" for view in (one, other)))
    if one.exif != other.exif:
        names = sorted(key for key in {*one.exif, *other.exif} if one.exif.get(key) != other.exif.get(key))
        yield different("exif", *({key: view.exif.get(key) for key in names} for view in (one, other)))


def _difference(
    name: str, stage: str, kind: str, views: tuple[View, View], told: tuple[str, str]
) -> Difference:
    fitting = (
        reason
        for at, what, applies, reason in REASONS
        if (at, what) == (stage, kind) and applies(*views, told[1])
    )
    return Difference(name, stage, kind, *told, next(fitting, None))


def _apart(one: View, other: View, channels: slice = slice(3), *, mean: bool = False) -> float:
    """The greatest (or mean) difference in levels of the frames that both have."""
    found = [0.0]
    for a, b in zip(one.frames, other.frames, strict=False):
        if a.shape != b.shape:
            return 255
        apart = np.abs(a[..., channels].astype(int) - b[..., channels])
        found.append(float(apart.mean() if mean else apart.max()))
    return max(found)


def _apart_where_visible(one: View, other: View) -> float:
    found = 0
    for a, b in zip(one.frames, other.frames, strict=False):
        seen = (a[..., 3] > 0) & (b[..., 3] > 0)
        found = max(found, np.abs(a[seen, :3].astype(int) - b[seen, :3]).max(initial=0))
    return found


def _fits(profile: bytes | None, *, gray: bool) -> bool:
    return profile is not None and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _same_showing(one: View, other: View) -> bool:
    return len(other.frames) < len(one.frames) and abs(sum(one.durations) - sum(other.durations)) < 10


# What restore reads ------------------------------------------------------------------------------------


def _first(photo: Photo | Animation) -> Photo:
    return photo.frames[0] if isinstance(photo, Animation) else photo


def _of_restore(photo: Photo | Animation, path: Path, pillow: View | None) -> View:
    first = _first(photo)
    animated = isinstance(photo, Animation)
    exif = Image.Exif()
    if first.exif:
        exif.load(first.exif)
    return View(
        format=pillow.format if pillow else {".png": "PNG"}.get(path.suffix.lower(), "TIFF"),
        mode="L" if first.gray else "RGB",
        gray=first.gray,
        frames=[_rgba(frame) for frame in (photo.frames if isinstance(photo, Animation) else [photo])],
        count=len(photo.frames) if isinstance(photo, Animation) else first.frames,
        durations=list(photo.durations) if isinstance(photo, Animation) else [],
        icc=first.icc_profile,
        exif=_tags(exif),
        deep=not animated and first.bits > 8,
    )


def _rgba(photo: Photo) -> Levels:
    height, width = photo.color.shape[-2:]
    joined = np.full((height, width, 4), 255, np.uint8)
    joined[..., :3] = _levels(photo.color).transpose(1, 2, 0)
    if photo.alpha is not None:
        joined[..., 3] = _levels(photo.alpha)[0]
    return joined


def _levels(plane: Tensor) -> Levels:
    values = plane[0].numpy()
    return values if values.dtype == np.uint8 else (values * np.float32(255) + 0.5).astype(np.uint8)


# What Pillow reads -------------------------------------------------------------------------------------


def _by_pillow(path: Path) -> tuple[View | None, str]:
    """Pillow's view, or none and why."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            return _of_pillow(image), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _of_pillow(image: Image.Image) -> View:
    count = getattr(image, "n_frames", 1)
    mode, form, info = image.mode, image.format or "", dict(image.info)
    deep = mode.startswith("I") or mode == "F" or ";16" in str(getattr(image, "tile", ""))
    tiff_bits = getattr(image, "tag_v2", {}).get(TiffImagePlugin.BITSPERSAMPLE)
    tags = _tags(image.getexif(), image)  # after which a PNG is decoded and has no tiles
    begin = 1 if image.info.get("default_image") else 0
    frames, durations = [], []
    for index in range(begin, count) if form in MOVING and count > 1 else [image.tell()]:
        image.seek(index)  # of a HEIF file, the first one is not always the primary one
        image.load()
        frames.append(_pillow_levels(ImageOps.exif_transpose(image)))
        durations.append(float(image.info.get("duration", 0)))
    gray = mode in GRAY_MODES
    moves = form in MOVING and count > 1
    return View(
        format=form,
        mode=mode,
        gray=gray,
        frames=frames,
        count=count - begin if moves else count,
        durations=durations if moves else [],
        icc=info.get("icc_profile") or None,
        exif=tags,
        deep=deep,
        bits=tiff_bits[0] if tiff_bits else None,
    )


def _pillow_levels(image: Image.Image) -> Levels:
    if image.mode.startswith("I") or image.mode == "F":
        full = 1.0 if image.mode == "F" else 65535.0
        values = np.array(image) / full
        levels = (values * 255 + 0.5).clip(0, 255).astype(np.uint8)
        opaque = np.full_like(levels, 255)
        if (key := image.info.get("transparency")) is not None:
            opaque[np.array(image) == key] = 0
        return np.dstack([levels, levels, levels, opaque])
    return np.array(image.convert("RGBA"))


def _tags(exif: Image.Exif, image: Image.Image | None = None) -> dict[str, Any]:
    """Descriptive tags by name, without those of orientation, size and layout, which change on purpose."""
    own = set(LAYOUT)
    if image is not None and image.format in {"TIFF", "MPO"}:
        own |= {tag for tag in exif if tag not in DESCRIPTIVE}
    found = {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in exif.items() if tag not in own}
    for directory, names in ((ExifTags.IFD.Exif, ExifTags.TAGS), (ExifTags.IFD.GPSInfo, ExifTags.GPSTAGS)):
        for tag, value in exif.get_ifd(directory).items():
            if tag not in LAYOUT:
                found[f"{directory.name}.{names.get(tag, tag)}"] = value
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> str:
    """As text, so that rationals, tuples and bytes of equal content are equal."""
    if isinstance(value, bytes):
        return repr(value.rstrip(b"\0"))
    if isinstance(value, tuple):
        return " ".join(map(_plain, value))
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError, ArithmeticError):
        return str(value).rstrip("\0 ")


DESCRIPTIVE = {
    *(ExifTags.Base[name] for name in ("DocumentName", "ImageDescription", "Make", "Model", "DateTime")),
    *(ExifTags.Base[name] for name in ("Artist", "HostComputer", "Copyright", "PageName")),
}
LAYOUT = {
    *(ExifTags.Base[name] for name in ("Orientation", "ExifImageWidth", "ExifImageHeight", "Software")),
    *(ExifTags.Base[name] for name in ("ImageWidth", "ImageLength", "BitsPerSample", "Compression")),
    *(
        ExifTags.Base[name]
        for name in ("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration")
    ),
    *(ExifTags.Base[name] for name in ("StripOffsets", "StripByteCounts", "RowsPerStrip", "XResolution")),
    *(ExifTags.Base[name] for name in ("YResolution", "ResolutionUnit", "YCbCrPositioning")),
    *(ExifTags.Base[name] for name in ("YCbCrSubSampling", "YCbCrCoefficients", "ReferenceBlackWhite")),
    *(ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop),
    *(TiffImagePlugin.ICCPROFILE, TiffImagePlugin.XMP, TiffImagePlugin.IPTC_NAA_CHUNK),
    TiffImagePlugin.PHOTOSHOP_CHUNK,
}
"""Tags that `restore` sets, removes or carries elsewhere."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched with its subfolders")
    parser.add_argument("--json", action="store_true", help="print one JSON object per difference")
    given = parser.parse_args()
    files = unexplained = 0
    for path in files_in(given.folder):
        files += 1
        for found in differences_in(path):
            unexplained += found.reason is None
            if given.json:
                print(json.dumps(asdict(found)))  # noqa: T201
                continue
            sides = f"Pillow {found.pillow}, restore {found.restore}"
            reason = found.reason or "UNEXPLAINED"
            print(f"{found.file}: {found.stage}: {found.kind}: {sides}: {reason}")  # noqa: T201
    print(f"{files} files, {unexplained} unexplained differences", file=sys.stderr)  # noqa: T201
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
