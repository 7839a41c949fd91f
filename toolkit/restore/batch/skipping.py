"""Whether a result is there already: by what it was made of and how, not by its name."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.output import Output
from restore.batch.records import Records, digest
from restore.checkpoint import LoadedModel
from restore.errors import ImageError
from restore.images import Provenance, read
from restore.inference.restorer import Restorer

__all__ = ["Done", "model_name"]


class Done:
    """Settles jobs whose result is there. For one thread.

    Args:
        restorer: the model that would work.
        output: what is asked for.
        existing: what to do with an output that is there already.
    """

    def __init__(self, restorer: Restorer, output: Output, existing: Existing) -> None:
        self._existing = existing
        self._records = Records()
        self._latest: tuple[Job, Provenance] | None = None  # a file is read once, however often it is asked
        self._model = model_name(restorer.model)
        self._weights = restorer.model.digest
        self._settings = output.settings(restorer.scale) | {
            "scale": str(restorer.scale),
            "precision": restorer.precision,
            "engine": restorer.engine,
            "alpha": restorer.alpha,
        }

    def provenance(self, job: Job) -> Provenance:
        """What makes the result of `job`.

        Raises:
            ImageError: the source cannot be read.
        """
        if self._latest is None or self._latest[0] != job:
            self._latest = (job, self._provenance(job))
        return self._latest[1]

    def settled(self, job: Job) -> Outcome | None:
        """The outcome of a job whose output must not be written, because of the one that is there.

        Raises:
            ImageError: the source cannot be read.
        """
        place = job.destination
        if self._existing == "overwrite" or not os.path.lexists(place):
            return None
        if self._existing == "error":
            reason = f"'{place}' is there already: use --existing overwrite or skip"
            return Outcome(job.source, "failed", place, reason)
        made = self._records.made(place)
        if made is None:
            reason = (
                f"'{place}' is there already and does not say that restore made it: move it away, or use "
                "--existing overwrite"
            )
            return Outcome(job.source, "failed", place, reason)
        if made != self.provenance(job):
            return None
        return Outcome(job.source, "skipped", place, f"{place} is there already")

    def _provenance(self, job: Job) -> Provenance:
        settings = self._settings | {"format": job.destination.suffix.lower().removeprefix(".")}
        return Provenance(
            source=_digest_of_image(job.source),
            model=self._model,
            weights=self._weights,
            settings=tuple(sorted(settings.items())),
            version=_version(),
        )


def model_name(model: LoadedModel) -> str:
    """``NAME:WEIGHTS``, without the folders of a file: a picture tells nothing of its machine."""
    own = (entry.name for entry in model.spec.weights if entry.sha256 == model.digest)
    weights = next(own, Path(model.weights).name)
    return f"{model.spec.name}:{weights}" if weights else model.spec.name


def _digest_of_image(source: Path) -> str:
    """SHA-256 of a file, or the reason of `read` why there is none."""
    if source.is_file():  # a pipe would wait for ever
        try:
            return digest(source)
        except OSError as error:
            read(source)
            raise ImageError(f"cannot read '{source}': {error.strerror}; try again") from error
    read(source)
    raise ImageError(f"cannot read '{source}': it changed in the meantime; try again")


@cache
def _version() -> str:
    return version("restorekit")
