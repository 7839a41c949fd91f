"""Serializable description of a model, from which workers load an identical one."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from restore.choices import Alpha, Engine, Precision
from restore.errors import WeightsError
from restore.files import atomic_file, cache_folder, sha256
from restore.inference import AnyRestorer, AutoRestorer, Restorer, load
from restore.inference.choosing import AUTO
from restore.inference.tiles import TileSize
from restore.registry import ModelReference, discover

__all__ = ["Recipe", "WeightsFile", "weights_of"]


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that is not part of a plugin, such as one of a training run."""

    path: str
    """Where it is on the client's machine, and perhaps on a disk that the workers share."""
    sha256: str

    @property
    def name(self) -> str:
        """The file name, which the provenance of results contains."""
        return Path(self.path).name


@dataclass(frozen=True)
class Recipe:
    """The arguments of `restore.inference.load`, with the hashes of the weights.

    The precision is the one that the client chose; the device is chosen by each worker unless it is named.
    """

    reference: str
    scale: float
    options: str
    """As JSON."""
    device: str
    precision: str
    tile: TileSize
    engine: str
    alpha: str
    strength: float
    self_ensemble: bool
    digest: str
    """See `_digest`."""
    files: tuple[WeightsFile, ...] = ()

    @classmethod
    def of(cls, restorer: AnyRestorer, device: str = "auto") -> Recipe:
        """The recipe for another restorer like this one.

        Args:
            restorer: the client's. If it chooses models by image, all of them are loaded.
            device: of the workers, as for `restore.inference.load`.
        """
        parts = _restorers(restorer)
        auto = isinstance(restorer, AutoRestorer)
        reference = AUTO if auto else parts[0].model.reference
        given = {} if auto else dict(parts[0].model.given)
        files = () if auto else _files(reference).values()
        return cls(
            reference,
            restorer.output_scale,
            json.dumps(given, sort_keys=True, default=str),
            device,
            parts[0].precision,
            parts[0].tile,
            parts[0].engine,
            parts[0].alpha,
            next((part.strength for part in parts if part.strength != 1), 1.0),
            parts[0].self_ensemble,
            _digest(restorer),
            tuple(WeightsFile(str(path), sha256(path)) for path in files),
        )

    def restorer(self, contents: Mapping[str, bytes] | None = None) -> AnyRestorer:
        """Load the model; a process that was asked for the same recipe before returns the same restorer.

        Args:
            contents: SHA-256 -> bytes of the `files`, for a machine that lacks them.

        Raises:
            RestoreError: as for `restore.inference.load`, or the weights here differ from the client's.
        """
        with _LOADING:
            if self not in _loaded:
                _loaded.clear()  # of one model at a time: the memory is for images
                _loaded[self] = self._load(contents or {})
            return _loaded[self]

    def _load(self, contents: Mapping[str, bytes]) -> AnyRestorer:
        places = iter([_local(file, contents) for file in self.files])
        owners = {} if self.reference == AUTO else _files(self.reference)
        parts = [
            f"{part.name}:{next(places)}" if index in owners else str(part)
            for index, part in enumerate(ModelReference.parse(self.reference).parts)
        ]
        restorer: AnyRestorer = load(
            "+".join(parts),
            scale=self.scale,
            options=json.loads(self.options),
            device=self.device,
            precision=cast("Precision", self.precision),
            tile=self.tile,
            engine=cast("Engine", self.engine),
            alpha=cast("Alpha", self.alpha),
            strength=self.strength,
            self_ensemble=self.self_ensemble,
        )
        if _digest(restorer) != self.digest:
            raise WeightsError(
                f"the weights of '{self.reference}' differ from the client's",
                hint="install the same release of the plugin on all machines",
            )
        return restorer


_LOADING = threading.Lock()
_loaded: dict[Recipe, AnyRestorer] = {}


def weights_of(recipe: Recipe) -> dict[str, bytes]:
    """SHA-256 -> bytes of the files that a worker may lack.

    Raises:
        OSError: a file cannot be read.
    """
    return {file.sha256: Path(file.path).read_bytes() for file in recipe.files}


def _restorers(restorer: AnyRestorer) -> list[Restorer]:
    """The restorer, or all that it chooses from."""
    if not isinstance(restorer, AutoRestorer):
        return [restorer]
    found = (restorer.restorer(model) for model in sorted(restorer.candidates))
    return [each for each in found if each is not None]


def _digest(restorer: AnyRestorer) -> str:
    """The SHA-256 of the weights; of a choice of models those of all, with the rule by which it chooses."""
    digests = [each.model.digest for each in _restorers(restorer)]
    return " ".join([restorer.rule, *digests] if isinstance(restorer, AutoRestorer) else digests)


def _files(reference: str) -> dict[int, Path]:
    """The files of weights by the index of the part of a chain."""
    models = discover().models
    parts = ModelReference.parse(reference).parts
    found = {index: part.file(models[part.name]) for index, part in enumerate(parts)}
    return {index: file for index, file in found.items() if file is not None}


def _local(file: WeightsFile, contents: Mapping[str, bytes]) -> Path:
    """The same file on this machine: the one of that path, or one that keeps what the client sent."""
    here = Path(file.path)
    if here.is_file() and sha256(here) == file.sha256:
        return here.absolute()
    kept = cache_folder() / "weights" / file.sha256 / file.name
    if not kept.is_file() or sha256(kept) != file.sha256:
        if file.sha256 not in contents:
            raise WeightsError(
                "this worker does not have the weights", path=file.path, hint="put them on a shared disk"
            )
        with atomic_file(kept) as place:
            place.write_bytes(contents[file.sha256])
        if sha256(kept) != file.sha256:
            raise WeightsError("the weights that arrived are damaged", path=file.path, hint="run this again")
    return kept
