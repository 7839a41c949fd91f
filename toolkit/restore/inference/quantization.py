"""A network's graph in 8-bit integers, for processors that multiply them twice as fast as bfloat16."""

from __future__ import annotations

import io
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import torch

from restore.errors import RestoreError
from restore.images import read_levels
from restore.inference.conditions import SAMPLES, samples
from restore.inference.onnx_graph import library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from restore.checkpoint import LoadedModel
    from restore.inference.torch_network import Network

__all__ = ["calibration", "check_rounding", "quantized"]

_LARGEST_ERROR = 0.01
"""Root mean square of what the integers may change, in [0, 1]: 40 dB. EnhanceNet has about 0.0025."""


def calibration() -> Tensor:
    """Patches from which follows how large the values in a network become.

    Twelve are quarter-size copies of photographs that are in the public domain (NASA's astronaut and rocket)
    or under CC0 (coffee, cat, brick, grass and gravel of scikit-image's collection). Two are drawn, hard
    edges and noise: from photographs alone, text and noise would be beyond the range of the integers.

    Returns:
        ``(14, 3, 48, 48)`` float32 in [0, 1].
    """
    with as_file(files(__package__) / "calibration.png") as file:
        strip = read_levels(file)
    side = strip.shape[1]
    rows, columns = torch.arange(side)[:, None] // 5, torch.arange(side)[None] // 3
    edges = 0.2 + 0.6 * ((rows + columns) % 2).expand(3, side, side)
    noise = 0.15 + 0.7 * torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    return torch.stack([*(torch.split(strip, side, dim=2)), edges * 255, noise * 255]).float() / 255


def quantized(graph: Any, model: LoadedModel) -> Any:
    """Round the convolutions of an ``openvino.Model`` to 8 bits, by NNCF's post-training quantization.

    Sums, products and the enlargement of the input stay as they are: they take no time, and a residual
    network adds its small corrections there.

    Args:
        graph: as `restore.inference.onnx_graph.to_onnx` makes it.
        model: what the graph was made of.

    Raises:
        UsageError: nncf is not installed.
        RestoreError: NNCF cannot quantize this graph.
    """
    # It reports its use to its makers, unless it takes itself to be under test.
    os.environ.setdefault("NNCF_CI", "1")
    nncf = library("nncf", "int8")
    inputs = [tuple(value[None].numpy() for value in values) for values in zip(*_inputs(model), strict=True)]

    def quantize() -> Any:
        with _quiet():
            return nncf.quantize(
                graph,
                nncf.Dataset(inputs),
                preset=nncf.QuantizationPreset.MIXED,
                # The default, the mean over the images, would cut off the strongest edges.
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=_whole_range()
                ),
                subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(types=["Multiply", "Add", "Subtract"], validate=False),
            )

    try:
        # In a thread of its own: NNCF makes several instances of OpenVINO, which leave the thread that they
        # came from with a stack for signals that is unmapped.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(quantize).result()
    except Exception as error:  # whatever NNCF can raise about a graph that it does not understand
        raise RestoreError(
            f"the network cannot be rounded to 8 bits ({type(error).__name__})",
            hint="set `precision` to auto",
        ) from error


def _inputs(model: LoadedModel) -> tuple[Tensor, ...]:
    """The patches of `calibration`, each with all numbers to try if the model takes some."""
    patches = calibration()
    if model.conditions:
        patches = patches.repeat_interleave(len(SAMPLES), 0)
    return (patches, *samples(model, len(patches)))


def _whole_range() -> Any:
    parameters = library("nncf.quantization.range_estimator", "int8")
    return parameters.RangeEstimatorParametersSet.MINMAX


def check_rounding(plain: Network, rounded: Network, model: LoadedModel) -> None:
    """Compare two networks on the patches of `calibration`.

    Raises:
        RestoreError: 8 bits are too few for this network.
    """
    inputs = _inputs(model)
    error = (plain(*inputs) - rounded(*inputs)).square().mean().sqrt().item()
    if not error <= _LARGEST_ERROR:  # which a NaN is not either
        raise RestoreError(
            f"8 bits are too few for this network: values in [0, 1] change by {error:.2g} on average",
            hint="set `precision` to auto",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's remarks and its progress bars, which go to stdout, where a result may be written."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
