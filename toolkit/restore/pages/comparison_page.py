"""A comparison as one self-contained page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from math import isinf
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from restore.errors import escaped
from restore.evaluation import Comparison, Meter, Picture
from restore.files import atomic_file, finite
from restore.images import to_pil
from restore.pages.templating import asset, render

__all__ = ["page", "script_hashes", "write_page"]

_SCRIPTS = ("img-comparison-slider/index.js", "compare.js")
_PREVIEW = 1024
"""Longer side of a preview in pixels, about that of the viewer; half of the picture's if it is small."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page atomically.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import torch
        >>> from restore.evaluation import Scene, compare
        >>> from restore.images import Photo
        >>> from restore.inference import load
        >>> found = compare(Scene(Photo(torch.rand(1, 3, 16, 16))), [load("bicubic", scale=2)])
        >>> write_page(found, Path("comparison.html"))
    """
    with atomic_file(path) as temporary:
        temporary.write_text(page(comparison), encoding="utf-8")


def page(comparison: Comparison, addresses: Sequence[str] = ()) -> str:
    """The page as HTML. Its size is 4/3 of its pictures, lossless WebP in base64, and about 200 kB.

    Args:
        comparison: what to show.
        addresses: where the page loads each picture from; without any, they are embedded in it.

    Example:
        >>> import torch
        >>> from restore.evaluation import Scene, compare
        >>> from restore.images import Photo
        >>> from restore.inference import load
        >>> found = compare(Scene(Photo(torch.rand(1, 3, 16, 16))), [load("bicubic", scale=2)])
        >>> page(found).startswith("<!doctype html>")
        True
    """
    if addresses:
        return render(
            "compare.html",
            title=escaped(comparison.title),
            data=Markup(_safe_json(_described(comparison) | {"embedded": False})),  # noqa: S704 - as below
            previews=[],
            pictures=[],
            addresses=addresses,
        )
    stage = _stage(comparison)
    return render(
        "compare.html",
        title=escaped(comparison.title),
        data=Markup(_safe_json(_described(comparison))),  # noqa: S704 - no text in it can end the element
        previews=[(index, _base64(_preview(comparison.pictures[index]))) for index in stage],
        pictures=[_base64(_encoded(picture)) for picture in comparison.pictures],
        addresses=(),
    )


def script_hashes() -> list[str]:
    """The scripts of the page, as a content security policy names them.

    >>> script_hashes()[0][:8]
    "'sha256-"
    """
    texts = [asset(name).encode() for name in _SCRIPTS]
    return [f"'sha256-{_base64(hashlib.sha256(text).digest())}'" for text in texts]


def _stage(comparison: Comparison) -> list[int]:
    """The first two pictures under the slider: first and last result, or the input and the only result."""
    results = [index for index, picture in enumerate(comparison.pictures) if picture.role == "result"]
    return [results[0] if len(results) > 1 else 0, results[-1]]


def _safe_json(content: Any) -> str:
    """JSON for a script element, which no text in it can end; infinity, a possible PSNR, becomes null."""
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _encoded(picture: Picture) -> bytes:
    """Lossless WebP, a quarter smaller than PNG, with the color profile.

    Less effort makes it larger and slower to decode, which delays the page.
    """
    return _webp(picture, to_pil(picture.photo), lossless=True, quality=50, method=3, exact=True)


def _preview(picture: Picture) -> bytes:
    """A small copy, a twentieth of the bytes, shown while the picture is decoded."""
    drawn = to_pil(picture.photo)
    side = min(max(drawn.size) // 2, _PREVIEW) or 1
    drawn.thumbnail((side, side))
    return _webp(picture, drawn, quality=80)


def _webp(picture: Picture, drawn: Image.Image, **options: Any) -> bytes:
    """`drawn` with the color profile of `picture` and nothing else."""
    buffer = BytesIO()
    profile = picture.photo.icc_profile if not picture.photo.gray else None
    drawn.save(buffer, "WEBP", icc_profile=profile, exif=b"", **options)
    return buffer.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _described(comparison: Comparison) -> dict[str, Any]:
    """Everything but the pixels."""
    best = {meter.name: meter.best(_values(comparison, meter)) for meter in comparison.meters}
    return {
        "version": version("restorekit"),
        "scale": comparison.scale,
        "embedded": True,
        "size": comparison.size,
        "settings": comparison.settings,
        "stage": _stage(comparison),
        "pictures": [
            {
                "name": escaped(picture.name),
                "role": picture.role,
                "size": picture.size,
                "seconds": picture.seconds,
                "details": [escaped(line) for line in picture.details],
                "values": dict(picture.values or {}),
                "texts": {meter.name: _text(picture, meter) for meter in comparison.meters},
                "best": [name for name, value in (picture.values or {}).items() if value == best[name]],
            }
            for picture in comparison.pictures
        ],
        "metrics": [
            {
                "name": meter.name,
                "title": meter.title,
                "unit": meter.unit,
                "better": meter.better,
                "protocol": escaped(meter.protocol),
            }
            for meter in comparison.meters
        ],
        "failures": [(escaped(name), escaped(why)) for name, why in (comparison.failures or {}).items()],
        "regions": [
            {"left": region.left, "top": region.top, "side": region.side, "difference": region.difference}
            for region in comparison.regions
        ],
    }


def _values(comparison: Comparison, meter: Meter) -> list[float]:
    return [result.values[meter.name] for result in comparison.results if result.values]


def _text(picture: Picture, meter: Meter) -> str:
    """The value as the table shows it; a result of infinite PSNR is equal to the target."""
    value = (picture.values or {}).get(meter.name)
    if value is None:
        return ""
    return "equal" if isinf(value) and meter.better == "higher" else meter.text(value)
