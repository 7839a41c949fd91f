"""Photos to files, and to images in Pillow's memory."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from restore.errors import ImageError
from restore.files import atomic_file
from restore.images import bmp, png, tiff
from restore.images.color import conversion_of
from restore.images.failures import explained, why_unwritten
from restore.images.formats import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEBP, Format, enable, format_of
from restore.images.metadata import SOFTWARE, carried
from restore.images.provenance import KEYWORD
from restore.levels import to_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from restore.images.photo import Photo
    from restore.images.provenance import Provenance

__all__ = ["losses", "prepared", "save_options", "to_pil", "write"]

Bits = Literal[8, 16, 32]

_HALF = 128  # the first level of alpha that is opaque where there is nothing in between


def to_pil(photo: Photo) -> Image.Image:
    """The image in Pillow's memory: L, LA, RGB or RGBA, or I;16 or F for deeper gray without alpha.

    Profile, EXIF and resolution are in its ``info``. The pixels may share memory with levels of `photo`.

    Raises:
        ImageError: the tensors have the wrong shape or hold values that are not finite.
    """
    with explained("cannot draw this photo", why_unwritten):
        _check_shapes(photo)
        mode = _mode(photo, TIFF)
        image = _drawn(photo, mode, _bits(photo, TIFF) if mode == "L" else 8)
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
    """Write `photo` in the format that the suffix names; a failure leaves an existing file as it was.

    Values are clamped to [0, 1] and rounded to the nearest level, halves up; levels are written as they are.
    A gray photo takes the mean of its channels, or the first one of its levels. What a format cannot hold is
    told by `losses`. Fully opaque alpha is left out where the format has none. JPEG and AVIF keep colour at
    full resolution. Where a format has no place for the profile, colours become sRGB.

    Args:
        photo: on any device, of any floating-point type or of uint8 levels.
        path: missing parent folders are made.
        small: make PNG as small as Pillow can, in about a hundred times the time. It is then made in memory,
            as other formats always are. 16 bits only shrink by a slower Deflate.
        quality: of lossy formats, 1 to 100; ``None`` is 95.
        provenance: what made the picture, for `read_provenance`; BMP has no place for it.
        strip: leave out EXIF, XMP and provenance; the profile stays, because the colours need it.

    Raises:
        ImageError: names the file and the reason: the suffix is unknown, the format cannot hold this
            size or transparency, the values are not finite, a library is missing, or the disk refuses.
    """
    with explained(f"cannot write '{path}'", why_unwritten):
        form = format_of(path)
        told = None if strip else provenance
        pieces = _encoded(photo, form, small=small, quality=quality, provenance=told, strip=strip)
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            file.writelines(pieces)


def losses(photo: Photo, path: Path) -> tuple[str, ...]:
    """What a file of this name will not hold of `photo`, for people; nothing for an unknown suffix."""
    try:
        form = format_of(path)
    except ImageError:
        return ()
    found = []
    if (bits := _bits(photo, form)) < photo.bits and photo.color.dtype != torch.uint8:
        deeper = "floating point" if photo.bits == 32 else f"{photo.bits} bits"
        found.append(f"{form.name} holds {bits} bits a channel, not {deeper}")
    if photo.gray and not _mode(photo, form).startswith("L"):
        found.append(f"{form.name} holds this gray as RGB")
    if form.cutout and photo.alpha is not None and _is_partial(photo.alpha):
        found.append(f"{form.name} holds no partial transparency")
    if photo.lossless and form in (AVIF, HEIC):
        found.append(f"{form.name} is written with lossy compression, although the original is lossless")
    if photo.icc_profile and "icc_profile" not in form.carries:
        found += filter(None, [_profile_note(form, photo.icc_profile)])
    lost = [name.upper() for name in ("exif", "xmp") if getattr(photo, name) and name not in form.carries]
    if lost:
        found.append(f"{form.name} holds no {' and no '.join(lost)}")
    return tuple(found)


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
    mode, bits = _mode(photo, form), _bits(photo, form)
    along = carried(photo, form, mode, provenance=provenance, strip=strip)
    if form is TIFF:
        software = SOFTWARE if provenance else None
        return tiff.encoded(_bands(photo, mode, bits), (width, height), software=software, **along)
    if form is PNG and not (small and bits == 8):
        bands, texts = _bands(photo, mode, bits), _texts(provenance)
        return png.encoded(bands, (width, height), texts=texts, small=small, **along)
    if form is BMP and mode == "RGBA":
        return [bmp.encoded(_pixels(photo, mode, bits), **along)]
    image = _drawn(photo, mode, bits)
    buffer = BytesIO()
    image = with_palette(image) if form is GIF and mode == "RGBA" else image
    options = save_options(form, mode, along, quality=quality, provenance=provenance, lossless=photo.lossless)
    image.save(buffer, form.name, **options)
    return [buffer.getvalue()]


def prepared(photo: Photo, form: Format) -> Photo:
    """What of `photo` the format can hold: without opaque alpha, in sRGB where there is no profile.

    Raises:
        ImageError: it cannot hold this size or transparency, or these are no pixels.
    """
    _check_shapes(photo)
    height, width = photo.color.shape[-2:]
    if max(height, width) > form.longest:
        raise ImageError(
            f"{form.name} holds at most {form.longest} pixels a side, not {width} x {height}; "
            "choose .png or .tif"
        )
    if photo.alpha is not None and (form.cutout or not form.has_alpha):
        opaque = _levels(photo.alpha, 8).min() == 255
        if not (opaque or form.has_alpha):
            raise ImageError(f"{form.name} cannot hold its transparency; choose .png or .webp")
        photo = replace(photo, alpha=None) if opaque else photo
    if photo.icc_profile and "icc_profile" not in carried(photo, form, _mode(photo, form)):
        return _in_srgb(photo, photo.icc_profile)
    return photo


def _in_srgb(photo: Photo, profile: bytes) -> Photo:
    """The photo in sRGB, without its profile; unchanged if that is damaged or sRGB."""
    conversion = conversion_of(profile)
    if conversion is None or conversion.is_identity:
        return photo
    srgb = conversion.to_srgb(to_values(photo.color).cpu()).clamp(0, 1)
    return replace(photo, color=srgb, icc_profile=None)


def _profile_note(form: Format, profile: bytes) -> str | None:
    """What losing the profile means; nothing if it is sRGB, which is what is assumed without one."""
    conversion = conversion_of(profile)
    if conversion and conversion.is_identity:
        return None
    effect = "became sRGB" if conversion else "are no longer described, and its profile is damaged"
    return f"{form.name} holds no color profile: its colors {effect}"


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
    if lossless and form.lossless and not quality:
        options["lossless"] = True
        options |= {"exact": True} if form is WEBP else {}  # the color of transparent pixels, too
    elif form.quality is not None:
        options["quality"] = quality or form.quality
    if form in (JPEG, AVIF) and mode != "L":  # asking for it would make gray AVIF colour
        options["subsampling"] = "4:4:4"
    if form is PNG:
        options["optimize"] = True
        options["pnginfo"] = _png_info(_texts(provenance), options.pop("xmp", None))
    if form is GIF and provenance:
        options["comment"] = f"{KEYWORD}{provenance.to_text()}".encode()
    return options


def _texts(provenance: Provenance | None) -> dict[str, str]:
    """What a PNG says in words."""
    return {"Software": SOFTWARE, KEYWORD: provenance.to_text()} if provenance else {}


def _png_info(texts: Mapping[str, str], xmp: bytes | None) -> PngInfo:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


def with_palette(image: Image.Image) -> Image.Image:
    """An RGBA image with 255 colours, and one more for what is more transparent than opaque."""
    indices = image.convert("RGB").quantize(255)
    clear = image.getchannel("A").point(lambda level: 255 * (level < _HALF))
    indices.paste(255, mask=clear)
    indices.info["transparency"] = 255
    return indices


def _is_partial(alpha: Tensor) -> bool:
    levels = _levels(alpha, 8)
    return bool(((levels > 0) & (levels < 255)).any())


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


def _mode(photo: Photo, form: Format) -> str:
    """The kind of pixels that keeps most of the photo."""
    alpha = "" if photo.alpha is None else "A"
    wanted = [f"L{alpha}", f"RGB{alpha}"] if photo.gray else [f"RGB{alpha}"]
    return next((mode for mode in wanted if mode in form.modes), "RGB")


def _bits(photo: Photo, form: Format) -> Bits:
    """The most that both have; levels have 8."""
    deepest = 8 if photo.color.dtype == torch.uint8 else photo.bits
    return min(deepest, form.bits)


def _drawn(photo: Photo, mode: str, bits: Bits = 8) -> Image.Image:
    """The pixels alone."""
    pixels = _pixels(photo, mode, bits)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _bands(photo: Photo, mode: str, bits: Bits) -> Iterator[NDArray[Any]]:
    """The pixels from the top, some rows at a time, so that there is never a second copy of them all."""
    height, width = photo.color.shape[-2:]
    count = max(1, png.BAND // width)
    for top in range(0, height, count):
        yield _pixels(photo, mode, bits, slice(top, top + count))


def _pixels(photo: Photo, mode: str, bits: Bits, rows: slice = slice(None)) -> NDArray[Any]:
    """(rows, W, C) contiguous levels; those of a channels_last photo that has them already are its own."""
    color = photo.color[:, :, rows]
    if photo.gray:
        same = color.dtype == torch.uint8 or bool((color == color[:, :1]).all())
        color = color[:, :1] if same else color.float().mean(1, keepdim=True)  # which rounds
    planes = [_levels(color, bits)]
    if photo.gray and mode.startswith("RGB"):
        planes *= 3
    if photo.alpha is not None:
        planes.append(_levels(photo.alpha[:, :, rows], bits))
    joined = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)
    return np.ascontiguousarray(joined[0].transpose(1, 2, 0))


def _levels(plane: Tensor, bits: Bits) -> NDArray[Any]:
    """Levels of values in [0, 1], rounded half up, or those values themselves in 32 bits; uint8 is levels.

    Raises:
        ImageError: a value is NaN or infinite.
    """
    if plane.dtype == torch.uint8:
        if bits == 8:
            return plane.cpu().numpy()
        plane = to_values(plane)
    if not torch.isfinite(plane).all():
        raise ImageError("some values are NaN or infinite; if a model made them, run it in float32")
    values = plane.detach().to("cpu", torch.float32).clamp(0, 1)
    if bits == 32:
        return values.numpy()
    return values.mul_(2**bits - 1).add_(0.5).numpy().astype(np.uint8 if bits == 8 else np.uint16)
