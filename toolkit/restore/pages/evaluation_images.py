"""The comparisons of all images of an evaluation, next to its page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from restore.errors import escaped
from restore.evaluation import Comparison, Dataset, Meter, Result, compare, failure_reason
from restore.images import Photo, to_pil
from restore.inference import AnyRestorer
from restore.pages.comparison_page import write_page
from restore.pages.evaluation_page import Thumbnail, write_evaluation_page

__all__ = ["Scene", "scenes", "write_comparison", "write_evaluation"]

_SMALL = 200  # the longer side of a thumbnail in pixels


@dataclass(frozen=True)
class Scene:
    """An image of an evaluation, which is read when it is needed."""

    data: str
    """Title of the data set, see `Result.title`."""
    name: str
    """Name of the image in the data set."""
    read: Callable[[], tuple[Photo, Photo | None, Path | None]]
    """Returns the input, the target if there is one, and the file of the input if it is in one."""


def scenes(
    result: Result, sets: Iterable[Dataset], on_image: Callable[[int], None] = lambda _: None
) -> Iterator[Scene]:
    """The images that every model restored.

    Args:
        result: of the evaluation.
        sets: the data sets of its rows.
        on_image: called with the number of images that are finished.
    """
    done = 0
    for dataset in sets:
        rows = [row for row in result.rows if (row.data, row.inputs) == (dataset.name, dataset.inputs)]
        restored = {name for row in rows for name in result.common(row)}
        for file in dataset.files():
            name = dataset.name_of(file)
            if name in restored:
                yield Scene(result.title(rows[0]), name, partial(_photos, dataset, file))
            done += 1
            on_image(done)


def _photos(dataset: Dataset, file: Path) -> tuple[Photo, Photo | None, Path | None]:
    """Input and target as they are measured, and the file of the input.

    They have colors only, and a gray target is its own luma.
    """
    sample = dataset.sample(file)
    if sample.target is None:
        return Photo(sample.degraded, gray=sample.gray), None, sample.degraded_file
    return Photo(sample.degraded), Photo(sample.target, gray=sample.gray), sample.degraded_file


def write_evaluation(
    result: Result,
    path: Path,
    scenes: Iterable[Scene],
    restorers: Sequence[AnyRestorer],
    meters: Sequence[Meter] = (),
) -> list[str]:
    """Write the comparison of each image, which is restored once more for it, then the page.

    Args:
        result: of the evaluation.
        path: of the page.
        scenes: the images. One that cannot be compared, whatever is raised, is left out.
        restorers: the models.
        meters: metrics of the comparisons.

    Returns:
        One sentence for each image that has no comparison.

    Raises:
        OSError: the page cannot be written.
    """
    thumbnails, left_out = [], []
    for scene in scenes:
        try:
            degraded, target, file = scene.read()
            found = compare(degraded, restorers, file=file, target=target, meters=meters)
            found = replace(found, title=scene.name)
            thumbnails.append(write_comparison(found, scene.data, scene.name, path))
        except Exception as error:  # such as a full disk or a name too long; the other images go on
            where = f"{escaped(scene.data)}: {escaped(scene.name)}"
            left_out.append(f"{where}: there is no comparison: {failure_reason(error)}")
    write_evaluation_page(result, path, thumbnails)
    return left_out


def write_comparison(comparison: Comparison, data: str, name: str, page: Path) -> Thumbnail:
    """Write the comparison of one image of data set `data` into the folder ``PAGE_images`` next to `page`.

    Raises:
        OSError: the file cannot be written.
    """
    folder = re.sub(r"[^\w.-]+", "-", data).strip(".")
    place = Path(f"{page.stem}_images") / (folder or "data") / f"{name}.html"
    write_page(comparison, page.parent / place)
    shown = comparison.target or comparison.results[-1]
    small = to_pil(shown.photo).convert("RGB")
    small.thumbnail((_SMALL, _SMALL))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=80)
    # As bytes, because names of files need not be text.
    address = quote(place.as_posix().encode("utf-8", "surrogateescape"))
    return Thumbnail(data, name, address, buffer.getvalue())
