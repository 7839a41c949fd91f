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

__all__ = ["build_dists", "build_lpips", "dists_protocol", "lpips_protocol"]

Distance = Callable[[Tensor, Tensor], Tensor]

_LEAST = {"alex": 31, "vgg": 16, "squeeze": 17, "dists": 1}
"""Smallest side in pixels for which pooling leaves one."""


def build_lpips(scale: int, options: LpipsOptions) -> Metric:  # noqa: ARG001
    """LPIPS of the 8-bit result.

    Raises:
        WeightsError: the weights of the network cannot be downloaded.
    """
    return _metric("LPIPS", _lpips(options.net), _LEAST[options.net])


def build_dists(scale: int, options: Options) -> Metric:  # noqa: ARG001
    """DISTS of the 8-bit result, at its own size.

    Raises:
        WeightsError: the weights of the network cannot be downloaded.
    """
    return _metric("DISTS", _dists(), _LEAST["dists"])


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
        if min(target.shape[-2:]) < least:
            size = f"{target.shape[-1]}x{target.shape[-2]}"
            raise UsageError(
                f"an image of {size} pixels is too small for {name}, which needs {least}x{least}"
            )
        with torch.inference_mode():
            return float(distance(quantize(restored.float()).clamp(0, 1), target.float()))

    return measure


def _lpips(net: Literal["alex", "vgg", "squeeze"]) -> Distance:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    # The network only: the metric around it would keep every value.
    network = _loaded("LPIPS", lambda: LearnedPerceptualImagePatchSimilarity(net_type=net).net)
    return partial(network, normalize=True)


def _dists() -> Distance:
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
