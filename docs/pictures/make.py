"""Make the images of degraded photos, upscaled 4x with bicubic and with the model that `auto` chooses.

Run it from anywhere: ``python docs/pictures/make.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

import restore
from restore.data import find_degradation, generator_of
from restore.images import Photo, read, to_pil
from restore.registry import discover

HERE = Path(__file__).parent
DETAIL = (72, 4, 172, 84)  # left, top, right, bottom in the photo
GAP = 8
PICTURES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # as of a photo that a phone took indoors and a messenger compressed
    "before-after.png": {"noise": {"sigma": 8}, "jpeg": {"quality": 60}},
    # as of a photo that was out of focus
    "before-after-blurred.png": {"blur": {"sigma": 1.2}, "noise": {"sigma": 3}, "jpeg": {"quality": 75}},
}
"""File -> the degradations of the photo, in their order, and their strengths."""


def degraded(strengths: Mapping[str, Mapping[str, Any]]) -> Image.Image:
    """Return the example photo with these degradations."""
    photo = read(HERE.parent.parent / "examples" / "astronaut.jpg").color
    degradation = find_degradation("+".join(strengths), discover(), 1, strengths)
    return to_pil(Photo(degradation(photo, generator_of(0, 0)).image))


def main() -> None:
    """Write the images next to this file: bicubic on the left, the default on the right."""
    left, top, right, bottom = (4 * side for side in DETAIL)
    for name, strengths in PICTURES.items():
        photo = degraded(strengths)
        sides = [
            restore.load(model, scale=4, precision="fp32").upscale(photo).crop((left, top, right, bottom))
            for model in ("bicubic", "auto")
        ]
        width, height = sides[0].size
        picture = Image.new("RGB", (2 * width + GAP, height), "white")
        for index, side in enumerate(sides):
            picture.paste(side, (index * (width + GAP), 0))
        picture.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
