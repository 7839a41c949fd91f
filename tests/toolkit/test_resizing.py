"""Bicubic resizing against MATLAB's algorithm, written out as its loops."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from restore import resizing
from restore.degradation import bicubic, crop_to_multiple
from restore.resizing import Edges, enlarge, imresize, quantize


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def resize_line(line: NDArray[np.float64], target: int, edges: Edges) -> NDArray[np.float64]:
    """MATLAB's `contributions`, in its own 1-based coordinates, one output at a time."""
    size = len(line)
    scale = target / size
    stretch = min(scale, 1.0)
    width = 4 / stretch
    result = np.zeros(target)
    for index in range(1, target + 1):
        u = index / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        total = 0.0
        for tap in range(left, left + math.ceil(width) + 2):
            weight = stretch * cubic(stretch * (u - tap))
            place = tap - 1
            if edges == "symmetric":
                place %= 2 * size
                place = place if place < size else 2 * size - 1 - place
            else:
                place = min(max(place, 0), size - 1)
            total += weight
            result[index - 1] += weight * line[place]
        result[index - 1] /= total
    return result


@pytest.mark.parametrize("edges", ["symmetric", "replicate"])
@pytest.mark.parametrize(
    ("size", "target"), [(1, 4), (2, 8), (7, 28), (24, 6), (24, 8), (23, 9), (5, 1), (9, 9)]
)
def test_a_line_is_resized_as_matlab_does(size: int, target: int, edges: Edges) -> None:
    line = np.random.default_rng(size).random(size)
    image = torch.tensor(line).view(1, 1, 1, size)
    ours = imresize(image, (1, target), edges=edges).flatten().numpy()
    np.testing.assert_allclose(ours, resize_line(line, target, edges), atol=1e-13)


def test_the_two_axes_are_independent() -> None:
    image = torch.rand(2, 3, 8, 12, dtype=torch.float64)
    both = imresize(image, (4, 24))
    rows = imresize(image, (4, 12))
    torch.testing.assert_close(both, imresize(rows, (4, 24)), rtol=0, atol=1e-14)
    turned = imresize(image.transpose(-1, -2), (24, 4)).transpose(-1, -2)
    torch.testing.assert_close(both, turned, rtol=0, atol=1e-14)


def test_rounding_between_the_passes_changes_the_result() -> None:
    image = quantize(torch.rand(1, 1, 32, 32, dtype=torch.float64))
    rounded = imresize(image, (8, 8), round_passes=True)
    rows = quantize(imresize(image, (8, 32)))
    assert torch.equal(rounded, quantize(imresize(rows, (8, 8))))
    assert not torch.equal(rounded, quantize(imresize(image, (8, 8))))


def test_autocast_does_not_make_it_coarse() -> None:
    image = torch.rand(1, 3, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = imresize(image, (36, 36))
    assert inside.dtype == torch.float32
    assert torch.equal(inside, imresize(image, (36, 36)))


@pytest.mark.parametrize("edges", ["symmetric", "replicate"])
@given(size=st.integers(1, 90), target=st.integers(1, 200), block=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_a_matrix_in_blocks_is_the_same_matrix(size: int, target: int, block: int, edges: Edges) -> None:
    image = torch.rand(1, 2, size, 3, dtype=torch.float64)
    whole = imresize(image, (target, 3), edges=edges)
    with patch.multiple(resizing, _SMALL=0, _BLOCK=block):
        resizing._kept_blocks.cache_clear()
        blocks = resizing._kept_blocks(size, target, edges, image.dtype, image.device)
        in_blocks = imresize(image, (target, 3), edges=edges)
    resizing._kept_blocks.cache_clear()
    torch.testing.assert_close(in_blocks, whole, rtol=0, atol=1e-12)
    assert len(blocks) >= target // max(block * target // min(size, target), 1)


def test_weights_that_were_kept_without_gradients_serve_where_one_is_needed() -> None:
    image = torch.rand(1, 3, 11, 13, requires_grad=True)
    with torch.inference_mode():
        imresize(image, (22, 26))
    torch.autograd.backward(imresize(image, (22, 26)).sum())
    assert image.grad is not None
    torch.testing.assert_close(image.grad.sum(), torch.tensor(3.0 * 22 * 26))


def test_halves_round_up_whatever_the_precision() -> None:
    halves = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    for dtype in (torch.float32, torch.float64):
        levels = (quantize(halves.to(dtype)) * 255).round()
        assert torch.equal(levels, torch.arange(1, 256, dtype=dtype))


def test_the_degraded_image_of_a_constant_is_the_constant() -> None:
    image = torch.full((1, 3, 16, 24), 77 / 255, dtype=torch.float64)
    for release in ("current", "older"):
        torch.testing.assert_close(
            bicubic(image, 4, release=release), torch.full((1, 3, 4, 6), 77 / 255).double()
        )


def test_the_two_releases_differ_at_the_edge() -> None:
    image = quantize(torch.rand(1, 3, 32, 32, dtype=torch.float64))
    assert not torch.equal(bicubic(image, 4), bicubic(image, 4, release="older"))


def test_a_size_that_is_no_multiple_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="33x32 is not a multiple of the scale 4: crop it first"):
        bicubic(torch.rand(1, 3, 33, 32), 4)
    assert crop_to_multiple(torch.rand(1, 3, 33, 35), 4).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="3x9 pixels are too few for a scale of 4"):
        crop_to_multiple(torch.rand(1, 3, 9, 3), 4)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 1), (3, 2), (33, 47)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_enlarging_for_a_graph_equals_resizing(size: tuple[int, int], scale: int) -> None:
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    resized = imresize(image, (scale * size[0], scale * size[1]))
    torch.testing.assert_close(enlarge(image, scale), resized, rtol=0, atol=1e-14)
