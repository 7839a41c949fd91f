"""Other engines than PyTorch, on the CPU: what runs is the graph of `restore.inference.onnx_graph`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.checkpoint import LoadedModel
from restore.choices import Engine, Precision
from restore.errors import RestoreError, UsageError
from restore.inference.conditions import samples
from restore.inference.devices import choose_precision
from restore.inference.onnx_graph import library, to_onnx
from restore.inference.quantization import check_rounding, quantized
from restore.inference.torch_network import Network

__all__ = ["compared", "engine_network", "engine_precision", "openvino_core", "run_onnx", "run_openvino"]

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Largest difference from PyTorch in float32. Rounding makes about 1e-6, and 0.01 in bfloat16; antialiased
resizing, which exporters get wrong, makes up to 0.6."""


def engine_precision(engine: Engine, model: LoadedModel, precision: Precision, device: str) -> torch.dtype:
    """What an engine multiplies in: bfloat16 with OpenVINO where the processor has it, else float32.

    8-bit integers only if asked for. Only a fused network is rounded. In a plain one, layers that must not
    be are marked for PyTorch's autocast, and a graph has no such marks.

    Raises:
        UsageError: the engine cannot run there, or not so.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(f"engine '{engine}' runs on the CPU, not on '{device}'", hint="omit `device`")
    fused = all(part.spec.fuse is not None for part in model.parts or (model,))
    rounds = engine == "openvino" and fused
    if precision == "fp32" or (precision == "auto" and not rounds):
        return torch.float32
    if rounds and precision == "int8":
        return torch.int8
    if rounds and precision in ("auto", "bf16"):
        return choose_precision(precision, torch.device("cpu"))
    raise UsageError(
        f"engine '{engine}' cannot run '{model.spec.name}' in {precision}",
        hint="set `precision` to fp32 or auto",
    )


def engine_network(engine: Engine, model: LoadedModel, dtype: torch.dtype) -> Network:
    """Trace `model` and compile the graph.

    Raises:
        UsageError: a library is not installed, or the model cannot become a graph.
        RestoreError: the graph computes something else than PyTorch, or cannot be rounded to integers.
    """
    if engine == "onnxruntime":
        library("onnxruntime", "onnx")  # before the slow part
        network = run_onnx(to_onnx(model))
        compared(model, network, [(33, 47)])
        return network
    graph = openvino_core().read_model(to_onnx(model))
    if dtype != torch.int8:
        network = run_openvino(graph, dtype)
        compared(model, network, [(33, 47)], dtype)
        return network
    exact = run_openvino(graph, torch.float32)
    compared(model, exact, [(33, 47)])
    rest = choose_precision("auto", torch.device("cpu"))  # what is left beside the integers
    network = run_openvino(quantized(graph, model), rest)
    check_rounding(exact, network, model)
    return network


def run_openvino(graph: Any, dtype: torch.dtype) -> Network:
    """Run an ``openvino.Model``.

    Args:
        graph: an image and numbers in, an image out. One compilation serves all sizes.
        dtype: what convolutions multiply in; what only scales and adds on the way to the output, such as the
            bicubic enlargement, stays float32.
    """
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[dtype], "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino_core().compile_model(graph, "CPU", settings)

    def run(*values: Tensor) -> Tensor:
        request = compiled.create_infer_request()  # of its own: the result lives in it, uncopied
        inputs = [_array(value) for value in values]
        return torch.from_numpy(request.infer(inputs, share_inputs=True, share_outputs=True)[0])

    return run


def openvino_core() -> Any:
    """The ``openvino.Core`` of this process.

    There is one: each instance brings a stack for signals and unmaps it at its end, though that may be the
    one in use by then, and the next signal would end the process.

    Raises:
        UsageError: openvino is not installed.
    """
    return _core_of(library("openvino", "openvino"))


@cache
def _core_of(openvino: Any) -> Any:
    return openvino.Core()


def run_onnx(graph: bytes | Path) -> Network:
    """Run a serialized ONNX model, or the file of one, with onnxruntime in float32."""
    runtime = library("onnxruntime", "onnx")
    content = graph if isinstance(graph, bytes) else str(graph)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

    names = [given.name for given in session.get_inputs()]

    def run(*values: Tensor) -> Tensor:
        inputs = {name: _array(value) for name, value in zip(names, values, strict=True)}
        return torch.from_numpy(session.run(None, inputs)[0])

    return run


def _array(value: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.float().cpu().contiguous().numpy()
    return array


def compared(
    model: LoadedModel,
    network: Network,
    sizes: Iterable[tuple[int, int]],
    dtype: torch.dtype = torch.float32,
) -> float:
    """The largest difference between what `network` makes of random images and what `model` does.

    Args:
        model: the plain network, in float32.
        network: the same as a graph.
        sizes: heights and widths.
        dtype: what `network` multiplies in.

    Raises:
        RestoreError: it differs by more than rounding.
    """
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for height, width in sizes:
        image = torch.rand(2, 3, height, width, generator=generator)
        numbers = samples(model, batch=2)
        with torch.inference_mode():
            expected, found = model.module(image, *numbers), network(image, *numbers)
        same = found.shape == expected.shape
        difference = (found - expected).abs().max().item() if same else torch.inf
        if not difference <= _TOLERANCE[dtype]:  # which a NaN is not either
            raise RestoreError(
                f"the graph of '{model.spec.name}' differs from PyTorch by {difference:.2g} on an image of "
                f"{height}x{width}",
                hint="set `engine` to torch",
            )
        largest = max(largest, difference)
    return largest
