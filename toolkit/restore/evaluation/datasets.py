"""Data sets for evaluation: folders of targets with their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore.data import Degradation, ImagePair, find_degradation, find_images, pair, pairs
from restore.errors import UsageError
from restore.evaluation.sweeping import inputs_title
from restore.interfaces import Parameters
from restore.registry import Registry

__all__ = ["Dataset", "dataset", "named_folder"]


@dataclass(frozen=True)
class Dataset:
    """Where the images come from and how their inputs are made."""

    name: str
    targets: Path
    degradation: Degradation
    degraded: Path | None = None
    swept: Mapping[str, Any] = field(default_factory=dict)
    """``LABEL.OPTION`` -> value, of the options of the degradation that a sweep has set."""

    @property
    def scale(self) -> int:
        """Target pixels per input pixel."""
        return self.degradation.scale

    @property
    def protocol(self) -> str:
        """How the inputs are made, in one line."""
        if self.degraded is None:
            return self.degradation.protocol
        return f"given files ({self.degraded.name}), {self.scale}x"

    @property
    def inputs(self) -> str:
        """The degradation with the swept options as a short title; empty for a folder of inputs."""
        return "" if self.degraded is not None else inputs_title(self.degradation.name, self.swept)

    def __len__(self) -> int:
        """Number of images in the folder."""
        return len(self.files())

    def files(self) -> list[Path]:
        """The targets, in order of their names.

        Raises:
            DataError: the folder is missing or holds no image.
        """
        return find_images([self.targets])

    def name_of(self, file: Path) -> str:
        """The name of a target below its folder."""
        return file.relative_to(self.targets).as_posix()

    def pair(self, file: Path) -> ImagePair:
        """One target with its input; see `restore.data.pair`."""
        return pair(self.targets, file, self.degradation, self.degraded)

    def parameters(self, image: ImagePair) -> Parameters:
        """What was swept, and what the degradation drew for an image, as ``LABEL.NAME`` -> value."""
        name, drawn = self.degradation.name, image.parameters
        if "+" not in name:
            drawn = {f"{name}.{key}": value for key, value in drawn.items()}
        return {**self.swept, **drawn}

    def pairs(self) -> Iterable[ImagePair]:
        """The images, read again each time."""
        return pairs(self.targets, self.degradation, self.degraded)


def dataset(
    targets: Path,
    registry: Registry,
    scale: int,
    *,
    name: str = "",
    degraded: Path | None = None,
    degradation: str = "bicubic",
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """A folder of targets, with a folder of inputs or a degradation that makes them.

    Args:
        targets: folder of target images.
        registry: where to look for the degradation.
        scale: target pixels per input pixel.
        name: of the data set; by default the last two names of its path.
        degraded: folder of inputs with the names of the targets.
        degradation: makes the inputs where there is no such folder; a name or a chain, see
            `restore.data.find_degradation`.
        options: of the degradation.

    Raises:
        UnknownNameError: no such degradation.
        OptionsError: an option of the degradation is wrong.
        UsageError: `degraded` is not a folder, or the degradation cannot be used at this scale.
    """
    found = find_degradation(degradation, registry, scale, options)
    if degraded is not None and not degraded.is_dir():
        raise UsageError("there is no such folder", path=degraded, hint="check `degraded`")
    return Dataset(name or _short(targets), targets, found, degraded)


def named_folder(text: str) -> tuple[str, Path]:
    """Split ``NAME=FOLDER``; a folder alone has an empty name.

    >>> name, folder = named_folder("Set5=images/Set5")
    >>> name, folder.as_posix()
    ('Set5', 'images/Set5')
    """
    name, equals, folder = text.partition("=")
    return (name, Path(folder)) if equals and not Path(text).exists() else ("", Path(text))


def _short(folder: Path) -> str:
    """The last two names of a path: enough to distinguish data sets, and nothing about the machine."""
    return "/".join(folder.resolve().parts[-2:])
