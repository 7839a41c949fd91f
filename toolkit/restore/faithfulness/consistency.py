"""Consistency: how well a downscaled result agrees with its input."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.estimation import Estimate, JpegEstimate, standard_table
from restore.estimation.blocks import dct_matrix
from restore.levels import to_values
from restore.resizing import imresize
from restore.sharpening import gaussian_blur

__all__ = ["consistency", "consistency_map", "contradiction"]

_BLOCK = 8
_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the blur of the input: a result may be blurred by as much to agree with it."""
_DEVIATIONS = 2.0  # of the noise, by which a coefficient of the input may be wrong
_FROM_RGB = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Luma and chroma of JFIF."""
_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:4:0": (2, 1), "4:2:0": (2, 2), "4:1:1": (1, 4)}
"""Rows and columns of luma to one of chroma."""


def consistency(restored: Tensor, degraded: Tensor, estimate: Estimate | None = None) -> float:
    """PSNR in dB of the `contradiction`; infinite without any."""
    error = contradiction(restored, degraded, estimate).square().mean().item()
    return -10 * math.log10(error) if error else math.inf


def consistency_map(restored: Tensor, degraded: Tensor, estimate: Estimate | None = None) -> Tensor:
    """Where a result contradicts its input: the largest difference of the three channels.

    Args:
        restored: see `restore.faithfulness.compare`.
        degraded: likewise.
        estimate: likewise.

    Returns:
        ``(1, 1, H, W)`` in [0, 1], 0 where the reduced result agrees with the input.

    Example:
        >>> from restore.resizing import imresize
        >>> degraded = torch.full((1, 3, 16, 16), 0.5)
        >>> consistency_map(imresize(degraded, (64, 64)), degraded).max() < 1e-4
        tensor(True)
    """
    return contradiction(restored, degraded, estimate).abs().amax(1, keepdim=True)


def contradiction(restored: Tensor, degraded: Tensor, estimate: Estimate | None = None) -> Tensor:
    """The difference between the reduced result and its input, beyond what the input leaves open.

    A JPEG file tells each coefficient of its 8x8 blocks within half a quantization step (the quantization
    constraint of Zakhor, "Iterative procedures for reduction of blocking effects in transform image coding",
    1992), and noise of deviation s disturbs each by s. A coefficient of the difference therefore counts as
    far as it exceeds half a step plus two deviations. Without visible compression and noise, all of it does.

    A visibly blurred input leaves open how sharp the scene is: the reduced result is first blurred by as much
    as agrees best, at most by the estimated width.

    Args:
        restored: ``(1, 3, h, w)`` in [0, 1], or uint8 levels; brought to the input's size as MATLAB's bicubic
            does.
        degraded: ``(1, 3, H, W)``, the input, in the same range or the other.
        estimate: of the degradation of the input.

    Returns:
        ``(1, 3, H, W)`` float64, differences of values in [0, 1].
    """
    given = to_values(degraded, torch.float64)
    reduced = imresize(to_values(restored, torch.float64), (given.shape[-2], given.shape[-1])).clamp(0, 1)
    seen = estimate.degradations if estimate is not None else ()
    blur = estimate.blur.sigma if estimate is not None and estimate.blur and "blur" in seen else 0.0
    difference = min(_differences(reduced, given, blur), key=lambda each: each.square().mean().item())
    jpeg = estimate.jpeg if estimate is not None and "jpeg" in seen else None
    noise = estimate.noise if estimate is not None and "noise" in seen else None
    if jpeg is None and noise is None:
        return difference
    from_rgb = torch.tensor(_FROM_RGB, dtype=torch.float64, device=difference.device)
    planes = torch.einsum("bchw,pc->bphw", difference * 255, from_rgb)
    deviations = from_rgb.norm(dim=1) * (noise.mean_sigma if noise is not None else 0.0)
    certain = [
        _beyond(planes[:, index : index + 1], jpeg, float(deviations[index]), chroma=index > 0)
        for index in range(3)
    ]
    return torch.einsum("bphw,cp->bchw", torch.cat(certain, 1), from_rgb.inverse()) / 255


def _differences(reduced: Tensor, given: Tensor, blur: float) -> Iterator[Tensor]:
    """The difference of a result as it is, and blurred by parts of `blur`."""
    yield reduced - given
    if blur:
        for share in _SHARES:
            yield gaussian_blur(reduced, share * blur) - given


def _beyond(plane: Tensor, jpeg: JpegEstimate | None, deviation: float, *, chroma: bool) -> Tensor:
    """The part of a difference ``(1, 1, H, W)``, in levels, that exceeds the tolerance."""
    height, width = plane.shape[-2:]
    rows, columns, offset = 1, 1, (0, 0)
    tolerance = torch.full((_BLOCK, _BLOCK), _DEVIATIONS * deviation, dtype=plane.dtype)
    if jpeg is not None:
        if chroma:
            rows, columns = _FACTORS[jpeg.subsampling or "4:2:0"]
        offset = jpeg.offset
        tolerance += torch.from_numpy(standard_table(jpeg.quality, chroma=chroma)) / 2
    top, left = -offset[0] % (_BLOCK * rows), -offset[1] % (_BLOCK * columns)
    padding = (top, -(height + top) % (_BLOCK * rows)), (left, -(width + left) % (_BLOCK * columns))
    padded = F.pad(
        plane, (*padding[1], *padding[0]), mode="replicate" if min(height, width) > 1 else "constant"
    )
    small = F.avg_pool2d(padded, (rows, columns))
    shrunk = _shrunk(small, tolerance.to(plane))
    whole = shrunk.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
    return whole[..., top : top + height, left : left + width]


def _shrunk(plane: Tensor, tolerance: Tensor) -> Tensor:
    """Bring each DCT coefficient of each 8x8 block nearer to 0 by its tolerance, at most to 0."""
    height, width = plane.shape[-2:]
    matrix = dct_matrix(_BLOCK).to(plane)
    blocks = plane.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).permute(0, 2, 1, 3)
    coefficients = matrix @ blocks @ matrix.T
    beyond = coefficients.sign() * (coefficients.abs() - tolerance).clamp(min=0)
    return (matrix.T @ beyond @ matrix).permute(0, 2, 1, 3).reshape(plane.shape)
