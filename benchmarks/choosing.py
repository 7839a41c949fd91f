"""What choosing a model costs beside restoring: ``python benchmarks/choosing.py``.

Prints, for square images of several sizes, the milliseconds to measure compression, noise and blur from the
pixels and to restore with the model for clean images, and the share of the former in both, which should be
below 5 % from 256 pixels on. A JPEG file states its quality, which saves the larger part.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from restore.inference import load
from restore.inference.conditions import examined

SIDES = (128, 256, 512, 1024, 2048)


def image_of(side: int) -> Tensor:
    """Smooth levels with some noise: ``(1, 3, side, side)``."""
    place = torch.arange(side)
    smooth = 120 + 40 * (place[:, None] / 40).sin() + 40 * (place / 33).cos()
    noise = 3 * torch.randn(3, side, side, generator=torch.Generator().manual_seed(0))
    return (smooth + noise).clamp(0, 255).to(torch.uint8)[None]


def milliseconds(call: Callable[[], object]) -> float:
    """The time of the second call."""
    call()
    begin = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="enhancenet:pat")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("sides", nargs="*", type=int, default=SIDES)
    arguments = parser.parse_args()
    restorer = load(arguments.model, device=arguments.device)
    for side in arguments.sides:
        image = image_of(side)
        choosing = milliseconds(partial(examined, image, blur=True))
        restoring = milliseconds(partial(restorer.upscale, image))
        share = choosing / (choosing + restoring)
        print(  # noqa: T201 (its result)
            f"{side:5} px  choosing {choosing:7.1f} ms  restoring {restoring:9.1f} ms  share {share:6.1%}"
        )


if __name__ == "__main__":
    main()
