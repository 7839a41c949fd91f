"""Image files to tensors and back, with what a file carries besides its pixels.

::

    photo = read(Path("photo.jpg"))        # every mode and format that Pillow opens
    photo.color                            # the tensor contract: (1, 3, H, W) in [0, 1]
    write(dataclasses.replace(photo, color=restored), Path("photo_x4.png"))

Two limits are Pillow's: 16-bit colour and 16-bit gray with alpha are cut to 8 bits while they are read
(16-bit gray is not), and of an animation or a file with several pages only the first picture is read.
"""

from __future__ import annotations

import stat
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from restore.errors import ImageError
from restore.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "Photo",
    "from_pil",
    "is_image_name",
    "read",
    "size_of",
    "to_pil",
    "write",
]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, upright, and what its file carried."""

    color: Tensor
    """``(1, 3, H, W)`` float32 in [0, 1], in the colour space of `icc_profile` or else sRGB."""
    alpha: Tensor | None = None
    """``(1, 1, H, W)`` float32 in [0, 1]; 1 is opaque. Colour is not multiplied by it."""
    gray: bool = False
    """The file had one colour channel: it is repeated in `color`, and written back as one."""
    bits: Literal[8, 16] = 8
    """Bits a channel that are worth writing."""
    icc_profile: bytes | None = None
    """Always of the kind that `gray` tells: a gray profile or an RGB one."""
    exif: bytes | None = None
    """Without orientation, which `color` has already, and without tags that describe the pixels' layout."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution in pixels per inch."""
    frames: int = 1
    """Pictures in the file: when more than one, this is the first of them."""


@dataclass(frozen=True)
class _Format:
    """What an encoder of Pillow can store, and how we ask it to."""

    name: str
    modes: frozenset[str]
    longest: int = 2**31 - 1
    """The longest side that can be read back."""
    options: Mapping[str, Any] = field(default_factory=dict)


_ALL_MODES = frozenset({"I;16", "L", "LA", "RGB", "RGBA"})
_OPAQUE_MODES = frozenset({"L", "RGB"})

# The limits are those of the codecs in use: libjpeg stops at 65500, not at the format's 65535, and
# libavif writes more than the 32768 that it is willing to read.
_PNG = _Format("PNG", _ALL_MODES, options={"compress_level": 1})
_JPEG = _Format("JPEG", _OPAQUE_MODES, longest=65500, options={"quality": 95})
_TIFF = _Format("TIFF", _ALL_MODES, options={"compression": "tiff_adobe_deflate"})
_WEBP = _Format("WEBP", frozenset({"RGB", "RGBA"}), longest=16383, options={"quality": 95})
_AVIF = _Format("AVIF", frozenset({"L", "RGB", "RGBA"}), longest=32768, options={"quality": 95})
_FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _AVIF,
    ".bmp": _Format("BMP", _OPAQUE_MODES),
    ".gif": _Format("GIF", _OPAQUE_MODES, longest=65535),
}

WRITE_SUFFIXES = frozenset(_FORMATS)
"""Suffixes, in lower case, that `write` knows."""

