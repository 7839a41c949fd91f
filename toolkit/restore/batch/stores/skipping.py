"""Decide whether results in a store are up to date, by listings and records, without a request for each."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from restore.batch.jobs import Existing, Outcome, Transfer
from restore.batch.records import Records
from restore.batch.stores.access import Store, fetch
from restore.batch.stores.records import FOLDER, Done, State
from restore.batch.urls import Url
from restore.errors import ImageError, RestoreError, escaped

__all__ = ["StoredResults"]


class StoredResults:
    """The results that exist in a store, as seen by one batch.

    Args:
        out: the folder of the results.
        existing: what to do with a result that exists.
        recursive: there are results in subfolders.

    Raises:
        ImageError: the store refuses to be listed.
    """

    def __init__(self, out: Url, existing: Existing, *, recursive: bool) -> None:
        self._store, self._existing = Store(out), existing
        self._done: Done | None = None
        if existing != "overwrite":
            records = Store(out / FOLDER)
            lines = (
                line
                for entry in list(records.files(recursive=False))
                if entry.name.endswith(".jsonl")
                for line in records.lines(entry.name)
            )
            self._done = Done(self._store.files(recursive=recursive), lines)

    def settled(self, item: Transfer) -> Outcome | None:
        """The outcome of a result that must not be written again; else `None`."""
        state = "missing" if self._done is None else self._done.state(item.name, item.stamp)
        if state == "missing":
            return None
        if self._existing == "error":
            return _failed(item, "the result exists already", "set `existing` to 'overwrite' or 'skip'")
        try:
            state = self._asked(item) if state == "unknown" else state
        except RestoreError as error:
            return Outcome(item.source, "failed", item.destination, error=error)
        if state == "unknown":
            problem = "the result exists already and does not say that restore made it"
            return _failed(item, problem, "move it away, or set `existing` to 'overwrite'")
        reason = f"{escaped(str(item.destination))} exists already"
        skipped = Outcome(item.source, "skipped", item.destination, reason)
        return skipped if state == "done" else None

    def _asked(self, item: Transfer) -> State:
        """The state of a result without a record, as it can be after the client was killed: it is asked."""
        if stamp := self._store.stamp(item.name):
            return "done" if stamp == item.stamp else "outdated"
        with tempfile.TemporaryDirectory(prefix="restore-") as folder:
            file = Path(folder) / f"result{item.destination.suffix}"
            fetch(item.destination, file)
            with suppress(ImageError):
                return "outdated" if Records().made(file) else "unknown"
        return "unknown"


def _failed(item: Transfer, problem: str, hint: str) -> Outcome:
    error = ImageError(problem, path=str(item.destination), hint=hint)
    return Outcome(item.source, "failed", item.destination, error=error)
