"""Views of a job: findings and plan before it, previews, and the comparison with the input after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from restore.batch import Job, preview
from restore.batch.jobs import renamed
from restore.batch.memory import UNCHANGED, needed
from restore.batch.output import Output
from restore.errors import ImageError, RestoreError
from restore.estimation import estimate
from restore.evaluation import Comparison, Crop, Picture, worst_regions
from restore.files import atomic_file
from restore.images import Photo, read, to_pil
from restore.inference import AnyRestorer, AutoRestorer
from restore.inference.conditions import limits_of
from restore.inference.sizing import resized
from restore.levels import to_levels
from restore.pages import page
from restore.serve.jobs import ServedJob
from restore.serve.limits import Limits
from restore.serve.memory import Memory
from restore.serve.networks import RestorerCache
from restore.serve.schema import ImageView, JobOptions, PlanView
from restore.serve.uploads import Upload

__all__ = ["Looking", "viewable"]

_SHOWN = {".avif", ".gif", ".jpg", ".jpeg", ".png", ".webp"}
"""Formats that every browser shows."""
_LARGEST_CROP = 512  # input pixels per side of a preview


class Looking:
    """Looks at images and results. Safe to use from several threads.

    Args:
        networks: the models.
        memory: shared with the jobs.
        limits: of pixels.
    """

    def __init__(self, networks: RestorerCache, memory: Memory, limits: Limits) -> None:
        self._networks, self._memory, self._limits = networks, memory, limits

    def image(self, upload: Upload) -> ImageView:
        """Estimate the degradation of an upload.

        Raises:
            ImageError: it cannot be read, or there is too little memory.
        """
        if upload.found is None:
            with _named(upload.path, upload.name), self._memory.holding(_need(upload.path)):
                upload.found = estimate(self._read(upload.path), upload.path)
        return ImageView(
            id=upload.id,
            name=upload.name,
            bytes=upload.bytes,
            size=upload.size,
            findings=upload.found.to_text(),
            degradations=list(upload.found.degradations),
        )

    def plan(self, upload: Upload, options: JobOptions) -> PlanView:
        """Plan a job and estimate its time.

        Raises:
            RestoreError: it would fail.
        """
        restorer = self._networks.restorer(options)
        job = Job(upload.path, Path(options.naming("").inside(upload.path)))
        with self._memory.holding(_need(upload.path)):
            (outcome,) = preview([job], restorer, output=options.output, max_pixels=self._limits.pixels)
        outcome = renamed(outcome, job, Job(Path(upload.name), Path(job.destination.name)))
        if outcome.error is not None:
            raise outcome.error
        choice = outcome.choice
        return PlanView(
            model=choice.model if choice else options.model,
            reason=choice.sentence if choice else "",
            beyond=self._beyond(upload, restorer),
            size=outcome.size or upload.size,
            seconds=round(outcome.seconds, 2),
            memory=outcome.memory or 0,
            notes=[*restorer.notes, *outcome.notes],
        )

    def _beyond(self, upload: Upload, restorer: AnyRestorer) -> bool:
        """Return whether an image is more degraded than the training images of a named model."""
        limits = None if isinstance(restorer, AutoRestorer) else limits_of(restorer.model)
        self.image(upload)
        return limits is not None and upload.found is not None and limits.exceeded_by(upload.found)

    def preview(self, upload: Upload, options: JobOptions, crop: Crop) -> bytes:
        """Return a part of the result as PNG, without restoring the whole image.

        Raises:
            RestoreError: the part is outside of the image or too large, or the model fails.
        """
        if max(crop.width, crop.height) > _LARGEST_CROP:
            raise ImageError(
                f"a preview of {crop.width}x{crop.height} pixels is too large",
                path=upload.name,
                hint=f"choose a `crop` of at most {_LARGEST_CROP}x{_LARGEST_CROP}",
            )
        restorer = self._networks.restorer(options)
        with _named(upload.path, upload.name), self._memory.holding(_need(upload.path)):
            whole = self._read(upload.path)
            return _png(_restored(restorer, whole, crop, options.output, upload.path))

    def view(self, file: Path, name: str) -> Path:
        """A file with the same picture that browsers show: the file itself, or a PNG next to it.

        Args:
            file: of an upload or a result.
            name: under which users know it.

        Raises:
            ImageError: it cannot be read.
        """
        if viewable(file):
            return file
        shown = file.with_name(f"{file.stem}.view.png")
        if not shown.exists():
            with _named(file, name), self._memory.holding(_need(file)):
                content = _png(self._read(file))
            with atomic_file(shown) as place:
                place.write_bytes(content)
        return shown

    def comparison(self, job: ServedJob, addresses: tuple[str, str]) -> str:
        """Return the page of `restore compare` for a result and its input.

        Args:
            job: one that is done.
            addresses: of the input and the result, which the page loads.

        Raises:
            ImageError: a file cannot be read.
        """
        result = job.job.destination
        with (
            _named(job.upload.path, job.upload.name),
            _named(result, job.name),
            self._memory.holding(_need(job.upload.path) + 2 * _need(result)),
        ):
            before, after = (replace(self._read(file), bits=8) for file in (job.upload.path, result))
            size = (after.color.shape[-1], after.color.shape[-2])
            regions = worst_regions([to_levels(resized(before, size).color), to_levels(after.color)])
        return page(
            Comparison(
                title=job.upload.name,
                scale=round(size[0] / before.color.shape[-1], 2),
                pictures=(
                    Picture("Before", "input", before),
                    Picture(
                        "After",
                        "result",
                        after,
                        job.seconds,
                        details=(self._networks.title(job.model) if job.model else "unchanged",),
                    ),
                ),
                regions=tuple(regions),
            ),
            addresses,
        )

    def _read(self, file: Path) -> Photo:
        return read(file, max_pixels=None if "result" in file.name else self._limits.pixels)


@contextmanager
def _named(file: Path, name: str) -> Iterator[None]:
    """In errors of the block, replace the path of a file by the name under which users know it."""
    try:
        yield
    except RestoreError as error:
        error.rename(file, name)
        raise


def viewable(file: Path) -> bool:
    """Return whether browsers display a file of this format."""
    return file.suffix.lower() in _SHOWN


def _need(file: Path) -> int:
    """Estimate the memory for reading and analyzing an image."""
    return 3 * needed(Job(file, Path("result.png")), UNCHANGED, Output(), 10**12).memory


def _restored(restorer: AnyRestorer, whole: Photo, crop: Crop, output: Output, file: Path) -> Photo:
    """Restore a part of the input with the estimates of the whole image."""
    selected = restorer.select(whole, file)
    part = crop.of(replace(whole, bits=8))
    if selected.restorer is None:
        return part
    found = selected.restorer.upscale(part, conditions=selected.conditions)
    height, width = whole.color.shape[-2:]
    wide, high = output.size((width, height), selected.restorer.output_scale)
    size = (max(1, round(crop.width * wide / width)), max(1, round(crop.height * high / height)))
    return resized(found, size)


def _png(photo: Photo) -> bytes:
    buffer = BytesIO()
    to_pil(replace(photo, bits=8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
