"""LPIPS and DISTS as losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from restore.interfaces import Options
from restore_baselines.options import LpipsLossOptions
from restore_baselines.perception import LEAST_SIDE, check_size, dists_network, lpips_network

__all__ = ["PerceptualDistance", "build_dists", "build_lpips"]


class PerceptualDistance(nn.Module):
    """A distance by a frozen network, the mean over the batch, in float32.

    The network is loaded by `prepare`, and is no part of the checkpoints: its weights can be loaded again.

    Args:
        name: for messages.
        load: gives the network.
        least: smallest side of an image in pixels.
        settings: arguments of the network besides the two images.
    """

    def __init__(self, name: str, load: Callable[[], nn.Module], least: int, **settings: bool) -> None:
        super().__init__()
        self.name = name
        self.least = least
        self._load = load
        self._settings = settings
        self._loaded: list[nn.Module] = []  # a list, because an attribute would be saved and trained

    def prepare(self, samples: Sequence[Tensor]) -> None:  # noqa: ARG002 - the protocol's
        """Load the network.

        Raises:
            WeightsError: its weights cannot be downloaded.
        """
        if not self._loaded:
            self._loaded.append(self._load().eval().requires_grad_(requires_grad=False))

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, 3, H, W)`` twice -> a scalar.

        Raises:
            UsageError: the images are too small.
            RuntimeError: it was not prepared.
        """
        if not self._loaded:
            raise RuntimeError(f"{self.name} has no network: prepare the loss first")
        check_size(restored, self.name, self.least)
        network = self._loaded[0].to(restored.device)
        # Statistics of features lose most digits in half precision.
        with torch.autocast(restored.device.type, enabled=False):
            distances: Tensor = network(restored.float(), target.float(), **self._settings)
        return distances.mean()


def build_lpips(options: LpipsLossOptions) -> nn.Module:
    """LPIPS; its network has no weights until `prepare`."""
    load = partial(lpips_network, options.net)
    return PerceptualDistance("LPIPS", load, LEAST_SIDE[options.net], normalize=True)


def build_dists(options: Options) -> nn.Module:  # noqa: ARG001 - it has none
    """DISTS; its network has no weights until `prepare`."""
    return PerceptualDistance("DISTS", dists_network, LEAST_SIDE["dists"], require_grad=True)
