"""A comparison as one self-contained page: markup, style, script and pictures, and nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import json
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from restore.evaluation.comparison import Comparison, Picture
from restore.files import atomic_file
from restore.images import to_pil
from restore.pages.assets import asset, filled, head

__all__ = ["page", "write_page"]

_PREVIEW = 1024
"""Pixels along the longer side: what a stage has before one zooms; half of a small picture's."""
_SLIDER = "img-comparison-slider/index.js"


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(page(comparison), encoding="utf-8")


def page(comparison: Comparison) -> str:
    """The page as HTML. It weighs 4/3 of its pictures, lossless WebP in base64, and about 200 kB."""
    pictures = [_embedded("picture", index, _encoded(each)) for index, each in enumerate(comparison.pictures)]
    previews = [
        _embedded("preview", index, _preview(comparison.pictures[index])) for index in _stage(comparison)
    ]
    scripts = "\n".join(f"<script>{asset(name)}</script>" for name in (_SLIDER, "compare.js"))
    values = {
        "title": html.escape(comparison.title),
        "head": head(html.escape(comparison.title), "compare", "compare.css"),
        "data": f'<script type="application/json" id="data">{_safe_json(_described(comparison))}</script>',
        # Before the script, so that they are drawn while the pictures are still being read.
        "previews": "\n".join(previews),
        "scripts": scripts,
        "pictures": "\n".join(pictures),
    }
    return filled("compare.html", values)


def _stage(comparison: Comparison) -> list[int]:
    """The pictures left and right of the line: first and last result, or the input and the only result."""
    results = [index for index, picture in enumerate(comparison.pictures) if picture.role == "result"]
    return [results[0] if len(results) > 1 else 0, results[-1]]


def _safe_json(content: Any) -> str:
    """JSON that may stand inside a script element: no text can end that element."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )


def _encoded(picture: Picture) -> bytes:
    """Lossless WebP, a quarter smaller than PNG, with the colour profile.

    Less effort makes it larger and slower to decode, which is what a reader waits for.
    """
    return _webp(picture, to_pil(picture.photo), lossless=True, quality=50, method=3, exact=True)


def _preview(picture: Picture) -> bytes:
    """A small copy, a twentieth of its bytes, for the third of a second in which the picture is decoded."""
    drawn = to_pil(picture.photo)
    side = min(max(drawn.size) // 2, _PREVIEW) or 1
    drawn.thumbnail((side, side))
    return _webp(picture, drawn, quality=80)


def _webp(picture: Picture, drawn: Image.Image, **options: Any) -> bytes:
    """`drawn` with the colour profile of `picture` and nothing else."""
    buffer = BytesIO()
    profile = picture.photo.icc_profile if not picture.photo.gray else None
    drawn.save(buffer, "WEBP", icc_profile=profile, exif=b"", **options)
    return buffer.getvalue()


def _embedded(kind: str, index: int, content: bytes) -> str:
    text = base64.b64encode(content).decode("ascii")
    return f'<script type="text/plain" id="{kind}-{index}">{text}</script>'


def _described(comparison: Comparison) -> dict[str, Any]:
    """All but the pixels."""
    return {
        "version": version("restorekit"),
        "scale": comparison.scale,
        "size": comparison.size,
        "settings": comparison.settings,
        "stage": _stage(comparison),
        "pictures": [
            {
                "name": picture.name,
                "role": picture.role,
                "size": picture.size,
                "seconds": picture.seconds,
                # JSON has no infinity, which is the PSNR of equal pictures.
                "figures": {name: _finite(figure) for name, figure in (picture.figures or {}).items()},
            }
            for picture in comparison.pictures
        ],
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit,
                "digits": figure.digits,
                "better": figure.better,
                "protocol": figure.protocol,
            }
            for figure in comparison.figures
        ],
        "regions": [
            {"left": region.left, "top": region.top, "side": region.side, "difference": region.difference}
            for region in comparison.regions
        ],
    }


def _finite(figure: float) -> float | None:
    return figure if abs(figure) != float("inf") else None
