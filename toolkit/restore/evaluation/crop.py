"""A rectangle of the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

from restore.errors import UsageError, escaped
from restore.images import Photo

__all__ = ["Crop"]


@dataclass(frozen=True)
class Crop:
    """A rectangle in pixels of the input."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Crop:
        """From ``LEFT,TOP,WIDTH,HEIGHT``.

        >>> Crop.parse("8, 4, 20, 10")
        Crop(left=8, top=4, width=20, height=10)

        Raises:
            UsageError: those are not four whole numbers, or there is nothing inside.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise UsageError(
                f"`crop` takes LEFT,TOP,WIDTH,HEIGHT in input pixels, but got '{escaped(text)}'",
                hint="give four whole numbers, such as 0,0,64,64",
            )
        crop = cls(*map(int, parts))
        if not crop.width or not crop.height:
            raise UsageError(f"the width and height of `crop` start at 1, but got '{text}'")
        return crop

    def of(self, photo: Photo, scale: int = 1) -> Photo:
        """This part of `photo`, which is `scale` times as large as the input.

        Raises:
            UsageError: a part of it lies outside.
        """
        height, width = (side // scale for side in photo.color.shape[-2:])
        if self.left + self.width > width or self.top + self.height > height:
            raise UsageError(
                f"the `crop` {self.left},{self.top},{self.width},{self.height} reaches beyond the image, "
                f"which has {width}x{height} pixels",
                hint="give a smaller part",
            )
        rows = slice(self.top * scale, (self.top + self.height) * scale)
        columns = slice(self.left * scale, (self.left + self.width) * scale)
        alpha = None if photo.alpha is None else photo.alpha[..., rows, columns]
        return replace(photo, color=photo.color[..., rows, columns], alpha=alpha)
