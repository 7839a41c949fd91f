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
from restore.evaluation import Comparison, Dataset, Meter, Result, Scene, compare, failure_reason
from restore.images import Photo, to_pil
from restore.inference import AnyRestorer
from restore.pages.comparison_page import write_page
from restore.pages.evaluation_page import Thumbnail, write_evaluation_page

__all__ = ["EvaluatedImage", "evaluated_images", "write_comparison", "write_evaluation"]

_SMALL = 200  # the longer side of a thumbnail in pixels


@dataclass(frozen=True)
class EvaluatedImage:
    """An image of an evaluation, which is read when it is needed.

    >>> import torch
    >>> image = EvaluatedImage("Set5", "baby.png", lambda: Scene(Photo(torch.rand(1, 3, 8, 8))))
    >>> image.read().whole.color.shape
    torch.Size([1, 3, 8, 8])
    """

    data: str
    """Title of the data set, see `Result.title`."""
    name: str
    """Name of the image in the data set."""
    read: Callable[[], Scene]
    """Returns the input with its target and its file, if it has them."""


def evaluated_images(
    result: Result, sets: Iterable[Dataset], on_image: Callable[[int], None] = lambda _: None
) -> Iterator[EvaluatedImage]:
    """The images that every model restored.

    Args:
        result: of the evaluation.
        sets: the data sets of its rows.
        on_image: called with the number of images that are finished.

    Example:
        >>> from restore.evaluation import Row
        >>> row = Row("bicubic", "Set5", 4, images=(), failures={}, protocol={})
        >>> result = Result((row,), meters=(), against="bicubic")
        >>> list(evaluated_images(result, sets=[]))
        []
    """
    done = 0
    for dataset in sets:
        rows = [row for row in result.rows if (row.data, row.inputs) == (dataset.name, dataset.inputs)]
        restored = {name for row in rows for name in result.common(row)}
        for file in dataset.files():
            name = dataset.name_of(file)
            if name in restored:
                yield EvaluatedImage(result.title(rows[0]), name, partial(_scene, dataset, file))
            done += 1
            on_image(done)


def _scene(dataset: Dataset, file: Path) -> Scene:
    """Input and target as they are measured: colors only, and a gray target is its own luma."""
    sample = dataset.sample(file)
    if sample.target is None:
        return Scene(Photo(sample.degraded, gray=sample.gray), file=sample.degraded_file)
    return Scene(Photo(sample.degraded), Photo(sample.target, gray=sample.gray), sample.degraded_file)


def write_evaluation(
    result: Result,
    path: Path,
    images: Iterable[EvaluatedImage],
    restorers: Sequence[AnyRestorer],
    meters: Sequence[Meter] = (),
) -> list[str]:
    """Write the comparison of each image, which is restored once more for it, then the page.

    Args:
        result: of the evaluation.
        path: of the page.
        images: of the evaluation. One that cannot be compared, whatever is raised, is left out.
        restorers: the models.
        meters: metrics of the comparisons.

    Returns:
        One sentence for each image that has no comparison.

    Raises:
        OSError: the page cannot be written.

    Example:
        >>> from restore.evaluation import Row
        >>> row = Row("bicubic", "Set5", 4, images=(), failures={}, protocol={})
        >>> result = Result((row,), meters=(), against="bicubic")
        >>> write_evaluation(result, Path("evaluation.html"), images=[], restorers=[])  # none is left out
        []
    """
    thumbnails, left_out = [], []
    for image in images:
        try:
            found = replace(compare(image.read(), restorers, meters), title=image.name)
            thumbnails.append(write_comparison(found, image.data, image.name, path))
        except Exception as error:  # such as a full disk or a name too long; the other images go on
            where = f"{escaped(image.data)}: {escaped(image.name)}"
            left_out.append(f"{where}: there is no comparison: {failure_reason(error)}")
    write_evaluation_page(result, path, thumbnails)
    return left_out


def write_comparison(comparison: Comparison, data: str, name: str, page: Path) -> Thumbnail:
    """Write the comparison of one image of data set `data` into the folder ``PAGE_images`` next to `page`.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import torch
        >>> from restore.inference import load
        >>> found = compare(Scene(Photo(torch.rand(1, 3, 16, 16))), [load("bicubic", scale=2)])
        >>> write_comparison(found, "Set5", "baby", Path("page.html")).address
        'page_images/Set5/baby.html'
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
