"""Decide whether a result is up to date, by its provenance and not by its name."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.output import Output
from restore.batch.records import Records
from restore.checkpoint import LoadedModel
from restore.errors import ImageError, escaped
from restore.files import sha256, stamp
from restore.images import Provenance, read
from restore.inference import AnyRestorer, AutoRestorer, Restorer

__all__ = ["Results", "model_name"]


class Results:
    """The existing results, as seen by one batch. Not thread-safe.

    Args:
        restorer: what would restore the images.
        output: the size and encoding of results.
        existing: what to do with a result that exists.
    """

    def __init__(self, restorer: AnyRestorer, output: Output, existing: Existing) -> None:
        self._restorer = restorer
        self._output = output
        self._existing = existing
        self._records = Records()
        self._hows: dict[str, str] = {}  # suffix -> all but the source that results of it are made of
        self._latest: tuple[object, str] | None = None  # a file is hashed once, however often it is asked

    def provenance(self, job: Job, restorer: Restorer | None) -> Provenance:
        """The provenance that the result of `job` gets.

        Args:
            job: the image and its result.
            restorer: of the model that makes it; `None` if the image is left unchanged.

        Raises:
            ImageError: the source cannot be read.
        """
        return self._made_of(self._source(job.source), job.destination.suffix, restorer)

    def _made_of(self, source: str, suffix: str, restorer: Restorer | None) -> Provenance:
        settings = {"format": suffix.lower().removeprefix(".")}
        if isinstance(self._restorer, AutoRestorer):
            settings["chosen by"] = self._restorer.rule
        if restorer is None:
            settings |= self._output.settings(1, 1)
        else:
            settings |= self._output.settings(restorer.output_scale, restorer.scale) | {
                "scale": str(restorer.scale),
                "precision": restorer.precision,
                "engine": restorer.engine,
                "alpha": restorer.alpha,
                **{f"option {name}": value for name, value in restorer.settings.items()},
            }
        return Provenance(
            source=source,
            model="" if restorer is None else model_name(restorer.model),
            weights="" if restorer is None else restorer.model.digest,
            settings=tuple(sorted(settings.items())),
            version=_version(),
        )

    def settled(self, job: Job) -> Outcome | None:
        """The outcome of a job whose result exists and must not be written again; else `None`.

        Raises:
            ImageError: the source cannot be read, or the result that exists must be kept.
        """
        place = job.destination
        if self._existing == "overwrite" or not os.path.lexists(place):
            return None
        if self._existing == "error":
            raise ImageError(
                "the result exists already", path=place, hint="set `existing` to 'overwrite' or 'skip'"
            )
        made = self._records.made(place)
        if made is None:
            raise ImageError(
                "the result exists already and does not say that restore made it",
                path=place,
                hint="move it away, or set `existing` to 'overwrite'",
            )
        if made != self._expected(job, made.model):
            return None
        return Outcome(job.source, "skipped", place, f"{escaped(str(place))} exists already")

    def _expected(self, job: Job, model: str) -> Provenance | None:
        """The provenance that `job` gets, if `model` is the one that restores it.

        The choice follows from the source and the rule, which are compared: the image is not looked at.
        """
        if not isinstance(self._restorer, AutoRestorer):
            return self.provenance(job, self._restorer)
        if model not in self._restorer.candidates:
            return None
        return self.provenance(job, self._restorer.restorer(model))

    def stamp(self, identity: str, suffix: str) -> str:
        """A text that differs for results with another provenance, from what a listing says of the source.

        Args:
            identity: of the source, as in `restore.batch.stores.access.Entry`.
            suffix: of the result, such as ``.png``.
        """
        if suffix not in self._hows:
            restorers: list[Restorer | None] = (
                [self._restorer.restorer(model) for model in sorted(self._restorer.candidates)]
                if isinstance(self._restorer, AutoRestorer)
                else [self._restorer]
            )
            made = [self._made_of("", suffix, restorer).to_text() for restorer in restorers]
            self._hows[suffix] = "\n".join(made)
        return hashlib.blake2b(f"{identity}\0{self._hows[suffix]}".encode(), digest_size=16).hexdigest()

    def _source(self, source: Path) -> str:
        found = (source, stamp(source))
        if self._latest is None or self._latest[0] != found:
            self._latest = (found, _digest_of_image(source))
        return self._latest[1]


def model_name(model: LoadedModel) -> str:
    """``NAME:WEIGHTS`` without the folders of a file, so that an image says nothing about its machine.

    Of a chain, those of its parts, joined by ``+``.
    """
    if model.parts:
        return "+".join(map(model_name, model.parts))
    weights = model.entry.name if model.entry else Path(model.weights).name
    return f"{model.spec.name}:{weights}" if weights else model.spec.name


def _digest_of_image(source: Path) -> str:
    """SHA-256 of a file, or the error of `read` that says why there is none."""
    if source.is_file():  # a pipe would block
        try:
            return sha256(source)
        except OSError as error:
            read(source)
            raise ImageError(f"cannot be read: {error.strerror}", path=source, hint="try again") from error
    read(source)
    raise ImageError("the file changed in the meantime", path=source, hint="try again")


@cache
def _version() -> str:
    return version("restorekit")
