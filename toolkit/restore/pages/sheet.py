"""A comparison as one picture: the whole scene, and crops of each result where they differ most."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from restore.errors import escaped
from restore.evaluation import Comparison, Picture, Region
from restore.files import atomic_file
from restore.images import to_pil

__all__ = ["sheet", "write_sheet"]

_TILE = 240
_GAP = 12
_MARGIN = 24
_LINE = 22
_INK, _QUIET, _GROUND, _STAGE = "#1c1c1b", "#5d5d5a", "#ffffff", "#e6e6e4"
_ROWS = 4


def write_sheet(comparison: Comparison, path: Path) -> None:
    """Write the sheet as a PNG atomically.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import torch
        >>> from restore.evaluation import Scene, compare
        >>> from restore.images import Photo
        >>> from restore.inference import load
        >>> found = compare(Scene(Photo(torch.rand(1, 3, 16, 16))), [load("bicubic", scale=2)])
        >>> write_sheet(found, Path("sheet.png"))
    """
    with atomic_file(path) as temporary:
        sheet(comparison).save(temporary, "PNG", optimize=True)


def sheet(comparison: Comparison) -> Image.Image:
    """A column for each picture and a row for each region; the first column shows where the regions are."""
    regions = comparison.regions[:_ROWS]
    drawn = {picture.name: to_pil(picture.photo).convert("RGB") for picture in comparison.pictures}
    whole = _whole(comparison, drawn, regions)
    left = _MARGIN + whole.width + 2 * _GAP
    top = _MARGIN + 2 * _LINE + _GAP  # below the title
    details = any(picture.details for picture in comparison.results)
    crops = top + (2 + len(comparison.meters) + details) * _LINE
    width = left + len(drawn) * (_TILE + _GAP) - _GAP + _MARGIN
    height = max(crops + len(regions) * (_TILE + _GAP) - _GAP, crops + whole.height) + _MARGIN
    canvas = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(canvas)
    pen.text((_MARGIN, _MARGIN), escaped(comparison.title), _INK, _font(22))
    size = f"{comparison.size[0]} x {comparison.size[1]} pixels, {comparison.scale}x"
    pen.text((_MARGIN, _MARGIN + _LINE + 8), size, _QUIET, _font(14))
    canvas.paste(whole, (_MARGIN, crops))
    for column, picture in enumerate(comparison.pictures):
        x = left + column * (_TILE + _GAP)
        _label(pen, (x, top), comparison, picture)
        for row, region in enumerate(regions):
            y = crops + row * (_TILE + _GAP)
            canvas.paste(_crop(drawn[picture.name], region, comparison), (x, y))
            if not column:
                pen.text((x - 2 * _GAP + 8, y), str(row + 1), _INK, _font(14))
    return canvas


def _whole(comparison: Comparison, drawn: dict[str, Image.Image], regions: tuple[Region, ...]) -> Image.Image:
    """The scene, one and a half tiles wide, with numbered frames."""
    best = comparison.target or comparison.results[-1]
    width, height = comparison.size
    ratio = min(1.5 * _TILE / width, 2 * _TILE / height)
    small = drawn[best.name].resize((max(1, round(width * ratio)), max(1, round(height * ratio))))
    pen = ImageDraw.Draw(small)
    for number, region in enumerate(regions, start=1):
        x, y, side = region.left * ratio, region.top * ratio, region.side * ratio
        pen.rectangle((x - 1, y - 1, x + side + 1, y + side + 1), outline="#000000")
        pen.rectangle((x, y, x + side, y + side), outline="#ffffff")
        pen.text((x + 3, y + 1), str(number), "#ffffff", _font(13), stroke_width=2, stroke_fill="#000000")
    return small


def _crop(image: Image.Image, region: Region, comparison: Comparison) -> Image.Image:
    """The region of a picture, which may be the smaller input; pixels stay visible."""
    ratio = image.width / comparison.size[0]
    box = tuple(
        edge * ratio
        for edge in (region.left, region.top, region.left + region.side, region.top + region.side)
    )
    return image.resize((_TILE, _TILE), Image.Resampling.NEAREST, box=box)  # type: ignore[arg-type]


def _label(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], comparison: Comparison, picture: Picture
) -> None:
    x, y = place
    pen.text((x, y), _shortened(escaped(picture.name)), _INK, _font(16))
    values = picture.values or {}
    lines = [
        f"{meter.name} {meter.text(values[meter.name])} {meter.unit}"
        for meter in comparison.meters
        if meter.name in values
    ]
    if picture.seconds is not None:
        lines.append(f"{picture.seconds:.3f} s")
    if picture.role == "input":
        lines += map(_shortened, picture.details[-1:])  # the visible degradations
    elif picture.details:
        lines.append(_shortened(", ".join(picture.details)))
    for number, line in enumerate(lines, start=1):
        pen.text((x, y + number * _LINE), line, _QUIET, _font(13))


def _shortened(name: str) -> str:
    """The end of a long name, by which models differ, as wide as a tile."""
    if _font(16).getlength(name) <= _TILE:
        return name
    while _font(16).getlength(f"…{name}") > _TILE:
        name = name[1:]
    return f"…{name}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
