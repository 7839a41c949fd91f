"""Generated images, for benchmarks that run without photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["draw"]


def draw(folder: Path, count: int, side: int = 0) -> Path:
    """Write JPEG files of blocks and noise.

    Args:
        folder: where to write them; it exists.
        count: number of images.
        side: minimum of width and height in pixels; images are 481x321 unless it is larger.

    Returns:
        `folder`.
    """
    random = np.random.default_rng(0)
    height, width = max(321, side), max(481, side)
    for index in range(count):
        blocks = random.integers(20, 236, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)
        pixels = blocks[:height, :width] + random.integers(-20, 20, (height, width, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03}.jpg", quality=90)
    return folder