READ_SUFFIXES = (
    WRITE_SUFFIXES
    | {".apng", ".dds", ".dib", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".tga"}
    | {".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".pbm", ".pgm", ".pnm", ".ppm"}
)
"""Suffixes, in lower case, of the files that a folder is searched for; `read` itself goes by the content."""


def is_image_name(path: Path) -> bool:
    """Whether a file found in a folder looks like an image to read; hidden files do not."""
    return path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def read(path: Path) -> Photo:
    """Read an image file of any format that Pillow opens, whatever its suffix says.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image,
            damaged, cut short, beyond Pillow's limit of pixels, or holds values without a known range.
    """
    with _explained(f"cannot read '{path}'", _why_unreadable), _strict_pillow():
        _check_file(path)
        # Not by its path: Pillow would map uncompressed TIFF into memory, and scramble it when the
        # orientation swaps its sides.
        with path.open("rb") as file, Image.open(file) as image:
            return _photo(image)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file as it will be read, from its header alone.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty or not an image.
    """
    with _explained(f"cannot read '{path}'", _why_unreadable), _strict_pillow():
        _check_file(path)
        with Image.open(path) as image:
            width, height = image.size
            swapped, _ = _UPRIGHT.get(_orientation(image), (False, ()))
            # The size that Pillow tells of TIFF, and only of TIFF, is that of the upright picture.
            return (height, width) if swapped and image.format != "TIFF" else (width, height)


def from_pil(image: Image.Image) -> Photo:
    """The photo of an image in Pillow's memory, of any mode; `image` keeps its pixels and its metadata.

    Raises:
        ImageError: the image has no pixels, is damaged, or holds values without a known range.
    """
    with _explained("cannot use this image", _why_unreadable):
        return _photo(image)


def to_pil(photo: Photo) -> Image.Image:
    """The image in Pillow's memory: L, LA, RGB or RGBA, or I;16 for 16-bit gray without alpha.

    Profile, EXIF and resolution are in its ``info``.

    Raises:
        ImageError: the tensors have the wrong shape or hold values that are not finite.
    """
    with _explained("cannot draw this photo", _why_unwritten):
        image = _drawn(photo, _mode(photo, _ALL_MODES))
        image.info.update(_metadata(photo, image.mode))
        return image


def write(photo: Photo, path: Path) -> None:
    """Write `photo` in the format that the suffix names; a failure leaves an existing file as it was.

    Values are clamped to [0, 1] and rounded to the nearest level, halves up. A gray photo takes the mean
    of its channels. Gray without alpha keeps 16 bits in PNG and TIFF, everything else is written with 8.
    Fully opaque alpha is left out where the format has none. JPEG and AVIF keep colour at full resolution.
    BMP and GIF have no place for profile and EXIF.

    Args:
        photo: on any device and of any floating-point type.
        path: missing parent folders are made.

    Raises:
        ImageError: names the file and the reason: the suffix is unknown, the format cannot hold this
            size or transparency, the values are not finite, or the disk refuses.
    """
    with _explained(f"cannot write '{path}'", _why_unwritten):
        data = _encoded(photo, _format(path))
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)


# Errors ----------------------------------------------------------------------------------------------


@contextmanager
def _explained(failure: str, why: Callable[[Exception], str]) -> Iterator[None]:
    """Turn whatever a damaged file makes Pillow raise into one sentence."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{failure}: {why(error)}") from error


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make the warning about oversized images an error, and keep those about metadata to ourselves.

    The filters name Pillow, because another thread may come to see them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _why_unreadable(error: Exception) -> str:
    match error:
        case ImageError():
            return str(error)
        case Image.DecompressionBombWarning() | Image.DecompressionBombError():
            return (
                f"it has more than {Image.MAX_IMAGE_PIXELS} pixels, which could exhaust the memory; "
                "raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
            )
        case UnidentifiedImageError():
            return "it is not an image that Pillow knows, or its header is damaged; convert or replace it"
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file; check the path"
        case OSError(strerror=str(reason)):
            return f"{reason}; make the file readable or leave it out"
    return f"it is damaged or cut short ({_detail(error)}); replace it by a whole copy"


def _why_unwritten(error: Exception) -> str:
    match error:
        case ImageError():
            return str(error)
        case OSError(strerror=str(reason)):
            return f"{reason}; make room or choose another place"
    return f"the encoder refused it ({_detail(error)}); choose another format, such as .png"


def _detail(error: Exception) -> str:
    return str(error) or type(error).__name__


def _check_file(path: Path) -> None:
    """Refuse what is no file with content: opening a pipe, for one, would wait for ever."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("it is a folder; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("it is not a regular file; copy its content into one")
    if status.st_size == 0:
        raise ImageError("the file is empty; replace it by a whole copy")


# Reading ---------------------------------------------------------------------------------------------


def _photo(image: Image.Image) -> Photo:
    if min(image.size) < 1:
        raise ImageError(f"it has no pixels ({image.width} x {image.height}); leave it out")
    if image.format == "EPS":  # Pillow would start Ghostscript on it
        raise ImageError("it is a PostScript page, not an image; convert it to PNG")
    frames = max(1, getattr(image, "n_frames", 1))  # before loading: counting may move to other frames
    _correct_transparent_color(image)
    image.load()
    deep = image.mode.startswith("I") or image.mode == "F"
    planes = _upright(_deep_planes(image) if deep else _planes(image), _orientation(image))
    color, alpha = (planes[:, :-1], planes[:, -1:]) if planes.shape[1] % 2 == 0 else (planes, None)
    gray = color.shape[1] == 1 or _is_gray_palette(image, color)
    return Photo(
        color=color if color.shape[1] == 3 else color.repeat(1, 3, 1, 1),
        alpha=alpha,
        gray=gray,
        bits=16 if deep else 8,
        icc_profile=_profile(image, gray),
        exif=_exif(image),
        dpi=_dpi(image),
        frames=frames,
    )


def _planes(image: Image.Image) -> Tensor:
    """(1, C, H, W) of an image with 8 bits or less a channel; C is 1 or 3, and 1 more with alpha."""
    base = "L" if image.mode in {"1", "L", "LA", "La"} else "RGB"
    mode = base + "A" if image.has_transparency_data else base
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    levels = np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode)))  # (H, W, C)
    return torch.from_numpy(levels.transpose(2, 0, 1).copy())[None].float().div_(255)


def _deep_planes(image: Image.Image) -> Tensor:
    """(1, C, H, W) of a gray image with 16 or 32 bits; C is 2 with alpha.

    Raises:
        ImageError: the values have no known range.
    """
    values = np.array(image)  # (H, W)
    full, inverted = _deep_range(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= full):  # so that NaN is refused as well
        raise ImageError(
            f"its values run from {low} to {high} where 0 to {full} is expected; convert it to 16-bit gray"
        )
    level = values.astype(np.float32) / np.float32(full)
    planes = [1 - level if inverted else level]
    if (key := image.info.get("transparency")) is not None:
        planes.append((values != key).astype(np.float32))
    return torch.from_numpy(np.stack(planes))[None]


def _deep_range(image: Image.Image) -> tuple[int, bool]:
    """The value of full scale, and whether that is black.

    Pillow hands out 12-bit TIFF as it is, and inverts TIFF whose zero is white only up to 8 bits.
    """
    full, inverted = 1 if image.mode == "F" else 65535, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        inverted = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        if image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
            full = 4095
    return full, inverted


def _correct_transparent_color(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to the 8 bits of the pixels that Pillow compares with it."""
    key = image.info.get("transparency")
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    match key, tiles and tiles[0].args:
        case int(), "L;2" | "L;4" as packed:
            image.info["transparency"] = key * (85 if packed == "L;2" else 17)
        case tuple(), "RGB;16B":
            image.info["transparency"] = tuple(value >> 8 for value in key)


