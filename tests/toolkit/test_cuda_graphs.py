"""A captured graph gives what the network gives, and what cannot be captured is run eagerly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from restore.inference.cuda_graphs import CudaGraphRunner, Network


def twice(tile: Tensor) -> Tensor:
    return tile * 2


class Captures:
    """A `Capture` as that of CUDA graphs: a graph writes into one place, whatever comes in."""

    def __init__(self, change: Callable[[Tensor], Tensor] = twice) -> None:
        self.change = change
        self.shapes: list[tuple[int, ...]] = []
        self.replays = 0

    def __call__(self, network: Network, tile: Tensor) -> Network:
        self.shapes.append(tuple(tile.shape))
        place = torch.empty_like(tile)

        def replay(tile: Tensor) -> Tensor:
            self.replays += 1
            return place.copy_(self.change(tile)).clone()

        return replay


def tile(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_shape_is_captured_when_it_comes_again_and_then_replayed() -> None:
    capture = Captures()
    network = CudaGraphRunner(twice, capture)
    for _ in range(5):
        torch.testing.assert_close(network(tile(1, 3, 8, 9)), twice(tile(1, 3, 8, 9)), rtol=0, atol=0)
    assert capture.shapes == [(1, 3, 8, 9)]
    assert capture.replays == 1 + 3  # once to compare
    network(tile(1, 3, 8, 8))
    assert len(capture.shapes) == 1


def test_the_shapes_that_were_not_used_for_longest_are_forgotten() -> None:
    capture = Captures()
    network = CudaGraphRunner(twice, capture)
    for width in (*range(1, 6), 1):
        for _ in range(2):
            network(tile(1, 3, 4, width))
    assert capture.shapes == [(1, 3, 4, width) for width in (*range(1, 6), 1)]


def test_a_graph_that_computes_something_else_is_never_used() -> None:
    capture = Captures(lambda tile: tile * 3)
    network = CudaGraphRunner(twice, capture)
    for _ in range(4):
        torch.testing.assert_close(network(tile(1, 3, 8, 9)), twice(tile(1, 3, 8, 9)), rtol=0, atol=0)
    assert capture.replays == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_where_nothing_can_be_captured_the_network_is_run(error: type[Exception]) -> None:
    asked = []

    def capture(network: Network, tile: Tensor) -> Network:
        asked.append(tile)
        raise error("operation not permitted when stream is capturing")

    network = CudaGraphRunner(twice, capture)
    for _ in range(4):
        torch.testing.assert_close(network(tile(1, 3, 8, 9)), twice(tile(1, 3, 8, 9)), rtol=0, atol=0)
    assert len(asked) == 1


def test_threads_do_not_mix_their_tiles_although_a_graph_has_one_place_for_them() -> None:
    network = CudaGraphRunner(twice, Captures())
    tiles = [torch.full((1, 3, 16, 16), float(index)) for index in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for given, result in zip(tiles, pool.map(network, tiles), strict=True):
            assert torch.equal(result, given * 2)


def test_no_room_for_a_tile_is_told_so_that_a_smaller_one_is_tried() -> None:
    def full(tile: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphRunner(full, Captures())(tile(1, 3, 8, 9))
