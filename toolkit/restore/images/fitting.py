"""Adapt a photo to what an output format can store, and report what is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from restore.errors import ImageError
from restore.images.color import conversion_of
from restore.images.formats import AVIF, BMP, GIF, HEIC, Format, format_of
from restore.images.metadata import carried, stored_blocks
from restore.images.pixels import bits_of, check_shapes, is_partial, levels, mode_of

if TYPE_CHECKING:
    from pathlib import Path

    from restore.images.photo import Photo

__all__ = ["losses", "prepared"]


def losses(photo: Photo, path: Path) -> tuple[str, ...]:
    """Sentences about what the format of `path` cannot store of `photo`; empty for an unknown suffix."""
    try:
        form = format_of(path)
    except ImageError:
        return ()
    found = []
    if (bits := bits_of(photo, form)) < photo.bits and photo.color.dtype != torch.uint8:
        deeper = "floating point" if photo.bits == 32 else f"{photo.bits} bits"
        found.append(f"{form.name} stores {bits} bits per channel, not {deeper}")
    if photo.gray and not mode_of(photo, form).startswith("L"):
        found.append(f"{form.name} stores this gray as RGB")
    if form.cutout and photo.alpha is not None and is_partial(photo.alpha):
        found.append(f"{form.name} cannot store partial transparency")
    if photo.lossless and form in (AVIF, HEIC):
        found.append(f"{form.name} is written with lossy compression, although the original is lossless")
    if photo.icc_profile and "icc_profile" not in form.carries:
        found += filter(None, [_profile_note(form, photo.icc_profile)])
    lost = [name.upper() for name in ("exif", "xmp") if getattr(photo, name) and name not in form.carries]
    if lost:
        found.append(f"{form.name} cannot store {' and '.join(lost)}")
    exif, packet = stored_blocks(photo, form)
    if exif != photo.exif:
        dropped = "its largest tags were dropped" if exif else "it was dropped"
        found.append(f"the EXIF data is too long for {form.name}: {dropped}")
    if packet != photo.xmp:
        found.append(f"the XMP is too long for {form.name}: it was dropped")
    return tuple(found)


def prepared(photo: Photo, form: Format) -> Photo:
    """Reduce `photo` to what the format can store: drop opaque alpha, convert to sRGB without a profile.

    Raises:
        ImageError: the format cannot store this size or transparency, or the shapes are wrong.
    """
    check_shapes(photo)
    height, width = photo.color.shape[-2:]
    if max(height, width) > form.longest:
        raise ImageError(
            f"{form.name} stores at most {form.longest} pixels per side, not {width} x {height}",
            hint="choose .png or .tif",
        )
    if photo.alpha is not None and (form in (BMP, GIF) or not form.has_alpha):
        opaque = levels(photo.alpha, 8).min() == 255
        if not (opaque or form.has_alpha):
            raise ImageError(f"{form.name} cannot store its transparency", hint="choose .png or .webp")
        photo = replace(photo, alpha=None) if opaque else photo
    if photo.icc_profile and "icc_profile" not in carried(photo, form, mode_of(photo, form)):
        return _in_srgb(photo, photo.icc_profile)
    return photo


def _in_srgb(photo: Photo, profile: bytes) -> Photo:
    """The photo in sRGB, without its profile; unchanged if that is damaged or sRGB."""
    conversion = conversion_of(profile)
    if conversion is None or conversion.is_identity:
        return photo
    if photo.color.dtype == torch.uint8:
        srgb = conversion.levels_to_srgb(photo.color)
    else:
        srgb = conversion.to_srgb(photo.color.cpu()).clamp(0, 1)
    return replace(photo, color=srgb, icc_profile=None)


def _profile_note(form: Format, profile: bytes) -> str | None:
    """The note on a lost color profile; `None` if it is sRGB, which viewers assume without one."""
    conversion = conversion_of(profile)
    if conversion and conversion.is_identity:
        return None
    effect = "became sRGB" if conversion else "are no longer described, and its profile is damaged"
    return f"{form.name} cannot store a color profile: its colors {effect}"