def _from_cmyk(image: Image.Image) -> Image.Image:
    """To sRGB by the embedded profile, or by Pillow's formula when there is none that works."""
    if profile := image.info.get("icc_profile"):
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, "CMYK", "RGB").apply(image)
    return image.convert("RGB")


def _is_gray_palette(image: Image.Image, color: Tensor) -> bool:
    """GIF stores gray as a palette; with an RGB profile it stays colour, so that the profile fits."""
    if image.mode != "P" or "icc_profile" in image.info:
        return False
    return bool((color == color[:, :1]).all())


_UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}
"""EXIF orientation -> whether to swap rows and columns, and the axes to reverse after that."""


def _upright(planes: Tensor, orientation: int) -> Tensor:
    """(1, C, H, W) -> (1, C, H, W) or (1, C, W, H)."""
    if orientation not in _UPRIGHT:
        return planes
    swapped, reversed_axes = _UPRIGHT[orientation]
    return (planes.mT if swapped else planes).flip(reversed_axes).contiguous()


# Metadata --------------------------------------------------------------------------------------------

_DESCRIPTIVE_TAGS = frozenset(
    {
        ExifTags.Base.DocumentName,
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.PageName,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
    }
)
_EMBEDDED_BLOCKS = frozenset(
    {
        TiffImagePlugin.XMP,
        TiffImagePlugin.IPTC_NAA_CHUNK,
        TiffImagePlugin.PHOTOSHOP_CHUNK,
        TiffImagePlugin.ICCPROFILE,
    }
)
_EXIF_SIZE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)


def _belongs_to_file(tag: int) -> bool:
    """Whether a tag is about the file that was read: how its pixels lie, or other metadata inside it.

    TIFF keeps such tags beside those about the picture, and some cameras copy them. In a new file they
    would be wrong, and worse: Pillow lets an EXIF width override the width of the TIFF that it writes.
    """
    in_tiff_standard = 254 <= tag <= 532
    return (in_tiff_standard and tag not in _DESCRIPTIVE_TAGS) or tag in _EMBEDDED_BLOCKS


