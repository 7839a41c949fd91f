"""One way to run a network, in a process of its own that `inference.py` starts.

::

    python benchmarks/contestant.py NAME MODEL SIZE

It prints one line when it is ready. For each line that it reads, it runs one image and prints the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.allocator import keep_memory
from restore.checkpoint import LoadedModel, load_model
from restore.choices import Precision
from restore.inference import load
from restore.inference.conditions import samples
from restore.registry import discover

Run = Callable[[], object]

WARMUP = 4


def noise_image(size: int) -> Tensor:
    """Return smooth noise, ``(1, 3, size, size)``. The time of a network does not depend on the content."""
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)


def loaded(model: str) -> LoadedModel:
    """Return the plain network, in evaluation mode."""
    found = load_model(model, discover())
    found.module.eval()
    return found


class AsExported(nn.Module):
    """EnhanceNet with PyTorch's bicubic interpolation, which exporters support."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``."""
        net = self.network
        features = net.upsampling(net.trunk(F.relu(net.head(image - net.mean))))
        residual: Tensor = net.tail(F.relu(net.refine(features)))
        return residual + F.interpolate(image, scale_factor=float(net.scale), mode="bicubic")


def eager(model: str, image: Tensor, *, dtype: torch.dtype = torch.float32, compiled: bool = False) -> Run:
    """Run PyTorch; other precisions than float32 with channels last."""
    plain = loaded(model)
    network, numbers = plain.module, samples(plain, batch=1)
    if dtype != torch.float32:
        network = network.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    call = torch.compile(network) if compiled else network

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            restored: Tensor = call(image, *numbers)
        return restored

    return run


def exported(model: str, image: Tensor) -> tuple[bytes, list[Tensor]]:
    """Return an ONNX file for a fixed size, as `torch.onnx.export` writes it, and its inputs."""
    plain = loaded(model)
    network = AsExported(plain.module) if plain.spec.name == "enhancenet" else plain.module
    inputs = [image, *samples(plain, batch=1)]
    program = torch.onnx.export(network, tuple(inputs), dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    content: bytes = program.model_proto.SerializeToString()
    return content, inputs


def onnxruntime(model: str, image: Tensor) -> Run:
    """Run ONNX Runtime in float32."""
    import onnxruntime as ort

    content, inputs = exported(model, image)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
    return lambda: session.run(None, given)


def openvino(model: str, image: Tensor, *, precision: str) -> Run:
    """Run OpenVINO with the latency hint."""
    import openvino as ov

    core = ov.Core()
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    content, inputs = exported(model, image)
    compiled = core.compile_model(core.read_model(content), "CPU", hints)
    given = [each.numpy() for each in inputs]
    return lambda: compiled(given)[0]


def restore_engine(model: str, image: Tensor, *, precision: Precision = "auto", **options: Any) -> Run:
    """Run what `restore upscale` and `restore clean` run, from pixels to pixels, with given strengths."""
    keep_memory()
    plain = loaded(model)
    strengths = {
        name: float(value) for name, value in zip(plain.conditions, samples(plain, batch=1), strict=True)
    }
    restorer = load(model, device="cpu", precision=precision, options=strengths, **options)
    return lambda: restorer.restore(image)


def matrices(dtype: torch.dtype) -> Run:
    """Multiply two matrices of 4096 x 4096: 2 * 4096^3 operations."""
    one, other = (torch.randn(4096, 4096).to(dtype) for _ in range(2))
    return lambda: one @ other


CONTESTANTS: dict[str, Callable[[str, Tensor], Run]] = {
    "matrix product bf16": lambda _, __: matrices(torch.bfloat16),
    "matrix product fp32": lambda _, __: matrices(torch.float32),
    "PyTorch fp32": eager,
    "PyTorch bf16 channels_last": lambda model, image: eager(model, image, dtype=torch.bfloat16),
    "torch.compile bf16": lambda model, image: eager(model, image, dtype=torch.bfloat16, compiled=True),
    "onnxruntime fp32": onnxruntime,
    "OpenVINO fp32": lambda model, image: openvino(model, image, precision="f32"),
    "OpenVINO bf16": lambda model, image: openvino(model, image, precision="bf16"),
    "restore": restore_engine,
    "restore --precision fp32": lambda model, image: restore_engine(model, image, precision="fp32"),
    "restore --engine openvino": lambda model, image: restore_engine(model, image, engine="openvino"),
    "restore --engine openvino --precision int8": lambda model, image: restore_engine(
        model, image, precision="int8", engine="openvino"
    ),
    "restore --engine onnxruntime": lambda model, image: restore_engine(model, image, engine="onnxruntime"),
}


def operations(model: str) -> int:
    """Return the floating-point operations of the network as published, per input pixel."""
    from torch.utils.flop_counter import FlopCounterMode

    side = 32
    convolutions = torch.ops.aten.convolution
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        plain = loaded(model)
        plain.module(noise_image(side), *samples(plain, batch=1))
    return int(counter.get_flop_counts()["Global"][convolutions]) // side**2


def main(name: str, model: str, size: int) -> None:
    """Run one image for each line on standard input and print the seconds."""
    run = CONTESTANTS[name](model, noise_image(size))
    for _ in range(WARMUP):
        run()
    ready = {"operations": operations(model), "scale": loaded(model).scale}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        sys.stdout.write(f"{time.perf_counter() - begin}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
