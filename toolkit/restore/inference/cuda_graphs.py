"""CUDA graphs and transfers from pinned memory, which keep a GPU busy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

__all__ = ["Capture", "CudaGraphRunner", "Network", "captured", "fetched", "sent"]

Network = Callable[..., Tensor]
"""``(B, 3, h, w)`` in [0, 1] on any device -> ``(B, 3, scale*h, scale*w)`` on the network's, both float32.
After the image it takes the model's conditions, each ``(B,)`` float32."""

Capture = Callable[..., Network]
"""``capture(network, tile, *numbers)`` captures what a network does with a tile: the network for tiles of
that shape, one at a time."""

_MOST = 4  # shapes kept: an image of any size is cut into tiles of four shapes at most, mostly of one
_TOLERANCE = 0.05  # of values in [0, 1]: half precision differs by 0.01, a wrong graph by much more


class CudaGraphRunner:
    """A network that is captured as a CUDA graph when a shape comes a second time, and then replayed.

    Launching the kernels of a small network one by one takes longer than running them. A shape that comes
    once is not worth a capture, and a network that cannot be captured is run eagerly. Safe to call from
    several threads, which wait for each other.

    Args:
        network: see `Network`; its results are on the device that it works on.
        capture: see `captured`.
    """

    def __init__(self, network: Network, capture: Capture) -> None:
        self._network = network
        self._capture: Capture | None = capture
        self._kept: OrderedDict[torch.Size, Network | None] = OrderedDict()
        self._lock = Lock()

    def __call__(self, tile: Tensor, *numbers: Tensor) -> Tensor:
        """See `Network`.

        Raises:
            torch.OutOfMemoryError: there is no room for the tile; nothing is kept of it.
        """
        with self._lock:
            shape = tile.shape
            if self._capture is None or shape not in self._kept:
                self._remember(shape, None)
                return self._network(tile, *numbers)
            replay = self._kept[shape]
            if replay is None:
                return self._captured(self._capture, tile, *numbers)
            self._kept.move_to_end(shape)
            return replay(tile, *numbers)

    def _captured(self, capture: Capture, tile: Tensor, *numbers: Tensor) -> Tensor:
        expected = self._network(tile, *numbers)
        try:
            replay = capture(self._network, tile, *numbers)
            if (replay(tile, *numbers) - expected).abs().max() <= _TOLERANCE:
                self._remember(tile.shape, replay)
            else:
                self._capture = None
        except torch.OutOfMemoryError:
            self._capture = None  # a graph keeps its memory, which the network itself needs
            self._kept.clear()
        except RuntimeError:  # it does something that cannot be captured
            self._capture = None
        return expected

    def _remember(self, shape: torch.Size, replay: Network | None) -> None:
        self._kept[shape] = replay
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def captured(network: Network, tile: Tensor, *numbers: Tensor, device: torch.device) -> Network:
    """Capture what `network` does with `tile` as a CUDA graph.

    Args:
        network: runs on `device`.
        tile: the graph is for its shape.
        numbers: what the network takes beside it; each replay has its own values.
        device: of CUDA.
    """
    with torch.cuda.device(device):
        given = [value.to(device, copy=True) for value in (tile, *numbers)]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            network(*given)  # libraries choose their algorithms at the first call, which cannot be captured
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = network(*given)

    def replay(*values: Tensor) -> Tensor:
        with torch.cuda.device(device):
            for place, value in zip(given, values, strict=True):
                place.copy_(value, non_blocking=True)
            graph.replay()
            return result.clone()  # the next replay writes there

    return replay


def sent(tile: Tensor, device: torch.device) -> Tensor:
    """`tile` on `device`; to a GPU by pinned memory, so that the copy runs beside other work."""
    if device.type == "cuda" and tile.device.type == "cpu":
        return tile.contiguous().pin_memory().to(device, non_blocking=True)
    return tile.to(device)


def fetched(part: Tensor, dtype: torch.dtype) -> Tensor:
    """`part` in `dtype` by pinned memory, at the full rate of the bus, if it is on a GPU; else as it is."""
    if part.device.type != "cuda":
        return part
    return torch.empty(part.shape, dtype=dtype, pin_memory=True).copy_(part.to(dtype))
