"""What is told to machines: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["finite", "to_line"]


def to_line(content: Mapping[str, Any]) -> str:
    """`content` as one line that ends with a line break; what is not `finite` becomes null."""
    return json.dumps(finite(dict(content)), ensure_ascii=False, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """`value` as JSON can hold it: infinity, which is the PSNR of equal images, and NaN become ``None``."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
