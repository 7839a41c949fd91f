"""Write photos to files, and convert them to Pillow images."""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.errors import ImageError, in_one_line
from restore.files import atomic_file
from restore.images import bmp, png, tiff
from restore.images.fitting import prepared
from restore.images.formats import AVIF, BMP, GIF, JPEG, JXL, PNG, TIFF, WEBP, Format, enable, format_of
from restore.images.metadata import SOFTWARE, carried
from restore.images.pixels import bands, bits_of, check_shapes, drawn, mode_of, pixels, with_palette
from restore.images.provenance import KEYWORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from restore.images.photo import Photo
    from restore.images.provenance import Provenance

__all__ = ["explained_writing", "save_options", "to_pil", "write", "write_atomic"]

_NO_LOSS = 100  # the quality that JPEG XL defines as exact, and that its lossy encoder refuses


def to_pil(photo: Photo) -> Image.Image:
    """The image in Pillow's memory: L, LA, RGB or RGBA, or I;16 or F for deeper gray without alpha.

    Profile, EXIF and resolution are in its ``info``. The pixels may share memory with levels of `photo`.

    Raises:
        ImageError: the tensors have the wrong shape or hold values that are not finite.
    """
    with explained_writing():
        check_shapes(photo)
        mode = mode_of(photo, TIFF)
        image = drawn(photo, mode, bits_of(photo, TIFF) if mode == "L" else 8)
        image.info.update(carried(photo, PNG, mode))
        return image


def write(
    photo: Photo,
    path: Path,
    *,
    small: bool = False,
    quality: int | None = None,
    provenance: Provenance | None = None,
    strip: bool = False,
) -> None:
    """Write `photo` in the format that the suffix names.

    Values are clamped to [0, 1] and rounded to the nearest level, halves up; levels are written as they are.
    A gray photo takes the mean of its channels, or the first one of its levels. `losses` lists what a format
    cannot hold. Fully opaque alpha is omitted where the format has none. JPEG and AVIF keep color at full
    resolution. Where a format has no place for the profile, colors become sRGB.

    A failure can leave a part of the file; `write_atomic` cannot.

    Args:
        photo: on any device, of any floating-point type or of uint8 levels.
        path: missing parent folders are made.
        small: make PNG as small as Pillow can, in about a hundred times the time. It is then made in memory,
            as other formats always are. 16 bits only shrink by a slower Deflate.
        quality: of lossy formats, 1 to 100; by default 95, or lossless if `photo.lossless`.
        provenance: what made the picture, for `read_provenance`, if `stores_provenance`.
        strip: omit EXIF, XMP and provenance; the profile stays, because the colors need it.

    Raises:
        ImageError: the suffix is unknown, the format cannot hold this size or transparency, the values are
            not finite, a library is missing, or the disk refuses.

    Example:
        >>> import tempfile, torch
        >>> from restore.images import Photo, size_of
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(Photo(torch.zeros(1, 3, 4, 6)), Path(folder) / "black.png")
        ...     size_of(Path(folder) / "black.png")
        (6, 4)
    """
    with explained_writing(path):
        form = format_of(path)
        told = None if strip else provenance
        pieces = _encoded(photo, form, small=small, quality=quality, provenance=told, strip=strip)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(pieces)


def write_atomic(photo: Photo, path: Path) -> None:
    """Like `write`, but a failure keeps an existing file and leaves no partial file.

    Raises:
        ImageError: as for `write`.
    """
    with explained_writing(path), atomic_file(path) as temporary:
        write(photo, temporary)


@contextmanager
def explained_writing(path: Path | None = None) -> Iterator[None]:
    """Turn whatever an encoder or the disk raises into an `ImageError` about `path`."""
    try:
        yield
    except MemoryError:
        raise
    except ImageError as error:
        error.path = error.path or path
        raise
    except OSError as error:
        if error.strerror is None:  # of Pillow, not of the disk
            raise _refused(error, path) from error
        hint = "free some space or choose another folder"
        raise ImageError(f"cannot write it: {error.strerror}", path=path, hint=hint) from error
    except Exception as error:
        raise _refused(error, path) from error


def _refused(error: Exception, path: Path | None) -> ImageError:
    reason = in_one_line(error) or type(error).__name__
    return ImageError(f"the encoder failed ({reason})", path=path, hint="choose another format, such as .png")


def _encoded(
    photo: Photo,
    form: Format,
    *,
    small: bool,
    quality: int | None,
    provenance: Provenance | None,
    strip: bool,
) -> Iterable[bytes]:
    """The bytes of the file. No encoder sees the disk: a full one is so reported as such."""
    enable(form)
    photo = prepared(photo, form)
    height, width = photo.color.shape[-2:]
    mode, bits = mode_of(photo, form), bits_of(photo, form)
    along = carried(photo, form, mode, provenance=provenance, strip=strip)
    if form is TIFF:
        software = SOFTWARE if provenance else None
        return tiff.encoded(bands(photo, mode, bits), (width, height), software=software, **along)
    if form is PNG and not (small and bits == 8):
        rows, texts = bands(photo, mode, bits), _texts(provenance)
        return png.encoded(rows, (width, height), texts=texts, small=small, **along)
    if form is BMP and mode == "RGBA":
        return [bmp.encoded(pixels(photo, mode, bits), **along)]
    image = drawn(photo, mode, bits)
    buffer = BytesIO()
    image = with_palette(image) if form is GIF and mode == "RGBA" else image
    options = save_options(form, mode, along, quality=quality, provenance=provenance, lossless=photo.lossless)
    image.save(buffer, form.name, **options)
    return [buffer.getvalue()]


def save_options(
    form: Format,
    mode: str,
    along: Mapping[str, Any],
    *,
    quality: int | None = None,
    provenance: Provenance | None = None,
    lossless: bool = False,
) -> dict[str, Any]:
    """What Pillow's encoder is asked for; a quality that is asked for counts more than `lossless`."""
    options = dict(along)
    if (lossless and form.lossless and not quality) or (form is JXL and quality == _NO_LOSS):
        options["lossless"] = True
        options |= {"exact": True} if form is WEBP else {}  # the color of transparent pixels, too
    elif form.quality is not None:
        options["quality"] = quality or form.quality
    if form in (JPEG, AVIF) and mode != "L":  # asking for it would make gray AVIF color
        options["subsampling"] = "4:4:4"
    if form is PNG:
        options["optimize"] = True
        options["pnginfo"] = _png_info(_texts(provenance), options.pop("xmp", None))
    if form is GIF and provenance:
        options["comment"] = f"{KEYWORD}{provenance.to_text()}".encode()
    return options


def _texts(provenance: Provenance | None) -> dict[str, str]:
    """The text chunks of a PNG."""
    return {"Software": SOFTWARE, KEYWORD: provenance.to_text()} if provenance else {}


def _png_info(texts: Mapping[str, str], xmp: bytes | None) -> PngInfo:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info
