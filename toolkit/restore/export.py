"""A model as a file for other programs, checked against PyTorch before it has its name."""

from __future__ import annotations

from pathlib import Path

import torch

from restore.checkpoint import LoadedModel
from restore.config import GraphFormat
from restore.errors import RestoreError, UsageError
from restore.files import atomic_file
from restore.graph import facts, library, to_onnx
from restore.inference.engines import run_onnx, run_openvino
from restore.inference.network import Network

__all__ = ["SUFFIXES", "export", "graph_format"]

SUFFIXES: dict[GraphFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}

SIZES = ((1, 1), (1, 7), (7, 1), (33, 47), (64, 48))
"""Heights and widths at which a file is checked, the awkward ones first."""

_TOLERANCE = 1e-4  # a fortieth of a level of an 8-bit image; rounding alone makes 1e-6


def graph_format(file: Path | None, wanted: GraphFormat | None) -> GraphFormat:
    """The format that was asked for, by name or by the suffix of `file`; ONNX unless either says otherwise.

    Raises:
        UsageError: the suffix belongs to no format, or to another one.
    """
    if file is None:
        return wanted or "onnx"
    for name, suffix in SUFFIXES.items():
        if file.suffix.lower() == suffix and wanted in (None, name):
            return name
    known = ", ".join(f"{suffix} for {name}" for name, suffix in SUFFIXES.items())
    asked = f" with --format {wanted}" if wanted else ""
    raise UsageError(f"cannot write '{file}'{asked}: the suffix is {known}")


def export(model: LoadedModel, file: Path, form: GraphFormat) -> float:
    """Write the whole network, image in and image out, for any batch, height and width.

    Args:
        model: its weights go into the file.
        file: of ONNX, or the ``.xml`` of OpenVINO, beside which the weights lie as ``.bin``.
        form: which of them.

    Returns:
        The largest difference from PyTorch at `SIZES`, for images in [0, 1].

    Raises:
        UsageError: a library is not installed, or the model cannot become a graph.
        RestoreError: the file computes something else than PyTorch; it is not kept.
        OSError: the folder cannot be written, or the disk is full.
    """
    library(*(("onnxruntime", "onnx") if form == "onnx" else ("openvino", "openvino")))
    content = to_onnx(model)
    if form == "onnx":
        with atomic_file(file) as graph:
            graph.write_bytes(content)
            return _checked(model, run_onnx(graph))
    openvino = library("openvino", "openvino")
    network = openvino.Core().read_model(content)
    for key, value in facts(model).items():
        network.set_rt_info(value, ["restore", key])
    with atomic_file(file) as graph, atomic_file(file.with_suffix(".bin")) as weights:
        openvino.serialize(network, graph, weights)
        return _checked(model, run_openvino(openvino.Core().read_model(graph, weights), torch.float32))


def _checked(model: LoadedModel, network: Network) -> float:
    """The largest difference between the file and the plain network."""
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for height, width in SIZES:
        image = torch.rand(2, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected, found = model.module(image), network(image)
        same = found.shape == expected.shape
        difference = (found - expected).abs().max().item() if same else torch.inf
        if not difference <= _TOLERANCE:  # which a NaN is not either
            raise RestoreError(
                f"the graph of '{model.spec.name}' differs from PyTorch by {difference:.2g} on an image of "
                f"{height}x{width}, so no file was written: use the model with --engine torch"
            )
        largest = max(largest, difference)
    return largest
