"""Check that degraded images are aligned with their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restore.degradation import crop_to_multiple
from restore.errors import escaped
from restore.estimation.blocks import luma
from restore.images import read_levels
from restore.levels import to_values
from restore.resizing import imresize

__all__ = ["Offset", "check_alignment", "offset"]

_CHECKED = 16  # pairs of a data set
_SIDE = 256  # input pixels of the part that is compared
_FARTHEST = 16  # input pixels
_FINE = 20  # steps of a pixel
_SHIFTED = 0.3  # input pixels; a degradation that takes the first of each 4 pixels shifts by 0.375
_ALIKE = 0.5  # least correlation of two images of one scene; noise of sigma 50 leaves about 0.7
_CLEAR = 6.0  # height of a peak in standard deviations, below which the images have too little content


@dataclass(frozen=True)
class Offset:
    """The shift of a degraded image against its downscaled target."""

    x: float
    """Input pixels to the right."""
    y: float
    """Input pixels down."""
    correlation: float
    """Of their luma at this offset: 1 where they are equal up to brightness and contrast."""
    is_clear: bool
    """Whether there is enough content to tell."""

    @property
    def distance(self) -> float:
        """In input pixels."""
        return float((self.x**2 + self.y**2) ** 0.5)


def offset(degraded: Tensor, target: Tensor) -> Offset:
    """Estimate how far a degraded image is shifted against its target, from the correlation of their edges.

    Strong blur and noise change the estimate by up to a quarter of a pixel.

    Args:
        degraded: ``(1, 3, h, w)`` in [0, 1].
        target: ``(1, 3, scale*h, scale*w)`` in [0, 1]; it is reduced by bicubic.

    Returns:
        The offset, at most 16 input pixels along each axis.

    >>> target = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    >>> found = offset(imresize(target.roll(8, dims=-1), (32, 32)), target)
    >>> round(found.x, 1), round(found.y, 1)
    (2.0, 0.0)
    """
    height, width = degraded.shape[-2:]
    first, second = (
        _center(luma(image.double())[0]) for image in (degraded, imresize(target, (height, width)))
    )
    spectrum = _edge_spectrum(first, second)
    x, y, is_clear = _peak(spectrum, (first.shape[-2], first.shape[-1]))
    return Offset(x, y, _correlation(first, second, round(x), round(y)), is_clear)


def check_alignment(pairs: Sequence[tuple[Path, Path]], scale: int) -> list[str]:
    """Look for a shift in a sample of pairs.

    Args:
        pairs: targets with their degraded images, of the right sizes.
        scale: target pixels per input pixel.

    Returns:
        A sentence about the pairs that are shifted, and one about those that show different scenes; each
        names the worst.

    Raises:
        ImageError: a file cannot be read.
    """
    count = min(_CHECKED, len(pairs))
    chosen = [pairs[index * len(pairs) // count] for index in range(count)]
    found = {
        degraded: offset(
            to_values(read_levels(degraded)[None]),
            crop_to_multiple(to_values(read_levels(target)[None]), scale),
        )
        for target, degraded in chosen
    }
    other = {file: each for file, each in found.items() if each.correlation < _ALIKE}
    shifted = {
        file: each
        for file, each in found.items()
        if each.is_clear and each.distance >= _SHIFTED and file not in other
    }
    checked = f"of {count} degraded images that were checked"
    sentences = []
    if shifted:
        worst = max(shifted, key=lambda file: shifted[file].distance)
        by = shifted[worst]
        sentences.append(
            f"{len(shifted)} {checked} are shifted against their targets, most of all "
            f"'{escaped(str(worst))}': by {by.x:+.2f} input pixels to the right and {by.y:+.2f} down"
        )
    if other:
        worst = min(other, key=lambda file: other[file].correlation)
        sentences.append(
            f"{len(other)} {checked} do not look like their targets, least of all '{escaped(str(worst))}'"
        )
    return sentences


def _center(image: Tensor) -> Tensor:
    """At most 256 pixels wide and high."""
    top, left = (max(0, (side - _SIDE) // 2) for side in image.shape)
    return image[top : top + _SIDE, left : left + _SIDE]


def _edge_spectrum(first: Tensor, second: Tensor) -> Tensor:
    """The spectrum of the correlation of the gradients of two images."""
    total = torch.zeros(first.shape, dtype=torch.complex128)
    height, width = first.shape
    window = torch.outer(
        torch.hann_window(height, dtype=torch.float64), torch.hann_window(width, dtype=torch.float64)
    )
    for axis in (0, 1):
        spectra = []
        for image in (first, second):
            edges = (image.roll(-1, axis) - image.roll(1, axis)) * window
            spectra.append(torch.fft.fft2(edges))
        total += spectra[0] * spectra[1].conj()
    return total


def _peak(spectrum: Tensor, size: tuple[int, int]) -> tuple[float, float, bool]:
    """Where the correlation is highest, to a fraction of a pixel, and whether it stands out."""
    values = torch.fft.ifft2(spectrum).real
    reach = [min(_FARTHEST, (side - 1) // 2) for side in size]
    near = values.roll(reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    row, column = divmod(int(near.argmax()), near.shape[1])
    coarse = row - reach[0], column - reach[1]
    steps = torch.arange(-_FINE, _FINE + 1, dtype=torch.float64) / _FINE
    rows, columns = (
        torch.exp(2j * torch.pi * torch.outer(start + steps, torch.fft.fftfreq(side, dtype=torch.float64)))
        for start, side in zip(coarse, size, strict=True)
    )
    fine = (rows @ spectrum @ columns.T).real
    row, column = divmod(int(fine.argmax()), fine.shape[1])
    is_clear = bool(near.max() > _CLEAR * values.std())
    return float(coarse[1] + steps[column]), float(coarse[0] + steps[row]), is_clear


def _correlation(first: Tensor, second: Tensor, x: int, y: int) -> float:
    """Of the parts of two images that overlap when the second is moved; 1 where one of them is flat."""
    height, width = first.shape
    a = first[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
    b = second[max(-y, 0) : height + min(-y, 0), max(-x, 0) : width + min(-x, 0)]
    a, b = a - a.mean(), b - b.mean()
    norm = float(a.norm() * b.norm())
    return float((a * b).sum()) / norm if norm > 1e-6 else 1.0
