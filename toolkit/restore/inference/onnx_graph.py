"""A model as an ONNX graph of the whole network: image in, image out, for any batch, height and width."""

from __future__ import annotations

import importlib
import warnings
from importlib.metadata import version
from typing import Any

import torch

from restore.checkpoint import LoadedModel
from restore.errors import UsageError, first_line

__all__ = ["facts", "library", "to_onnx"]


def to_onnx(model: LoadedModel) -> bytes:
    """Trace the fused network where there is one, else the plain one, in float32.

    Returns:
        A serialised ONNX model with the input ``image``, ``(batch, 3, height, width)``, the output
        ``restored`` and the `facts` as metadata.

    Raises:
        UsageError: onnx or onnxscript is not installed, or the network does something that a graph cannot
            hold or that depends on the size of the image.
    """
    for name in ("onnx", "onnxscript"):
        library(name, "onnx")
    fuse = model.spec.fuse
    module = (model.module if fuse is None else fuse(model.module, torch.float32)).eval()
    sizes = {axis: torch.export.Dim(name) for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}
    image = torch.zeros(2, 3, 13, 17)  # sides that are not 0, 1 or one another: those are taken as fixed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            # Traced here, because torch.onnx would let a decision by the size pass, and only warn.
            traced = torch.export.export(module, (image,), dynamic_shapes=(sizes,))
            program: Any = torch.onnx.export(
                traced, input_names=["image"], output_names=["restored"], dynamo=True, verbose=False
            )
    except Exception as error:  # whatever a network can raise, behind layers of the exporter's own
        raise UsageError(
            f"model '{model.spec.name}' cannot become a graph for any size of image ({_reason(error)}): use "
            f"--engine torch"
        ) from error
    program.model.metadata_props.update(facts(model))
    content: bytes = program.model_proto.SerializeToString()
    return content


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
        raise UsageError(f"this needs {name}: install it with pip install 'restorekit[{extra}]'") from None


def _reason(error: BaseException) -> str:
    """The first line of what began it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error) if isinstance(error, Exception) else type(error).__name__
