"""An input with its target, as pictures to compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from restore.errors import UsageError
from restore.evaluation.crop import Crop
from restore.images import Photo, read

__all__ = ["Scene"]


@dataclass(frozen=True, eq=False)
class Scene:
    """An image to restore, and what is known about it.

    >>> import torch
    >>> scene = Scene(Photo(torch.rand(1, 3, 8, 8)), target=Photo(torch.rand(1, 3, 32, 32)))
    >>> scene.title, scene.part_of_target(scale=4).color.shape[-2:]
    ('image', torch.Size([32, 32]))
    """

    whole: Photo
    """The input."""
    target: Photo | None = None
    """The original of the input, `scale` times as large."""
    file: Path | None = None
    """Where the input was read from: it names the comparison, and a JPEG file states its quality."""
    crop: Crop | None = None
    """Only this part of the input is restored and compared."""

    @classmethod
    def read(cls, file: Path, target: Path | None = None, crop: Crop | None = None) -> Scene:
        """Read the files of a scene.

        Raises:
            ImageError: a file cannot be read.
        """
        return cls(read(file), read(target) if target else None, file, crop)

    @property
    def title(self) -> str:
        """The name of the file."""
        return self.file.name if self.file else "image"

    def part(self) -> Photo:
        """What is restored, with 8 bits per channel.

        Raises:
            UsageError: the part reaches beyond the image.
        """
        return _part(self.whole, self.crop)

    def part_of_target(self, scale: int) -> Photo | None:
        """What a result is measured against, with 8 bits per channel.

        Raises:
            UsageError: the target is not `scale` times as large as the input.
        """
        if self.target is None:
            return None
        target, (height, width) = _part(self.target, self.crop, scale), self.part().color.shape[-2:]
        found, wanted = target.color.shape[-2:], (height * scale, width * scale)
        if tuple(found) != wanted:
            raise UsageError(
                f"the target has {found[1]}x{found[0]} pixels and the results have {wanted[1]}x{wanted[0]}",
                hint="give the original of this image",
            )
        return target


def _part(photo: Photo, crop: Crop | None, scale: int = 1) -> Photo:
    """The picture or its part, `scale` times as large as the input."""
    return replace(crop.of(photo, scale) if crop else photo, bits=8)
