"""The values that several functions and the command line accept, as types."""

from __future__ import annotations

from typing import Literal

__all__ = ["Alpha", "Engine", "GraphFormat", "Precision"]

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""Number format in which a trained network multiplies; int8 needs OpenVINO."""

Engine = Literal["torch", "openvino", "onnxruntime"]
"""Library that runs a trained network."""

Alpha = Literal["bicubic", "model"]
"""Method that enlarges the alpha channel of an image."""

GraphFormat = Literal["onnx", "openvino"]
"""Format of an exported graph."""
