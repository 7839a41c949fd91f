"""What is told to machines: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["to_line"]


def to_line(content: Mapping[str, Any]) -> str:
    """`content` as one line that ends with a line break.

    JSON has neither infinity, which is the PSNR of equal images, nor NaN: both become null.
    """
    return json.dumps(_finite(dict(content)), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
