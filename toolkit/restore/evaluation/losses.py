"""Losses that compare two images, as metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from restore.data import Degradation, Patches, Targets, find_images
from restore.errors import DataError, ImageError, escaped
from restore.images import read_levels
from restore.interfaces import LossSpec, Metric, Options, Preparable, notes_of, prepare
from restore.resizing import quantize

__all__ = ["loss_as_metric"]

_PATCH = 128  # pixels of the targets that a loss is prepared on


def loss_as_metric(spec: LossSpec, options: Options, targets: Sequence[Path]) -> tuple[Metric, str]:
    """Build a loss for measuring single images, on the colors of the 8-bit result.

    Args:
        spec: of the loss.
        options: its options.
        targets: folders or files of images that it may be prepared on, see `Preparable`.

    Returns:
        The metric, of which lower values are better, and its protocol.

    Raises:
        DataError: it has to be prepared, and none of the targets can be read.
        RestoreError: it cannot fetch what it needs.
    """
    loss = spec.build(options).eval()
    prepared = ""
    if any(isinstance(part, Preparable) for part in loss.modules()):
        samples = _samples(targets)
        prepare(loss, samples)
        prepared = _measured(loss, len(samples.patches.files) if isinstance(samples, Targets) else 0)

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:  # noqa: ARG001 - `Metric` has it
        with torch.inference_mode():
            return float(loss(quantize(restored), target))

    shown = ", ".join(
        f"{key} {value}" for key, value in options if value is not None and not isinstance(value, Path)
    )
    parts = ("loss on the 8-bit result, RGB, whole image", shown, prepared, *notes_of(loss))
    return measure, "; ".join(filter(None, parts))


def _measured(loss: nn.Module, images: int) -> str:
    """The state that a loss was prepared with, as part of its protocol."""
    state = loss.state_dict()
    if not state:
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"prepared on {images} targets [{digest.hexdigest()[:8]}]"


def _samples(folders: Sequence[Path]) -> Sequence[Tensor]:
    """Patches of the images that can be read; the others are reported when they are measured."""
    sides: dict[Path, int] = {}
    files = [path for path in folders if path.is_file()]
    files += find_images([path for path in folders if not path.is_file()])
    for file in files:
        try:
            sides[file] = min(read_levels(file).shape[-2:])
        except ImageError:
            continue
    if not sides:
        names = ", ".join(escaped(str(folder)) for folder in folders) or "no folder"
        raise DataError(
            f"a loss cannot be prepared: none of the images in {names} can be read",
            hint="give images of targets",
        )
    patch = min(_PATCH, max(sides.values()))
    large = [file for file, side in sides.items() if side >= patch]
    return Targets(Patches(large, patch, Degradation(lambda target, _: target), seed=0))
