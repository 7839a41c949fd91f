"""A model as an ONNX graph of the whole network: image in, image out, for any batch, height and width."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from restore.checkpoint import LoadedModel
from restore.errors import UsageError, first_line
from restore.inference.conditions import samples
from restore.inference.torch_network import working_module

__all__ = ["dynamic_shapes", "example_sides", "facts", "library", "no_graph", "to_onnx"]


def to_onnx(model: LoadedModel) -> bytes:
    """Trace the fused network where there is one, else the plain one, in float32.

    Returns:
        A serialized ONNX model with the input ``image``, ``(batch, 3, height, width)``, an input ``(batch,)``
        for each of the model's conditions, by its name, the output ``restored`` and the `facts` as metadata.

    Raises:
        UsageError: onnx or onnxscript is not installed, or the network does something that a graph cannot
            hold or that depends on the size of the image.
    """
    for name in ("onnx", "onnxscript"):
        library(name, "onnx")
    module = working_module(model, torch.float32).eval()
    image = torch.zeros(2, 3, *example_sides(model.stride))
    example = (image, *samples(model, batch=2))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            # Traced here, because torch.onnx would let a decision by the size pass, and only warn.
            shapes = dynamic_shapes(module, example, model.stride)
            traced = torch.export.export(module, example, dynamic_shapes=shapes)
            names = ["image", *model.conditions]
            program: Any = torch.onnx.export(
                traced, input_names=names, output_names=["restored"], dynamo=True, verbose=False
            )
    except Exception as error:  # whatever a network can raise, behind layers of the exporter's own
        raise UsageError(no_graph(model.spec.name, error), hint="set `engine` to torch") from error
    program.model.metadata_props.update(facts(model))
    content: bytes = program.model_proto.SerializeToString()
    return content


def example_sides(stride: int) -> tuple[int, int]:
    """Height and width of an image to trace with: `torch.export` takes 0, 1 and equal sides as fixed.

    Args:
        stride: of the model, whose squares count as pixels.
    """
    return 11 + 2 * stride, 15 + 2 * stride


def dynamic_shapes(module: nn.Module, example: Sequence[Tensor], stride: int) -> tuple[Any, ...]:
    """The `torch.export` shapes of an image of any size and ``(B,)`` numbers.

    Args:
        module: what is exported; one with a variable number of arguments takes its shapes in another form.
        example: the inputs.
        stride: of the model; one square of pixels is a size of its own for `torch.export`, though not for
            the graph.
    """
    batch = torch.export.Dim("batch")
    least = stride + 1 if stride > 1 else None
    height, width = (torch.export.Dim(name, min=least) for name in ("height", "width"))
    image = {0: batch, 2: height, 3: width}
    numbers: tuple[Any, ...] = ({0: batch},) * (len(example) - 1)
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return (image, numbers) if inspect.Parameter.VAR_POSITIONAL in kinds else (image, *numbers)


def facts(model: LoadedModel) -> dict[str, str]:
    """What a graph says about itself."""
    return {
        "model": model.spec.name,
        "scale": str(model.scale),
        "weights_sha256": model.digest,
        "restorekit": version("restorekit"),
    }


def library(name: str, extra: str) -> Any:
    """Import an optional library.

    Raises:
        UsageError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f"this needs {name}", hint=f"run: pip install 'restorekit[{extra}]'") from None


def no_graph(name: str, error: BaseException) -> str:
    """Why a model cannot be exported, with the first line of what the exporter wrapped.

    >>> no_graph("mine", ValueError("too small"))
    "model 'mine' cannot become a graph for any size of image (too small)"
    """
    while error.__cause__ is not None:
        error = error.__cause__
    reason = first_line(error) if isinstance(error, Exception) else type(error).__name__
    return f"model '{name}' cannot become a graph for any size of image ({reason})"
