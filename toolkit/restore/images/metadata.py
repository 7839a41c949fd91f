"""Metadata other than EXIF and color profiles, and which metadata is written to a result."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from PIL import PngImagePlugin, TiffImagePlugin

from restore.errors import escaped
from restore.images import xmp
from restore.images.exif import corrected, plausible_dpi, resolution_in, shortened_to
from restore.images.profiles import fits_pixels
from restore.images.provenance import KEYWORD

if TYPE_CHECKING:
    from PIL import Image

    from restore.images.formats import Format
    from restore.images.photo import Photo
    from restore.images.provenance import Provenance

__all__ = ["SOFTWARE", "carried", "channel_notes", "dpi_of", "omitted_notes", "stored_blocks", "xmp_of"]

SOFTWARE = f"restorekit {version('restorekit')}"

_DAMAGED_XMP = "its XMP was dropped: it is not well-formed, or too large"
_OWN_TEXTS = (KEYWORD, "XML:com.adobe.xmp", "Software", "date:", "Raw profile type ")
"""How texts of a PNG begin that are kept elsewhere, or are about the file itself."""
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_IPTC_RESOURCE = 0x0404  # of Photoshop
_NAMED = 5  # texts in a note
_ROOM_IN_EXIF, _ROOM_IN_XMP = 256, 2048
"""Bytes that the software, the resolution and the provenance may add."""
_TIFF_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}
"""Channels of color by the value of PhotometricInterpretation."""


def xmp_of(info: dict[Any, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """The XMP packet of an image by its ``info``, if any, and a note if it is damaged and was dropped."""
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):  # as PNG keeps it
        packet = packet.encode(errors="replace")
    if not isinstance(packet, bytes):
        return None, ()
    kept = xmp.cleared(packet)
    return kept, () if kept or not packet.strip(b"\0 ") else (_DAMAGED_XMP,)


def channel_notes(photometric: int | None, samples: int, *, alpha: bool) -> tuple[str, ...]:
    """The note on channels of a TIFF file beyond color and alpha, such as near infrared.

    >>> channel_notes(2, 4, alpha=False)
    ('only 3 of its 4 channels were used',)
    """
    used = _TIFF_CHANNELS.get(photometric or 0, samples) + alpha
    verb = "was" if used == 1 else "were"
    return (f"only {used} of its {samples} channels {verb} used",) if used < samples else ()


def omitted_notes(image: Image.Image) -> tuple[str, ...]:
    """Notes on metadata that results do not keep; `image` is decoded."""
    found = []
    if _has_extended_xmp(image):
        found.append("the extended part of its XMP was dropped")
    if _has_iptc(image):
        found.append("its IPTC data was dropped")
    # Of JPEG 2000, it names the encoder.
    comment = image.info.get("comment", b"") if image.format in ("JPEG", "MPO", "GIF") else b""
    is_ours = isinstance(comment, bytes) and comment.startswith(KEYWORD.encode())
    texts = [] if is_ours or not comment else ["comment"]
    if isinstance(image, PngImagePlugin.PngImageFile):
        texts += [name for name in image.text if not name.startswith(_OWN_TEXTS)]
    if texts:
        names = ", ".join(escaped(name) for name in texts[:_NAMED]) + ", ..." * (len(texts) > _NAMED)
        found.append(f"its text was dropped: {names}")
    return tuple(found)


def _has_extended_xmp(image: Image.Image) -> bool:
    segments = getattr(image, "applist", ())  # of a JPEG
    return any(name == "APP1" and data.startswith(_EXTENDED_XMP) for name, data in segments)


def _has_iptc(image: Image.Image) -> bool:
    photoshop = image.info.get("photoshop")
    if isinstance(photoshop, dict) and photoshop.get(_IPTC_RESOURCE):
        return True
    return isinstance(image, TiffImagePlugin.TiffImageFile) and TiffImagePlugin.IPTC_NAA_CHUNK in image.tag_v2


def dpi_of(info: dict[Any, Any], exif: bytes | None = None) -> tuple[float, float] | None:
    """The resolution, or `None` for the placeholder values that mean "unknown"."""
    try:
        x, y = (float(value) for value in info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return resolution_in(exif) if exif else None
    return plausible_dpi(x, y)


def carried(
    photo: Photo, form: Format, mode: str, *, provenance: Provenance | None = None, strip: bool = False
) -> dict[str, Any]:
    """The metadata to write into a file of this mode, by Pillow's names.

    PNG has a place of its own for the provenance, in the others it becomes a part of the XMP packet.
    """
    fits = fits_pixels(photo.icc_profile, gray=not mode.startswith("RGB"))
    found: dict[str, Any] = {"icc_profile": photo.icc_profile if fits else None, "dpi": photo.dpi}
    if not strip:
        exif, packet = stored_blocks(photo, form)
        found["exif"] = exif and corrected(exif, photo.dpi, SOFTWARE if provenance else None)
        found["xmp"] = xmp.with_resolution(packet, photo.dpi) if packet and photo.dpi else packet
        if provenance and form.name != "PNG":
            found["xmp"] = xmp.with_provenance(found["xmp"], provenance.to_text(), SOFTWARE)
    return {name: value for name, value in found.items() if value is not None and name in form.carries}


def stored_blocks(photo: Photo, form: Format) -> tuple[bytes | None, bytes | None]:
    """The EXIF data and the XMP packet of a photo, as far as the format has space for them."""
    exif, packet = photo.exif, photo.xmp
    if form.longest_block:
        exif = exif and shortened_to(form.longest_block - _ROOM_IN_EXIF, exif)
        packet = packet if packet and len(packet) <= form.longest_block - _ROOM_IN_XMP else None
    return exif, packet
