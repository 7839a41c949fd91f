"""The values that several functions and the command line accept, as types, and a limit that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from restore.errors import UsageError

__all__ = ["MAX_PIXELS", "Alpha", "Engine", "GraphFormat", "Precision", "check_choice"]

MAX_PIXELS = 89_478_485
"""Pixels of an image, or of all frames of an animation, that are read by default: as many as in Pillow."""

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""Number format in which a trained network multiplies; int8 needs OpenVINO."""

Engine = Literal["torch", "openvino", "onnxruntime"]
"""Library that runs a trained network."""

Alpha = Literal["bicubic", "model"]
"""Method that enlarges the alpha channel of an image."""

GraphFormat = Literal["onnx", "openvino"]
"""Format of an exported graph."""


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check the value of a parameter that takes one of a few texts.

    Raises:
        UsageError: it is none of them.
    """
    if value not in choices:
        raise UsageError(f"there is no `{name}` {value!r}", hint=f"use one of {', '.join(choices)}")
