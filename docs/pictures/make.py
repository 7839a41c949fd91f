"""Make the image of the README: a degraded photo, upscaled 4x with bicubic and with the default model.

Run it from anywhere: ``python docs/pictures/make.py``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import restore
from restore.data import find_degradation, generator_of
from restore.images import Photo, read, to_pil
from restore.registry import discover

HERE = Path(__file__).parent
DETAIL = (72, 4, 172, 84)  # left, top, right, bottom in the photo
GAP = 8
STRENGTHS = {"noise": {"sigma": 8}, "jpeg": {"quality": 60}}
"""As of a photo that a phone took indoors and a messenger compressed."""


def degraded() -> Image.Image:
    """Return the example photo with noise and compression."""
    photo = read(HERE.parent.parent / "examples" / "astronaut.jpg").color
    degradation = find_degradation("noise+jpeg", discover(), 1, STRENGTHS)
    return to_pil(Photo(degradation(photo, generator_of(0, 0)).image))


def main() -> None:
    """Write ``before-after.png`` next to this file: bicubic on the left, the default on the right."""
    photo = degraded()
    left, top, right, bottom = (4 * side for side in DETAIL)
    sides = [
        restore.load(model, scale=4, precision="fp32").upscale(photo).crop((left, top, right, bottom))
        for model in ("bicubic", "enhancenet:photo")
    ]
    width, height = sides[0].size
    picture = Image.new("RGB", (2 * width + GAP, height), "white")
    for index, side in enumerate(sides):
        picture.paste(side, (index * (width + GAP), 0))
    picture.save(HERE / "before-after.png", optimize=True)


if __name__ == "__main__":
    main()
