"""NIQE, the natural image quality evaluator (Mittal, Soundararajan, Bovik 2013), without a target."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from restore.metrics import luma
from restore.resizing import imresize

__all__ = ["BLOCK", "niqe"]

BLOCK = 96
"""Side in pixels of the blocks that the image is divided into."""

_PARAMETERS = Path(__file__).with_name("niqe_release.safetensors")
"""Mean and covariance of the features of pristine photographs, of the authors' MATLAB release (free to use
with a notice), as BasicSR 1.4.2 ships them under Apache-2.0."""

_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))


def niqe(restored: Tensor, *, gray: bool) -> float:
    """How far the statistics of an image are from those of pristine photographs; smaller is better.

    It follows the authors' release: local contrast is normalized (Eq. 1), the distributions of the result
    and of products of neighbors are fitted in blocks of 96x96 pixels and of half the resolution (Eq. 4 to
    8), and their mean and covariance are compared with those of the release's photographs (Eq. 10). The
    image is its luma in studio range, rounded to 8 bits, as most super-resolution papers have it; the
    release converts to gray otherwise.

    Args:
        restored: ``(1, 3, H, W)`` in [0, 1].
        gray: the file has one channel, which is then its own luma.

    Raises:
        ValueError: the image holds fewer than two blocks.
    """
    image = luma(restored, gray=gray)
    rows, columns = (side // BLOCK for side in image.shape[-2:])
    if rows * columns < 2:
        raise ValueError(
            f"{image.shape[-1]}x{image.shape[-2]} pixels are too few for NIQE: it needs two blocks of "
            f"{BLOCK}x{BLOCK}"
        )
    image = image[..., : rows * BLOCK, : columns * BLOCK]
    half = imresize(image / 255, (rows * BLOCK // 2, columns * BLOCK // 2)) * 255
    features = torch.cat([_features(image, BLOCK), _features(half, BLOCK // 2)], dim=1)  # (blocks, 36)
    whole = features[~features.isnan().any(1)]
    parameters = _pristine()
    difference = features.nanmean(0) - parameters["mean"]
    covariance = (torch.cov(whole.T) + parameters["covariance"]) / 2
    return math.sqrt(float(difference @ torch.linalg.pinv(covariance) @ difference))


@cache
def _pristine() -> dict[str, Tensor]:
    return load_file(_PARAMETERS)


def _features(image: Tensor, block: int) -> Tensor:
    """18 numbers for each block: ``(1, 1, H, W)`` in [0, 255] -> ``(blocks, 18)``."""
    mean = _blurred(image)
    deviation = (_blurred(image.square()) - mean.square()).abs().sqrt()
    blocks = F.unfold((image - mean) / (deviation + 1), block, stride=block)  # (1, block^2, blocks)
    normalized = blocks[0].T.reshape(-1, block, block)
    shape, left, right, _ = _fitted(normalized)
    features = [shape, (left + right) / 2]
    for shift in _NEIGHBORS:
        shape, left, right, ratio = _fitted(normalized * normalized.roll(shift, (1, 2)))
        features += [shape, (right - left) * ratio, left, right]
    return torch.stack(features, dim=1)


def _fitted(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Asymmetric generalized Gaussians by their moments (Lasmar, Stitou, Berthoumieu 2009), for each block.

    Args:
        blocks: ``(N, h, w)``.

    Returns:
        Shape, left and right scale, and ``gamma(2/shape) / gamma(1/shape)``, each ``(N,)``; NaN where one
        side is empty.
    """
    values = blocks.flatten(1)
    left, right = (
        (values.square() * side).sum(1).div(side.sum(1)).sqrt() for side in (values < 0, values > 0)
    )
    shapes, ratios = _shapes()
    skew = left / right
    moment = values.abs().mean(1).square() / values.square().mean(1)
    wanted = moment * (skew**3 + 1) * (skew + 1) / (skew**2 + 1).square()
    above = torch.searchsorted(ratios, wanted.nan_to_num().contiguous()).clamp(1, len(ratios) - 1)
    nearer = (wanted - ratios[above - 1]).abs() <= (ratios[above] - wanted).abs()
    shape = shapes[torch.where(nearer, above - 1, above)]
    scale = torch.exp((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2)
    ratio = torch.exp(torch.lgamma(2 / shape) - torch.lgamma(1 / shape))
    return torch.where(wanted.isnan(), wanted, shape), left * scale, right * scale, ratio


@cache
def _shapes() -> tuple[Tensor, Tensor]:
    """Shapes from 0.2 to 10 in thousandths, and their ratios of moments, which grow with them."""
    shapes = torch.arange(200, 10_001, dtype=torch.float64) / 1000
    log = 2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)
    return shapes, log.exp()


def _blurred(image: Tensor) -> Tensor:
    """Gaussian window of 7x7 pixels with a standard deviation of 7/6; edges are repeated."""
    position = torch.arange(-3, 4, dtype=image.dtype)
    window = torch.exp(-(position**2) / (2 * (7 / 6) ** 2))
    window = (window / window.sum()).view(1, 1, 1, -1)
    padded = F.pad(image, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, window), window.transpose(-1, -2))
