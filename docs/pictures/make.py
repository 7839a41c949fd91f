"""Make the image of the README: a detail of the example photo, upscaled 4x with bicubic and EnhanceNet.

Run it from anywhere: ``python docs/pictures/make.py``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import restore

HERE = Path(__file__).parent
DETAIL = (72, 4, 172, 84)  # left, top, right, bottom in the photo
GAP = 8


def main() -> None:
    """Write ``before-after.png`` next to this file: bicubic on the left, EnhanceNet on the right."""
    photo = Image.open(HERE.parent.parent / "examples" / "astronaut.jpg")
    left, top, right, bottom = (4 * side for side in DETAIL)
    sides = [
        restore.load(model, scale=4, precision="fp32").upscale(photo).crop((left, top, right, bottom))
        for model in ("bicubic", "enhancenet")
    ]
    width, height = sides[0].size
    picture = Image.new("RGB", (2 * width + GAP, height), "white")
    for index, side in enumerate(sides):
        picture.paste(side, (index * (width + GAP), 0))
    picture.save(HERE / "before-after.png", optimize=True)


if __name__ == "__main__":
    main()
