"""Export of a model as a graph for other programs, verified against PyTorch."""

from __future__ import annotations

from pathlib import Path

import torch

from restore.checkpoint import LoadedModel
from restore.choices import GraphFormat
from restore.errors import UsageError
from restore.files import atomic_file
from restore.inference.engines import compared, openvino_core, run_onnx, run_openvino
from restore.inference.onnx_graph import facts, library, to_onnx

__all__ = ["SUFFIXES", "export", "graph_format"]

SUFFIXES: dict[GraphFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""Suffix of the files of each format."""

SIZES = ((1, 1), (1, 7), (7, 1), (33, 47), (64, 48))
"""Heights and widths at which a file is verified, the smallest first."""


def graph_format(file: Path | None, wanted: GraphFormat | None) -> GraphFormat:
    """The format by its name or by the suffix of `file`; ONNX if neither is given.

    Raises:
        UsageError: the suffix belongs to no format, or to another one.

        >>> graph_format(Path("model.xml"), None)
        'openvino'
    """
    if file is None:
        return wanted or "onnx"
    for name, suffix in SUFFIXES.items():
        if file.suffix.lower() == suffix and wanted in (None, name):
            return name
    known = ", ".join(f"{suffix} for {name}" for name, suffix in SUFFIXES.items())
    asked = f" as {wanted}" if wanted else ""
    raise UsageError(f"cannot write this file{asked}", path=file, hint=f"use the suffix {known}")


def export(model: LoadedModel, file: Path, form: GraphFormat) -> float:
    """Write the network as a graph from image to image, for any batch size, height and width.

    Args:
        model: the network with its weights.
        file: an ``.onnx`` file, or OpenVINO's ``.xml``, next to which the weights are written as ``.bin``.
        form: the format.

    Returns:
        The largest absolute difference from PyTorch at `SIZES`, for images in [0, 1].

    Raises:
        UsageError: a library is not installed, or the model cannot be exported.
        RestoreError: the results differ from those of PyTorch; the file is not kept.
        OSError: the folder cannot be written, or the disk is full.
    """
    library(*(("onnxruntime", "onnx") if form == "onnx" else ("openvino", "openvino")))
    content = to_onnx(model)
    if form == "onnx":
        with atomic_file(file) as graph:
            graph.write_bytes(content)
            return compared(model, run_onnx(graph), SIZES)
    openvino = library("openvino", "openvino")
    network = openvino_core().read_model(content)
    for key, value in facts(model).items():
        network.set_rt_info(value, ["restore", key])
    with atomic_file(file) as graph, atomic_file(file.with_suffix(".bin")) as weights:
        openvino.serialize(network, graph, weights)
        written = openvino_core().read_model(graph, weights)
        return compared(model, run_openvino(written, torch.float32), SIZES)
