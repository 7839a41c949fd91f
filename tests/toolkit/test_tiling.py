"""Tiles cover an image once and change nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from restore.resizing import imresize
from restore.tiling import map_tiles, tiles

sides = st.integers(1, 60)


@given(height=sides, width=sides, size=st.integers(1, 40), halo=st.integers(0, 10), stride=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_inner_parts_cover_each_pixel_once_and_margins_stay_inside(
    height: int, width: int, size: int, halo: int, stride: int
) -> None:
    count, read = torch.zeros(height, width), set()
    most = max(size // stride, 1) * stride + -(-halo // stride) * stride
    for tile in tiles(height, width, size, halo, stride):
        assert tile.outer_top % stride == tile.outer_left % stride == 0
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert max(tile.bottom - tile.top, tile.right - tile.left) <= most
        for inner, outer, end in (
            ((tile.top, tile.bottom), (tile.outer_top, tile.outer_bottom), height),
            ((tile.left, tile.right), (tile.outer_left, tile.outer_right), width),
        ):
            assert outer[0] == 0 or 0 < outer[0] <= inner[0] - halo
            assert outer[1] == end or inner[1] + halo <= outer[1] < end
        read.add(
            tuple(
                -(-(end - begin) // stride)
                for begin, end in (
                    (tile.outer_top, tile.outer_bottom),
                    (tile.outer_left, tile.outer_right),
                )
            )
        )
    assert len(read) == 1
    assert (count == 1).all()


@given(height=sides, width=sides, size=st.integers(1, 40), scale=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_tiles_of_a_local_model_equal_the_whole(height: int, width: int, size: int, scale: int) -> None:
    image = torch.rand(2, 3, height, width, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return imresize(x, (x.shape[-2] * scale, x.shape[-1] * scale))

    result = torch.full((2, 3, height * scale, width * scale), -1.0, dtype=torch.float64)
    for tile, inner in map_tiles(model, image, scale=scale, size=size, halo=2):
        tile.place(result, scale).copy_(inner)
    torch.testing.assert_close(result, model(image), rtol=0, atol=1e-12)


@pytest.mark.parametrize("room", [150, 60, 26])
def test_tiles_are_quartered_where_memory_runs_out(room: int) -> None:
    """Those that are done stay done; the rest goes on with smaller ones."""
    image = torch.rand(1, 3, 40, 31, dtype=torch.float64)
    seen: list[int] = []

    def model(x: Tensor) -> Tensor:
        if seen and x.shape[-2] * x.shape[-1] > room:
            raise torch.OutOfMemoryError
        seen.append(x.shape[-2] * x.shape[-1])
        return imresize(x, (x.shape[-2] * 2, x.shape[-1] * 2))

    count = torch.zeros(40, 31)
    result = torch.zeros(1, 3, 80, 62, dtype=torch.float64)
    for tile, inner in map_tiles(model, image, scale=2, size=16, halo=2):
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
        tile.place(result, 2).copy_(inner)
    assert (count == 1).all()
    assert max(seen[1:]) <= room < seen[0]
    torch.testing.assert_close(result, imresize(image, (80, 62)), rtol=0, atol=1e-12)


class MergesSquares:
    """Sums over 2x2 squares, spread by two squares: a halo of 5 from a pixel at either position."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[-2] * x.shape[-1] > self.room:
            raise torch.OutOfMemoryError
        height, width = x.shape[-2:]
        squares = F.pixel_unshuffle(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"), 2)
        spread = F.avg_pool2d(squares, 5, stride=1, padding=2)
        return F.pixel_shuffle(spread, 2)[..., :height, :width]


@given(height=sides, width=sides, size=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_tiles_of_a_model_with_a_stride_equal_the_whole(height: int, width: int, size: int) -> None:
    image = torch.rand(1, 3, height, width, dtype=torch.float64)
    result = torch.full_like(image, -1)
    for tile, inner in map_tiles(MergesSquares(), image, scale=1, size=size, halo=5, stride=2):
        tile.place(result, 1).copy_(inner)
    torch.testing.assert_close(result, MergesSquares()(image), rtol=0, atol=1e-12)


@pytest.mark.parametrize("room", [450, 250, 200])
def test_quarters_of_tiles_begin_at_multiples_of_the_stride(room: int) -> None:
    image = torch.rand(1, 3, 41, 31, dtype=torch.float64)
    result = torch.full_like(image, -1)
    for tile, inner in map_tiles(MergesSquares(room), image, scale=1, size=20, halo=5, stride=2):
        tile.place(result, 1).copy_(inner)
    torch.testing.assert_close(result, MergesSquares()(image), rtol=0, atol=1e-12)


def test_no_room_for_a_pixel_is_told() -> None:
    def model(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        list(map_tiles(model, torch.rand(1, 3, 9, 9), scale=2, size=8, halo=1))
