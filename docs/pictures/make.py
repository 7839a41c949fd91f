"""Make the README's picture: a detail of the example photograph, enlarged 4x, before and after.

Run it from anywhere: ``python docs/pictures/make.py``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import restore

HERE = Path(__file__).parent
DETAIL = (72, 4, 172, 84)  # left, top, right, bottom in the photograph
GAP = 8


def main() -> None:
    """Write ``before-after.png`` beside this file: bicubic on the left, EnhanceNet on the right."""
    photograph = Image.open(HERE.parent.parent / "examples" / "astronaut.jpg")
    left, top, right, bottom = (4 * side for side in DETAIL)
    sides = [
        restore.load(model, scale=4, precision="fp32").upscale(photograph).crop((left, top, right, bottom))
        for model in ("bicubic", "enhancenet")
    ]
    width, height = sides[0].size
    picture = Image.new("RGB", (2 * width + GAP, height), "white")
    for index, side in enumerate(sides):
        picture.paste(side, (index * (width + GAP), 0))
    picture.save(HERE / "before-after.png", optimize=True)


if __name__ == "__main__":
    main()
