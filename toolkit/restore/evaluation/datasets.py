"""Data sets for evaluation: folders of targets with their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from restore.data import Degradation, ImagePair, find_degradation, find_images, pair, pairs
from restore.errors import UsageError
from restore.evaluation.sweeping import inputs_title
from restore.images import read
from restore.interfaces import Parameters
from restore.registry import Registry

__all__ = ["Dataset", "EvaluationSample", "dataset", "named_folder"]


@dataclass(frozen=True)
class EvaluationSample:
    """An image of a data set.

    >>> from PIL import Image
    >>> from restore.registry import discover
    >>> Path("targets").mkdir()
    >>> Image.new("RGB", (32, 32)).save("targets/a.png")
    >>> data = dataset(Path("targets"), discover(), scale=4)
    >>> data.sample(data.files()[0]).degraded.shape
    torch.Size([1, 3, 8, 8])
    """

    name: str
    degraded: Tensor
    """``(1, 3, H, W)`` float32."""
    target: Tensor | None
    """``(1, 3, scale*H, scale*W)`` float32; ``None`` in a data set without targets."""
    gray: bool
    """Whether the file of the target, or of the input without a target, has one channel."""
    target_file: Path | None
    degraded_file: Path | None
    """``None`` if the input was made from the target."""
    parameters: Parameters
    """What was swept, and what the degradation drew, as ``LABEL.NAME`` -> value."""


@dataclass(frozen=True)
class Dataset:
    """A folder of targets, of inputs or of both, and the degradation that makes missing inputs.

    >>> from restore.registry import discover
    >>> data = dataset(Path("data/Set5"), discover(), scale=4)
    >>> data.name, data.scale, data.inputs
    ('data/Set5', 4, 'bicubic')
    """

    name: str
    targets: Path | None
    """Folder of the targets; ``None`` if there are only inputs."""
    degradation: Degradation
    degraded: Path | None = None
    """Folder of the inputs; ``None`` if they are made from the targets."""
    swept: Mapping[str, Any] = field(default_factory=dict)
    """``LABEL.OPTION`` -> value, of the options of the degradation that a sweep has set."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the degradation, as they were given."""

    @property
    def scale(self) -> int:
        """Target pixels per input pixel."""
        return self.degradation.scale

    @property
    def protocol(self) -> str:
        """How the inputs are made, in one line."""
        if self.degraded is None:
            name, protocol = self.degradation.name, self.degradation.protocol
            return protocol if "+" in name else f"{name}: {protocol}"
        without = "" if self.targets else ", without targets"
        return f"given files ({self.degraded.name}), {self.scale}x{without}"

    @property
    def folder(self) -> Path:
        """The folder whose files name the images: of the targets, or else of the inputs."""
        if folder := self.targets or self.degraded:
            return folder
        raise UsageError(f"the data set '{self.name}' has neither targets nor inputs")

    @property
    def inputs(self) -> str:
        """The degradation with the swept options as a short title; empty for a folder of inputs."""
        return "" if self.degraded is not None else inputs_title(self.degradation.name, self.swept)

    def __len__(self) -> int:
        """Number of images in the folder."""
        return len(self.files())

    def files(self) -> list[Path]:
        """The targets, or the inputs if there are no targets, in order of their names.

        Raises:
            DataError: the folder is missing or contains no image.
        """
        return find_images([self.folder])

    def name_of(self, file: Path) -> str:
        """The name of one of `files` below its folder."""
        return file.relative_to(self.folder).as_posix()

    def sample(self, file: Path) -> EvaluationSample:
        """One of `files` with its target or input, see `restore.data.pair`.

        Raises:
            DataError: the images do not fit together, or one is missing.
            ImageError: a file cannot be read.
        """
        if self.targets is None:
            photo = read(file)
            return EvaluationSample(self.name_of(file), photo.color, None, photo.gray, None, file, {})
        found = pair(self.targets, file, self.degradation, self.degraded)
        parameters = {**self.swept, **_labeled(found.parameters, self.degradation.name)}
        return EvaluationSample(
            found.name, found.degraded, found.target, found.gray, file, found.degraded_file, parameters
        )

    def pairs(self) -> Iterable[ImagePair]:
        """The images of a data set with targets, read again each time."""
        return pairs(self.folder, self.degradation, self.degraded)


def dataset(
    targets: Path | None,
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
        targets: folder of target images; ``None`` for inputs without targets.
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
        UsageError: there is neither folder, `degraded` is none, or the degradation cannot be used at this
            scale.

    Example:
        >>> from restore.registry import discover
        >>> dataset(Path("Set5"), discover(), scale=4, degradation="jpeg+bicubic").degradation.name
        'jpeg+bicubic'
    """
    found = find_degradation(degradation, registry, scale, options)
    if degraded is not None and not degraded.is_dir():
        raise UsageError("there is no such folder", path=degraded, hint="check `degraded`")
    result = Dataset(name, targets, found, degraded, options=dict(options or {}))
    return replace(result, name=name or _short(result.folder))


def named_folder(text: str) -> tuple[str, Path]:
    """Split ``NAME=FOLDER``; a folder alone has an empty name.

    >>> name, folder = named_folder("Set5=images/Set5")
    >>> name, folder.as_posix()
    ('Set5', 'images/Set5')
    """
    name, equals, folder = text.partition("=")
    return (name, Path(folder)) if equals and not Path(text).exists() else ("", Path(text))


def _labeled(drawn: Parameters, degradation: str) -> Parameters:
    """Prefix parameter names with the label of their element, as for a chain."""
    return drawn if "+" in degradation else {f"{degradation}.{key}": value for key, value in drawn.items()}


def _short(folder: Path) -> str:
    """The last two names of a path: enough to distinguish data sets, and nothing about the machine."""
    return "/".join(folder.resolve().parts[-2:])
