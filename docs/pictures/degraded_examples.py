"""Draw a detail of the example photo, degraded by each included entry at three strengths.

Run it from anywhere: ``python docs/pictures/degraded_examples.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from PIL import Image, ImageDraw

from restore.data import Degradation, find_degradation, generator_of
from restore.images import Photo, read, to_pil
from restore.registry import Registry, discover

HERE = Path(__file__).parent
SIDE, GAP, TITLE = 192, 6, 14
TOP, LEFT = 36, 100  # of the detail in the photo, a multiple of the scale
DETAIL = 96
SCALE = 2  # of the entries that reduce the photo

STRENGTHS: dict[str, list[dict[str, Any]]] = {
    "blur": [{"sigma": 1}, {"sigma": 2}, {"kind": "line", "sigma": 4}],
    "resize": [{"method": "area"}, {"method": "bicubic"}, {"method": "lanczos", "factor": 0.5}],
    "bicubic": [{}],  # the downscaling of the benchmarks has one strength
    "noise": [{"sigma": 10}, {"kind": "camera", "sigma": 25}, {"sigma": 50}],
    "jpeg": [{"quality": 60}, {"quality": 30}, {"quality": 10}],
    "webp": [{"quality": 60}, {"quality": 30}, {"quality": 5}],
    "sinc": [{"cutoff": 2}, {"cutoff": 1.5}, {"cutoff": 1}],
    "sharpen": [{"amount": 1}, {"amount": 2}, {"amount": 4}],
    "quantize": [{"bits": 5}, {"bits": 4}, {"bits": 3}],
    "photo": [
        {"noise": 3, "quality": 80, "clean": 0},
        {"noise": 8, "quality": 50, "clean": 0},
        {"noise": 12, "quality": 30, "clean": 0},
    ],
    "bsrgan": [{}, {}, {}],  # these draw their strengths
    "realesrgan": [{}, {}, {}],
}


def main() -> None:
    """Write ``degradations.jpg`` next to this file: a row for each entry."""
    registry = discover()
    columns = max(map(len, STRENGTHS.values()))
    size = (columns * (SIDE + GAP) - GAP, len(STRENGTHS) * (SIDE + TITLE + GAP) - GAP)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, strengths) in enumerate(STRENGTHS.items()):
        top = row * (SIDE + TITLE + GAP)
        for column, options in enumerate(strengths):
            left = column * (SIDE + GAP)
            text = ", ".join(f"{key}={value}" for key, value in options.items()) or f"seed {column}"
            draw.text((left + 1, top + 1), f"{name}  {text}", fill="black")
            picture.paste(_detail(_found(name, registry, options), column), (left, top + TITLE))
    picture.save(HERE / "degradations.jpg", quality=85)


def _found(name: str, registry: Registry, options: dict[str, Any]) -> Degradation:
    scale = SCALE if registry.degradations[name].resizes else 1
    return find_degradation(name, registry, scale, options)


def _detail(degradation: Degradation, seed: int) -> Image.Image:
    photo = read(HERE.parent.parent / "examples" / "astronaut.jpg").color
    height, width = (side // SCALE * SCALE for side in photo.shape[-2:])
    degraded = degradation(photo[..., :height, :width], generator_of(seed, "astronaut")).image
    scale = degradation.scale
    top, left, side = TOP // scale, LEFT // scale, DETAIL // scale
    detail = degraded[..., top : top + side, left : left + side]
    enlarged = F.interpolate(detail, size=(SIDE, SIDE), mode="nearest")
    return to_pil(Photo(enlarged.clamp(0, 1)))


if __name__ == "__main__":
    main()
