"""Draw the same details of several models next to the target.

``python docs/pictures/crops.py OUT.png TITLE=MODEL...``, for example ``E=enhancenet:e PAT=enhancenet:pat``.
The photos come with scikit-image (CC0). The inputs are made by downscaling them by 4 with MATLAB's bicubic.
"""

from __future__ import annotations

import sys

import skimage.data
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import restore
from restore.degradation import bicubic
from restore.images import Photo, to_pil

SIDE, GAP, TITLE = 140, 4, 16
DETAILS = {"chelsea": (60, 84), "grass": (180, 180), "coffee": (168, 260), "gravel": (200, 200)}
"""Top and left of the detail of each photo."""


def photo(name: str) -> Tensor:
    """Return ``(1, 3, H, W)`` in [0, 1]; H and W are multiples of 4."""
    levels = torch.tensor(getattr(skimage.data, name)())
    planes = levels.permute(2, 0, 1)[:3] if levels.dim() == 3 else levels.expand(3, -1, -1)
    height, width = (side // 4 * 4 for side in planes.shape[-2:])
    return planes[None, :, :height, :width].float() / 255


def main(out: str, *columns: str) -> None:
    """Draw one row per photo and one column per model; the last column is the target."""
    titles = [column.partition("=")[0] for column in columns]
    models = [restore.load(column.partition("=")[2], scale=4, precision="fp32") for column in columns]
    size = ((len(models) + 1) * (SIDE + GAP), TITLE + len(DETAILS) * (SIDE + GAP))
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate([*titles, "target"]):
        draw.text((column * (SIDE + GAP) + 4, 2), title, fill="black")
    for row, (name, (top, left)) in enumerate(DETAILS.items()):
        target = photo(name)
        degraded = bicubic(target, 4)
        for column, image in enumerate([*(model.restore(degraded) for model in models), target]):
            detail = to_pil(Photo(image)).crop((left, top, left + SIDE, top + SIDE))
            picture.paste(detail, (column * (SIDE + GAP), TITLE + row * (SIDE + GAP)))
    picture.save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
