"""A restorer that measures each image and chooses the model for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, overload

import torch
from PIL import Image
from torch import Tensor

from restore.errors import UsageError
from restore.images import Photo
from restore.inference.choosing import AUTO, RuleRow, choose
from restore.inference.conditions import examined
from restore.inference.inputs import as_batch, as_photo, file_of, in_unit_range
from restore.inference.restorer import Kind, Restorer, Selected
from restore.inference.rules import fingerprint
from restore.inference.tiles import Progress

__all__ = ["AnyRestorer", "AutoRestorer"]


class AutoRestorer:
    """Restores each image with the model that it needs. Safe to call from several threads at once.

    A model is loaded when the first image needs it, and kept. The size of tiles is chosen for each image from
    the memory that is free then, so that several models share it.

    Args:
        rows: from `restore.inference.rules.rule`.
        load: loads a model by its reference, for results at `output_scale`.
        output_scale: output pixels per input pixel along one side.

    Example:
        >>> from restore.inference import load
        >>> restorer = AutoRestorer([], load, output_scale=2)
        >>> restorer.reference, restorer.scale
        ('auto', 2)
    """

    def __init__(self, rows: Sequence[RuleRow], load: Callable[[str], Restorer], output_scale: float) -> None:
        self._rows = tuple(rows)
        self._load = load
        self._loaded: dict[str, Restorer] = {}
        self._lock = Lock()
        self.output_scale = output_scale

    @property
    def reference(self) -> str:
        """What a user writes in place of a model: ``auto``."""
        return AUTO

    @property
    def scale(self) -> int:
        """Output pixels per input pixel before a model is chosen, which may work at a larger scale."""
        return math.ceil(self.output_scale)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing; the notes of a model are known when it is chosen."""
        return ()

    @property
    def candidates(self) -> frozenset[str]:
        """The models to choose from; an empty one leaves images unchanged."""
        return frozenset(row.model for row in self._rows)

    @property
    def rule(self) -> str:
        """A text that changes with the rule."""
        return f"{AUTO} {fingerprint(self._rows)}"

    def working_memory(self, height: int, width: int) -> int:  # noqa: ARG002 - as for a `Restorer`
        """Memory of the network before one is chosen: 0."""
        return 0

    def restorer(self, model: str) -> Restorer | None:
        """The restorer of one of the `candidates`; `None` for the empty one.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        if not model:
            return None
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = self._load(model)
            return self._loaded[model]

    def any(self) -> Restorer:
        """The restorer of one of the `candidates`; engine, precision and device are the same for all.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        return next(found for row in self._rows if (found := self.restorer(row.model)) is not None)

    def select(self, image: Photo | Tensor, file: Path | bytes | None = None) -> Selected:
        """Choose the model for an image.

        Args:
            image: a photo, or ``(1, 3, H, W)``, uint8 levels or floats in [0, 1]. It is seen as a whole.
            file: where it was read from, or the file's content: the tables of a JPEG state its quality.

        Raises:
            ImageError: `file` cannot be read.
            WeightsError: the weights are missing or damaged.
        """
        if len(self.candidates) == 1:
            (only,) = self.candidates
            restorer = self.restorer(only)
            return Selected(restorer, restorer.conditions_of(image, file) if restorer else {})
        found = examined(image, file, blur=any(row.blur < math.inf for row in self._rows))
        choice = choose(found, self._rows)
        restorer = self.restorer(choice.model)
        if restorer is None:
            return Selected(None, choice=choice)
        return Selected(restorer, restorer.conditions_from(found), choice)

    @overload
    def upscale(self, image: str | PathLike[str], progress: Progress | None = None) -> Image.Image: ...

    @overload
    def upscale(self, image: Kind, progress: Progress | None = None) -> Kind: ...

    def upscale(self, image: Any, progress: Progress | None = None) -> Any:
        """Restore one image with the model that it needs and return the same kind of image.

        Args:
            image: as for `Restorer.upscale`; the images of a batch are looked at one by one.
            progress: called with the fraction that is done.

        Raises:
            UsageError: it is no image, or its pixels have an unknown range.
            ImageError: the file cannot be read.
            WeightsError: the weights are missing or damaged.
        """
        if isinstance(image, Tensor):
            return self._upscale_tensor(image, progress)
        photo, back = as_photo(image)
        selected = self.select(photo, file_of(image))
        if selected.restorer is None:
            return image if isinstance(image, bytes) else back(photo)
        return back(selected.restorer.upscale(photo, progress, selected.conditions))

    @overload
    def clean(self, image: str | PathLike[str], progress: Progress | None = None) -> Image.Image: ...

    @overload
    def clean(self, image: Kind, progress: Progress | None = None) -> Kind: ...

    def clean(self, image: Any, progress: Progress | None = None) -> Any:
        """Remove noise and compression from one image, see `upscale`; one without any is returned as it is.

        Raises:
            UsageError: this restorer enlarges, or as for `upscale`.
            ImageError: the file cannot be read.
            WeightsError: the weights are missing or damaged.
        """
        if self.output_scale != 1:
            raise UsageError(
                f"this restorer enlarges {self.output_scale:g}x",
                hint="use `upscale`, or load it with `scale=1`",
            )
        return self.upscale(image, progress)

    def _upscale_tensor(self, image: Tensor, progress: Progress | None) -> Tensor:
        if image.ndim == 3:
            return self._upscale_tensor(image[None], progress)[0]
        results = []
        for one in as_batch(image):
            each = one[None]
            selected = self.select(in_unit_range(each))
            restorer = selected.restorer
            results.append(restorer.upscale(each, progress, selected.conditions) if restorer else each)
        return torch.cat(results)


AnyRestorer = Restorer | AutoRestorer
"""What restores the images of a batch: one model, or one that is chosen for each image."""
