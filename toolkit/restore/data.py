"""Folders of images become pairs of a degraded image and its target.

Randomness is counted, not streamed: which image, which crop and which turn sample i gets follows from
(seed, i) alone. Any number of workers and processes, and a run that was resumed, see the same data.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from restore.degradation import crop_to_multiple
from restore.errors import DataError, ImageError, RestoreError
from restore.images import check, is_image_name, read, read_levels
from restore.interfaces import Degrade

__all__ = [
    "CountedSampler",
    "ImagePair",
    "Pair",
    "Patches",
    "Targets",
    "batches",
    "check_images",
    "find_images",
    "fingerprint",
    "pairs",
    "usable",
]

Pair = tuple[Tensor, Tensor]
"""A degraded patch and its target, or a batch of them."""

_NAMED = 3  # files that a sentence about many names
_MARGIN = 4  # input pixels around a patch that are degraded with it, so that a patch has no edges of its own


def find_images(folders: Sequence[Path]) -> list[Path]:
    """All image files below `folders`, sorted, hidden ones left out.

    Raises:
        DataError: a folder is missing or holds no image.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"there is no folder '{folder}'")
        files = sorted(
            path
            for path in folder.rglob("*")
            if is_image_name(path) and path.is_file() and not _is_hidden(path.relative_to(folder))
        )
        if not files:
            raise DataError(f"there is no image in the folder '{folder}'")
        found += files
    return found


