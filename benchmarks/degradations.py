"""What one degraded training patch costs: ``python benchmarks/degradations.py``.

One thread, patches of 128x128 target pixels at scale 4 cut with the margin of each degradation, as in
training. The limits are 4 ms for `photo` and 12 ms for `realesrgan`, so that two loaders feed 50 images a
second beside training.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from restore.data import find_degradation, generator_of
from restore.registry import discover

NAMES = ("bicubic", "blur+bicubic+noise+jpeg", "photo", "bsrgan", "realesrgan")
PATCH = 128
SCALE = 4


def main() -> None:
    """Print milliseconds per patch: the mean, and the slowest of 20."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("names", nargs="*", default=NAMES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    registry = discover()
    for name in arguments.names:
        degradation = find_degradation(name, registry, SCALE)
        side = PATCH + 2 * degradation.margin
        target = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        times = []
        for index in range(arguments.samples + 10):
            start = time.perf_counter()
            degradation(target, generator_of(0, index))
            times.append(1000 * (time.perf_counter() - start))
        warm = times[10:]
        slow = statistics.quantiles(warm, n=20)[-1]
        print(f"{name:24} {side:4} px  mean {statistics.mean(warm):6.2f} ms  p95 {slow:6.2f} ms")  # noqa: T201 (its result)


if __name__ == "__main__":
    main()
