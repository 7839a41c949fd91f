"""Whether a result shows the block edges and the noise of its input more strongly than its input does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.estimation import Estimate, JpegEstimate, standard_table
from restore.estimation.blocks import luma
from restore.levels import to_values
from restore.resizing import imresize

__all__ = ["Amplification", "amplification"]

_BLOCK = 8
_SIDE = 64  # input pixels of a window
_WINDOWS = 16  # along each side of the image, at most
_EDGES = 64  # block edges that a value is measured on, at least
_FLAT = 0.05  # share of the blocks, the flattest, that noise is measured in
_FLATTEST = 16  # blocks at least


@dataclass(frozen=True)
class Amplification:
    """Strengths in a result, as multiples of those in the bicubic enlargement of its input.

    >>> Amplification(blocks=None, noise=1.5).noise  # 1.5 times the noise of a bicubic enlargement
    1.5
    """

    blocks: float | None
    """Edges between the blocks of JPEG compression; ``None`` where the input has too few that are visible."""
    noise: float | None
    """Noise in flat areas; ``None`` where the input has no visible noise, or is too small."""


def amplification(restored: Tensor, degraded: Tensor, estimate: Estimate) -> Amplification:
    """Compare block edges and noise of a result with those of a bicubic enlargement of its input.

    Both are measured on luma, in windows that are spread over the image. Of the edges between 8x8 blocks,
    those count that are visible in the input as a step along the whole block: larger than the differences
    beside it, but no larger than compression makes them. The strength of an edge is the root of the squared
    gradients across it, averaged along the block so that texture cancels, above those inside of the blocks.
    Their mean is compared, because the squares of a few true edges would outweigh all others. The strength of
    noise is the standard deviation in the flattest blocks of the input.

    Args:
        restored: ``(1, 3, h, w)`` in [0, 1], or uint8 levels.
        degraded: ``(1, 3, H, W)``, the input, in the same range or the other.
        estimate: of the degradation of the input.

    >>> from restore.estimation import estimate
    >>> photo = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    >>> round(amplification(imresize(photo, (256, 256)), photo, estimate(photo)).noise, 2)
    1.0
    """
    jpeg = estimate.jpeg if "jpeg" in estimate.degradations else None
    noisy = "noise" in estimate.degradations
    height, width = degraded.shape[-2:]
    if (jpeg is None and not noisy) or min(height, width) < 4 * _BLOCK:
        return Amplification(None, None)
    scale = max(1, round(restored.shape[-1] / width))
    size = (height * scale, width * scale)
    if tuple(restored.shape[-2:]) != size:
        restored = imresize(to_values(restored, torch.float32), size)
    before, after = _windows(degraded, restored, scale, jpeg.offset if jpeg is not None else (0, 0))
    reference = imresize(before[:, None], (before.shape[-2] * scale, before.shape[-1] * scale))[:, 0]
    return Amplification(
        _edge_ratio(before, after, reference, jpeg) if jpeg is not None else None,
        _noise_ratio(before, after, reference) if noisy else None,
    )


def _windows(
    degraded: Tensor, restored: Tensor, scale: int, offset: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Luma of the same windows of both, in levels: ``(N, side, side)`` and ``(N, side*scale, side*scale)``.

    They begin at corners of the 8x8 grid.
    """
    height, width = degraded.shape[-2] - offset[0], degraded.shape[-1] - offset[1]
    side = min(_SIDE, min(height, width) // _BLOCK * _BLOCK)
    places = [
        (top + offset[0], left + offset[1]) for top in _starts(height, side) for left in _starts(width, side)
    ]
    return (
        _luma([degraded[0, :, y : y + side, x : x + side] for y, x in places]),
        _luma(
            [
                restored[0, :, y * scale : (y + side) * scale, x * scale : (x + side) * scale]
                for y, x in places
            ]
        ),
    )


def _starts(length: int, side: int) -> list[int]:
    """Multiples of 8, evenly spread, at most `_WINDOWS`."""
    last = (length - side) // _BLOCK
    count = min(_WINDOWS, length // side)
    return [round(index * last / max(1, count - 1)) * _BLOCK for index in range(count)]


def _luma(windows: list[Tensor]) -> Tensor:
    return luma(to_values(torch.stack(windows), torch.float32)) * 255


def _edge_ratio(before: Tensor, after: Tensor, reference: Tensor, jpeg: JpegEstimate) -> float | None:
    largest = float(standard_table(jpeg.quality)[0, 0])
    strengths = torch.zeros(2)
    count = 0
    for turned in (False, True):
        x, *results = (image.mT if turned else image for image in (before, after, reference))
        visible = _visible_edges(x, largest)
        count += int(visible.sum())
        strengths += torch.stack([_edge_strengths(y, visible).sum() for y in results])
    if count < _EDGES or strengths[1] <= 0:
        return None
    return max(0.0, float(strengths[0] / strengths[1]))


def _visible_edges(x: Tensor, largest: float) -> Tensor:
    """Which vertical block edges of ``(N, H, W)`` are steps of at most `largest`: ``(N, H/8, W/8 - 1)``."""
    steps = F.pad(x.diff(dim=-1), (1, 0))  # between each column and the one before
    along = _by_blocks(_along(steps, _BLOCK))[..., 1:, 0].abs()
    beside = _by_blocks(_along(steps.abs(), _BLOCK))
    inside = torch.cat([beside[..., :-1, 4:7], beside[..., 1:, 2:5]], -1).mean(-1)
    return (along >= 0.7) & (along >= 1.5 * inside) & (along <= largest)


def _edge_strengths(y: Tensor, visible: Tensor) -> Tensor:
    """Of the visible edges; negative for those that are weaker than what is inside of the blocks."""
    scale = y.shape[-2] // (visible.shape[-2] * _BLOCK)
    steps = _along(F.pad(y.diff(dim=-1), (1, 0)), _BLOCK * scale)  # (N, H/8, W*scale)
    # The enlargement of a step is as wide as a pixel of the input, half of it on either side.
    around = F.pad(steps.square(), (scale // 2, 0))[..., : steps.shape[-1]]
    energy = _by_blocks(around.reshape(*around.shape[:-1], -1, scale).sum(-1))
    inside = torch.cat([energy[..., :-1, 4:6], energy[..., 1:, 3:5]], -1).mean(-1)
    above = (energy[..., 1:, 0] - inside)[visible]
    return above.sign() * above.abs().sqrt()


def _along(rows: Tensor, count: int) -> Tensor:
    """The means of each `count` rows: ``(N, H, W)`` -> ``(N, H/count, W)``."""
    return rows.reshape(len(rows), -1, count, rows.shape[-1]).mean(-2)


def _by_blocks(columns: Tensor) -> Tensor:
    """``(..., W)`` -> ``(..., W/8, 8)``."""
    return columns.reshape(*columns.shape[:-1], -1, _BLOCK)


def _noise_ratio(before: Tensor, after: Tensor, reference: Tensor) -> float | None:
    variances = [
        _block_variances(image, image.shape[-1] // before.shape[-1]) for image in (before, after, reference)
    ]
    count = max(_FLATTEST, round(_FLAT * len(variances[0])))
    if len(variances[0]) < count:
        return None
    flat = variances[0].topk(count, largest=False).indices
    given = float(variances[2][flat].mean())
    return math.sqrt(float(variances[1][flat].mean()) / given) if given else None


def _block_variances(image: Tensor, scale: int) -> Tensor:
    side = _BLOCK * scale
    count = image.shape[-1] // side
    return image.reshape(len(image), count, side, count, side).var((2, 4)).flatten()
