"""Animated GIF, WebP, PNG and AVIF: frames, durations and loop count."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import torch

from restore.errors import ImageError
from restore.images.fitting import prepared
from restore.images.formats import GIF, PNG, WEBP, format_of
from restore.images.limits import MAX_PIXELS, check_declared_size, declared_by
from restore.images.metadata import carried
from restore.images.opening import opened_file, pillow_image
from restore.images.photo import Animation, Photo
from restore.images.pixels import with_palette
from restore.images.reading import photo_of, read
from restore.images.writing import explained_writing, save_options, to_pil
from restore.levels import to_levels

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from restore.images.provenance import Provenance

__all__ = ["holds_animation", "read_all", "write_animation"]

_MOVING = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
_TO_BACKGROUND = 2
_ALPHA_FLAG = 0x10


def holds_animation(path: Path) -> bool:
    """Whether a file of this name can be written by `write_animation`."""
    try:
        return format_of(path).animated
    except ImageError:
        return False


def read_all(path: Path, *, max_pixels: int | None = MAX_PIXELS) -> Photo | Animation:
    """Every frame of an animation; of any other file what `read` gives, which may be the first of its pages.

    Args:
        path: of the file.
        max_pixels: as for `read`, for all frames together; ``None`` is any number.

    Raises:
        ImageError: as for `read`.
    """
    first = read(path, max_pixels=max_pixels)
    if first.frames == 1:
        return first
    with opened_file(path) as file, pillow_image(file, max_pixels) as image:
        if image.format not in _MOVING:
            return first
        check_declared_size(declared_by(image, file), max_pixels)
        size = image.size
        begin = 1 if image.info.get("default_image") else 0  # which is for those who show no animation
        frames, durations = [], []
        for index in range(begin, first.frames):
            image.seek(index)
            image.load()
            shown = image.crop((0, 0, *size))  # a frame of a GIF may reach beyond the screen
            frames.append(_as_levels(photo_of(shown)))
            durations.append(float(image.info.get("duration", 0)))
        plays = _plays(image)
    gray = all(frame.gray for frame in frames)
    bare = [Photo(frame.color, frame.alpha, gray, icc_profile=first.icc_profile) for frame in frames]
    carrier = replace(first, color=bare[0].color, alpha=bare[0].alpha, gray=gray, bits=8)
    return Animation((carrier, *bare[1:]), tuple(durations), plays)


def write_animation(
    animation: Animation,
    path: Path,
    *,
    quality: int | None = None,
    provenance: Provenance | None = None,
    strip: bool = False,
) -> None:
    """Write all frames in the format that the suffix names.

    Frames that equal the one before become a longer showing of that one, where the encoder does so. GIF
    counts in hundredths of a second, and has 255 colors per frame.

    Args:
        animation: its frames are of one size.
        path: missing parent folders are made.
        quality: as for `write`.
        provenance: as for `write`.
        strip: as for `write`.

    Raises:
        ImageError: as for `write`, and if the format cannot store animations.
    """
    with explained_writing(path):
        form = format_of(path)
        if not form.animated:
            raise ImageError(f"{form.name} cannot store animations", hint="choose .gif, .webp or .png")
        photos = [prepared(frame, form) for frame in animation.frames]
        if any(frame.alpha is not None for frame in photos):
            photos = [_with_alpha(frame) for frame in photos]
        told = None if strip else provenance
        images = [_drawn(frame) for frame in photos]
        along = carried(photos[0], form, images[0].mode, provenance=told, strip=strip)
        lossless = animation.frames[0].lossless
        options = save_options(
            form, images[0].mode, along, quality=quality, provenance=told, lossless=lossless
        )
        if form is GIF and images[0].mode == "RGBA":
            images = [with_palette(image) for image in images]
        options |= _timing(animation, form.name, clear=photos[0].alpha is not None)
        buffer = BytesIO()
        images[0].save(buffer, form.name, save_all=True, append_images=images[1:], **options)
        data = bytearray(buffer.getvalue())
        if form is WEBP and images[0].mode == "RGBA" and data[12:16] == b"VP8X":
            # The encoder forgets to say that there is transparency where it lies outside of all its parts.
            data[20] |= _ALPHA_FLAG
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _timing(animation: Animation, name: str, *, clear: bool) -> dict[str, Any]:
    durations = [round(duration) for duration in animation.durations]
    options: dict[str, Any] = {"duration": durations, "loop": animation.plays}
    if name == GIF.name:
        # GIF counts the repetitions, and without a count there are none.
        options["loop"] = max(animation.plays - 1, 0)
        if animation.plays == 1:
            del options["loop"]
        # Each frame is whole: where one is clear, the last one must not show through.
        options["disposal"] = _TO_BACKGROUND if clear else 1
    if name == PNG.name:
        options |= {"disposal": 0, "blend": 0}
    return options


def _plays(image: Image.Image) -> int:
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else loop + 1 if loop else 0
    return int(loop or 0)


def _as_levels(photo: Photo) -> Photo:
    alpha = None if photo.alpha is None else to_levels(photo.alpha)
    return replace(photo, color=to_levels(photo.color), alpha=alpha)


def _with_alpha(photo: Photo) -> Photo:
    """Add an opaque alpha channel, so that all frames have the same mode."""
    if photo.alpha is not None:
        return photo
    full = 255 if photo.color.dtype == torch.uint8 else 1
    return replace(photo, alpha=torch.full_like(photo.color[:, :1], full))


def _drawn(photo: Photo) -> Image.Image:
    """In a mode that every encoder of animations knows."""
    image = to_pil(photo)
    return image.convert("RGBA") if image.mode == "LA" else image