def _orientation(image: Image.Image) -> int:
    """1 to 8; after loading, because Pillow turns TIFF (and only TIFF) by itself and resets the tag."""
    try:
        # Not by the method that PNG overrides, which would decode the pixels to find late EXIF data.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data is no reason to refuse the picture
        return 1


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF data without what belongs to the file, such as orientation and size; none if damaged."""
    try:
        found = image.getexif()
        found.bigtiff = False  # of a BigTIFF, to get EXIF data, which has 32-bit offsets
        kept = Image.Exif()
        kept.load(found.tobytes())  # a copy: the caller's image keeps its tags
        for tag in filter(_belongs_to_file, list(kept)):
            del kept[tag]
        if ExifTags.IFD.Exif in kept:
            # Pillow would copy the place of the interoperability directory into TIFF, where it is wrong.
            for tag in (*_EXIF_SIZE, ExifTags.IFD.Interop):
                kept.get_ifd(ExifTags.IFD.Exif).pop(tag, None)
        return kept.tobytes() if len(kept) else None
    except MemoryError:
        raise
    except Exception:
        return None


def _profile(image: Image.Image, gray: bool) -> bytes | None:
    """The embedded profile, unless the pixels were converted from its colour space or never in it."""
    profile = image.info.get("icc_profile")
    return profile if image.mode not in {"CMYK", "LAB"} and _fits(profile, gray) else None


def _fits(profile: bytes | None, gray: bool) -> bool:
    return profile is not None and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """The resolution, unless it is one of the placeholders that stand for none."""
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if 1 < x < 65536 and 1 < y < 65536 else None


# Writing ---------------------------------------------------------------------------------------------


def _format(path: Path) -> _Format:
    known = _FORMATS.get(path.suffix.lower())
    if known is None:
        raise ImageError(f"the suffix '{path.suffix}' is not one of {', '.join(sorted(WRITE_SUFFIXES))}")
    return known


def _encoded(photo: Photo, form: _Format) -> bytes:
    """The bytes of the file, made in memory: so a full disk is reported as such, not by the encoder."""
    _check_shapes(photo)
    height, width = photo.color.shape[-2:]
    if max(height, width) > form.longest:
        raise ImageError(
            f"{form.name} holds at most {form.longest} pixels a side, not {width} x {height}; "
            "choose .png or .tif"
        )
    if photo.alpha is not None and not any(mode.endswith("A") for mode in form.modes):
        if _levels(photo.alpha, 255).min() < 255:
            raise ImageError(f"{form.name} cannot hold its transparency; choose .png or .webp")
        photo = replace(photo, alpha=None)
    image = _drawn(photo, _mode(photo, form.modes))
    buffer = BytesIO()
    image.save(buffer, form.name, **_options(photo, form, image.mode))
    return buffer.getvalue()


def _check_shapes(photo: Photo) -> None:
    """Refuse what is not one picture.

    Raises:
        ImageError: names the shape that is wrong.
    """
    shape = tuple(photo.color.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or min(shape) < 1:
        raise ImageError(f"its colour has the shape {shape}; give (1, 3, height, width) with both above 0")
    if photo.alpha is not None and tuple(photo.alpha.shape) != (1, 1, *shape[2:]):
        raise ImageError(f"its alpha has the shape {tuple(photo.alpha.shape)}; give {(1, 1, *shape[2:])}")


def _mode(photo: Photo, modes: frozenset[str]) -> str:
    """The mode of `modes` that keeps most of the photo."""
    alpha = "" if photo.alpha is None else "A"
    wanted = ["RGB" + alpha]
    if photo.gray:
        wanted.insert(0, "L" + alpha)
        if photo.bits == 16 and not alpha:
            wanted.insert(0, "I;16")
    return next(mode for mode in wanted if mode in modes)


def _drawn(photo: Photo, mode: str) -> Image.Image:
    """The pixels alone."""
    _check_shapes(photo)
    full = 65535 if mode == "I;16" else 255
    color = photo.color.float().mean(1, keepdim=True) if photo.gray else photo.color
    planes = [_levels(color, full)]
    if photo.gray and mode.startswith("RGB"):
        planes *= 3
    if photo.alpha is not None:
        planes.append(_levels(photo.alpha, full))
    pixels = np.concatenate(planes, axis=1)[0].transpose(1, 2, 0)  # (H, W, C)
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _levels(plane: Tensor, full: int) -> NDArray[Any]:
    """Levels 0 to `full` of values in [0, 1], rounded half up.

    Raises:
        ImageError: a value is NaN or infinite.
    """
    if not torch.isfinite(plane).all():
        raise ImageError("some values are NaN or infinite; if a model made them, run it in float32")
    levels = plane.detach().to("cpu", torch.float32).clamp(0, 1).mul_(full).add_(0.5)
    return levels.numpy().astype(np.uint8 if full == 255 else np.uint16)  # which rounds down


def _options(photo: Photo, form: _Format, mode: str) -> dict[str, Any]:
    options = {**form.options, **_metadata(photo, mode)}
    if form in (_JPEG, _AVIF) and mode != "L":  # asking for it would make gray AVIF colour
        options["subsampling"] = "4:4:4"
    if form is _TIFF and photo.exif is not None:
        # Only Pillow's own writer, which does not compress, stores the EXIF and GPS directories.
        options["compression"] = "raw"
    return options


def _metadata(photo: Photo, mode: str) -> dict[str, Any]:
    """What goes along into a file of this mode, by Pillow's names."""
    found = {
        "icc_profile": photo.icc_profile if _fits(photo.icc_profile, not mode.startswith("RGB")) else None,
        "exif": photo.exif,
        "dpi": photo.dpi,
    }
    return {name: value for name, value in found.items() if value is not None}
