"""LPIPS and DISTS from torchmetrics, whose networks torchvision downloads on first use."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from restore.errors import UsageError, WeightsError, first_line
from restore.interfaces import Metric, Options
from restore.resizing import quantize
from restore_baselines.options import LpipsOptions

__all__ = [
    "LEAST_SIDE",
    "build_dists",
    "build_lpips",
    "check_size",
    "dists_network",
    "dists_protocol",
    "lpips_network",
    "lpips_protocol",
]

Distance = Callable[[Tensor, Tensor], Tensor]

LEAST_SIDE = {"alex": 31, "vgg": 16, "squeeze": 17, "dists": 1}
"""Smallest side in pixels for which pooling leaves one."""


def build_lpips(scale: int, options: LpipsOptions) -> Metric:  # noqa: ARG001
    """LPIPS of the 8-bit result.

    Raises:
        WeightsError: the weights of the network cannot be downloaded.
    """
    network = lpips_network(options.net)
    return _metric("LPIPS", partial(network, normalize=True), LEAST_SIDE[options.net])


def build_dists(scale: int, options: Options) -> Metric:  # noqa: ARG001
    """DISTS of the 8-bit result, at its own size.

    Raises:
        WeightsError: the weights of the network cannot be downloaded.
    """
    return _metric("DISTS", dists_network(), LEAST_SIDE["dists"])


def lpips_protocol(scale: int, options: LpipsOptions) -> str:  # noqa: ARG001
    """The network and its input."""
    return f"8-bit result, RGB, whole image; LPIPS 0.1 with {options.net}, {_library()}"


def dists_protocol(scale: int, options: Options) -> str:  # noqa: ARG001
    """The network and its input."""
    return f"8-bit result, RGB, whole image at its own size; DISTS with VGG-16, {_library()}"


def _library() -> str:
    return f"torchmetrics {importlib.metadata.version('torchmetrics')}"


def _metric(name: str, distance: Distance, least: int) -> Metric:
    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:  # noqa: ARG001
        check_size(target, name, least)
        with torch.inference_mode():
            return float(distance(quantize(restored.float()).clamp(0, 1), target.float()))

    return measure


def check_size(image: Tensor, name: str, least: int) -> None:
    """Refuse an image whose short side has fewer than `least` pixels.

    Raises:
        UsageError: names the size, and the one that `name` needs.
    """
    if min(image.shape[-2:]) < least:
        size = f"{image.shape[-1]}x{image.shape[-2]}"
        raise UsageError(f"an image of {size} pixels is too small for {name}, which needs {least}x{least}")


def lpips_network(net: Literal["alex", "vgg", "squeeze"]) -> nn.Module:
    """The network of LPIPS, called with two images and ``normalize=True`` for the range [0, 1].

    Raises:
        WeightsError: its weights cannot be downloaded.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    def build() -> nn.Module:
        network: nn.Module = LearnedPerceptualImagePatchSimilarity(net_type=net).net
        return network  # without the metric around it, which would keep every value

    return _loaded("LPIPS", build)


def dists_network() -> nn.Module:
    """The network of DISTS, called with two images in [0, 1].

    Raises:
        WeightsError: its weights cannot be downloaded.
    """
    from torchmetrics.functional.image.dists import DISTSNetwork  # the metric builds one for every batch

    return _loaded("DISTS", DISTSNetwork)


def _loaded(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build().eval()
    except (OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsError(
            f"cannot load the network of {name}: {first_line(error)}",
            hint=f"go online, because torchvision downloads it on first use, or put its file into '{folder}' "
            f"(TORCH_HOME selects another folder)",
        ) from error