def fingerprint(files: Sequence[Path]) -> str:
    """A short hash of the names and sizes of `files`: tells whether two runs saw the same data."""
    lines = sorted(f"{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def check_images(files: Sequence[Path]) -> dict[Path, int]:
    """The short side in pixels of each image, none of which is seen to be damaged.

    Looks at the header and the end of each file only, where its format allows (`restore.images.check`).

    Raises:
        DataError: names the files that cannot be read, with their reasons.
    """
    sides: dict[Path, int] = {}
    failures: dict[Path, str] = {}
    for file in files:
        try:
            sides[file] = min(check(file))
        except ImageError as error:
            failures[file] = str(error)
    if failures:
        raise DataError(_unreadable(failures, len(files)))
    return sides


def usable(files: Sequence[Path], patch: int) -> tuple[list[Path], list[Path]]:
    """Split `files` into those with both sides >= `patch` pixels, and those that are too small.

    Raises:
        DataError: files cannot be read, or none is large enough.
    """
    sides = check_images(files)
    large = [file for file, side in sides.items() if side >= patch]
    if not large:
        raise DataError(
            f"none of the {len(files)} images has {patch} pixels on both sides, the largest has "
            f"{max(sides.values())}: use a smaller --patch-size"
        )
    return large, [file for file, side in sides.items() if side < patch]


class Patches(Dataset[Pair]):
    """Random square patches: sample i is ``(degraded (3, p/scale, p/scale), target (3, p, p))``.

    Each image is used once before any is used again.

    Args:
        files: images with both sides >= `patch`.
        patch: side of the target in pixels, a multiple of `scale`.
        scale: target pixels per input pixel.
        degrade: makes the input from the target.
        seed: together with the index decides the sample.
        augment: flip and turn by quarters.
        cache_bytes: memory for decoded images.
    """

    def __init__(
        self,
        files: Sequence[Path],
        patch: int,
        scale: int,
        degrade: Degrade,
        *,
        seed: int,
        augment: bool = True,
        cache_bytes: int = 0,
    ) -> None:
        self.files = list(files)
        self.patch = patch
        self.scale = scale
        self.degrade = degrade
        self.seed = seed
        self.augment = augment
        self.cache = _Cache(cache_bytes)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, index: int) -> Pair:
        random = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        image = self.cache.read(self._file(index))  # (3, H, W) uint8
        top, left = (
            int(random.integers(0, (side - self.patch) // self.scale + 1)) * self.scale
            for side in image.shape[1:]
        )
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        pair = self._cut(image, top, left, noise)
        return _turn(pair, int(random.integers(8))) if self.augment else pair

    def _file(self, index: int) -> Path:
        epoch, position = divmod(index, len(self.files))
        if self._order[0] != epoch:
            order = np.random.Generator(np.random.Philox(key=[self.seed, 2**62 + epoch]))
            self._order = (epoch, order.permutation(len(self.files)))
        return self.files[int(self._order[1][position])]

    def _cut(self, image: Tensor, top: int, left: int, noise: torch.Generator) -> Pair:
        """Degrade the patch with a margin of its surroundings, then cut the margin away."""
        margin, patch, scale = _MARGIN * self.scale, self.patch, self.scale
        above, before = min(margin, top), min(margin, left)
        # The image's last rows can be fewer than a scale: the margin ends on a multiple.
        below, after = (
            min(margin, (side - start - patch) // scale * scale)
            for side, start in zip(image.shape[1:], (top, left), strict=True)
        )
        rows = slice(top - above, top + patch + below)
        columns = slice(left - before, left + patch + after)
        region = image[:, rows, columns].contiguous().float().div_(255)[None]
        degraded = self.degrade(region, noise)[0]
        y, x, side = above // scale, before // scale, patch // scale
        return (
            degraded[:, y : y + side, x : x + side],
            region[0, :, above : above + patch, before : before + patch],
        )


class Targets(Sequence[Tensor]):
    """Target patches ``(3, p, p)`` of the images of `patches`, read when they are asked for.

    Which ones does not depend on the seed of `patches`.

    Args:
        patches: where the images come from.
        length: how many.
    """

    def __init__(self, patches: Patches, length: int = 128) -> None:
        self.length = length
        self.patches = Patches(
            patches.files, patches.patch, patches.scale, patches.degrade, seed=0, augment=False
        )

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.patches[index % self.length][1]

    def __len__(self) -> int:
        return self.length


class CountedSampler(Sampler[list[int]]):
    """The indices of each batch from step `start` to `stop`, for one of `ranks` processes.

    A batch of `batch_size` samples is dealt out evenly, so that the same samples make up a step
    whatever the number of processes.
    """

    def __init__(self, start: int, stop: int, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.start = start
        self.stop = stop
        self.batch_size = batch_size
        self.rank = rank
        self.ranks = ranks

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.ranks
        for step in range(self.start, self.stop):
            first = step * self.batch_size + self.rank * share
            yield list(range(first, first + share))

    def __len__(self) -> int:
        return self.stop - self.start


def batches(patches: Patches, sampler: CountedSampler, workers: int = 0) -> Generator[Pair]:
    """The batches of `sampler`, loaded ahead by `workers` processes, or by this one where there is none.

    The processes start at once, and end when the generator is closed. They are forks, because what plugins
    bring need not be picklable: call this before other threads run, whose locks a fork would find held
    for ever. Where the system has no forks, this process loads.

    Args:
        patches: where the samples come from.
        sampler: which samples make up which batch.
        workers: processes that load.

    Yields:
        ``(B, 3, h, w)`` and ``(B, 3, scale*h, scale*w)``.

    Raises:
        ImageError: an image cannot be read.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        workers = 0
    loader = DataLoader(
        _ErrorsAsSamples(patches),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_signals,
        multiprocessing_context="fork" if workers else None,
    )
    return _opened(iter(loader))


@dataclass(frozen=True)
class ImagePair:
    """A whole image to be restored, and what it should become."""

    name: str
    degraded: Tensor
    """``(1, 3, H, W)`` float32."""
    target: Tensor
    """``(1, 3, scale*H, scale*W)`` float32."""
    gray: bool
    """The target's file has one channel."""


def pairs(folder: Path, scale: int, degrade: Degrade, degraded: Path | None = None) -> Iterator[ImagePair]:
    """Whole images with their degraded versions, in order of their names.

    Args:
        folder: the targets; each is cropped to a multiple of `scale`.
        scale: target pixels per input pixel.
        degrade: makes the inputs, unless `degraded` is given.
        degraded: a folder of inputs with the names of the targets.

    Raises:
        DataError: a target has no partner, or a partner of the wrong size.
        ImageError: a file cannot be read.
    """
    for file in find_images([folder]):
        photo = read(file)
        name = file.relative_to(folder).as_posix()
        try:
            target = crop_to_multiple(photo.color, scale)
        except ValueError as error:
            raise DataError(f"'{file}': {error}") from None
        if degraded is None:
            # In float64, so that rounding to 8 bits never depends on the order of a sum.
            made = degrade(target.double()).float()
        else:
            made = _partner(degraded, name, target, scale)
        yield ImagePair(name, made, target, photo.gray)


def _unreadable(failures: dict[Path, str], total: int) -> str:
    """One sentence about all images that cannot be read."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    reasons = {file: reason.removeprefix(f"cannot read '{file}': ") for file, reason in failures.items()}
    named = [f"'{file}' ({reason})" for file, reason in islice(reasons.items(), _NAMED)]
    more = f" and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return (
        f"{len(failures)} of {total} images cannot be read: {', '.join(named)}{more}; replace them, or take "
        "them out of the folder"
    )


def _partner(folder: Path, name: str, target: Tensor, scale: int) -> Tensor:
    file = folder / name
    if not file.is_file():
        same = sorted(file.parent.glob(f"{_escape(file.stem)}.*")) if file.parent.is_dir() else []
        if len(same) != 1:
            raise DataError(f"there is no degraded image '{file}' for the target '{name}'")
        file = same[0]
    degraded = read(file).color
    wanted = tuple(side // scale for side in target.shape[-2:])
    if tuple(degraded.shape[-2:]) != wanted:
        raise DataError(
            f"the degraded image '{file}' has {degraded.shape[-1]}x{degraded.shape[-2]} pixels, but at scale "
            f"{scale} its target asks for {wanted[1]}x{wanted[0]}"
        )
    return degraded


def _escape(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


class _ErrorsAsSamples(Dataset[Pair | RestoreError]):
    """Hands on an error as if it were a sample: a loader's process would bury its sentence in a traceback."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __getitem__(self, index: int) -> Pair | RestoreError:
        try:
            return self.patches[index]
        except RestoreError as error:
            return error


def _opened(loaded: Iterator[Any]) -> Generator[Pair]:
    try:
        for batch in loaded:
            if isinstance(batch, RestoreError):
                raise batch
            degraded, target = batch
            yield degraded, target
    finally:
        # What ends the processes; a traceback would keep it, and Python's exit wait for them in vain.
        del loaded


def _collate(samples: list[Pair | RestoreError]) -> Any:
    errors = [sample for sample in samples if isinstance(sample, RestoreError)]
    return errors[0] if errors else default_collate(samples)


def _ignore_signals(worker: int) -> None:  # noqa: ARG001
    """Ctrl-C reaches every process of a terminal: the one that trains decides when the loaders end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _turn(pair: Pair, turn: int) -> Pair:
    """One of the eight flips and quarter turns, the same for both."""
    degraded, target = (image.flip(-1) if turn >= 4 else image for image in pair)
    return degraded.rot90(turn % 4, (-2, -1)).contiguous(), target.rot90(turn % 4, (-2, -1)).contiguous()


class _Cache:
    """Decoded images, the least recently used dropped when they outgrow their memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.images: OrderedDict[Path, Tensor] = OrderedDict()

    def read(self, file: Path) -> Tensor:
        """``(3, H, W)`` uint8."""
        if file in self.images:
            self.images.move_to_end(file)
            return self.images[file]
        image = read_levels(file)
        if _memory(image) <= self.limit:
            self.images[file] = image
            self.size += _memory(image)
            while self.size > self.limit:
                self.size -= _memory(self.images.popitem(last=False)[1])
        return image


def _memory(image: Tensor) -> int:
    """Bytes that `image` keeps: fewer than it has values if gray, more if it came with alpha."""
    return image.untyped_storage().nbytes()
