"""Tiles cover an image once and change nothing."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from restore.resizing import imresize
from restore.tiling import map_tiles, tiles

sides = st.integers(1, 60)


@given(height=sides, width=sides, size=st.integers(1, 40), halo=st.integers(0, 10))
@settings(max_examples=100, deadline=None)
def test_inner_parts_cover_each_pixel_once_and_margins_stay_inside(
    height: int, width: int, size: int, halo: int
) -> None:
    count = torch.zeros(height, width)
    for tile in tiles(height, width, size, halo):
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert max(tile.bottom - tile.top, tile.right - tile.left) <= size
        assert tile.outer_top == max(tile.top - halo, 0)
        assert tile.outer_left == max(tile.left - halo, 0)
        assert tile.outer_bottom == min(tile.bottom + halo, height)
        assert tile.outer_right == min(tile.right + halo, width)
    assert (count == 1).all()


@given(height=sides, width=sides, size=st.integers(1, 40), scale=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_tiles_of_a_local_model_equal_the_whole(height: int, width: int, size: int, scale: int) -> None:
    image = torch.rand(2, 3, height, width, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return imresize(x, (x.shape[-2] * scale, x.shape[-1] * scale))

    result = torch.full((2, 3, height * scale, width * scale), -1.0, dtype=torch.float64)
    done = list(map_tiles(model, image, result, scale=scale, size=size, halo=2))
    torch.testing.assert_close(result, model(image), rtol=0, atol=1e-12)
    assert done[-1] == height * width * scale**2
    assert done == sorted(done)
