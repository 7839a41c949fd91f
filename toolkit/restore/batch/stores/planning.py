"""Plan jobs from and to stores while a listing is read, with memory independent of their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from restore.batch.jobs import Existing, Outcome, Transfer
from restore.batch.naming import Naming
from restore.batch.skipping import Results
from restore.batch.stores.access import Entry, Store
from restore.batch.stores.records import RecordWriter
from restore.batch.stores.skipping import StoredResults
from restore.batch.urls import Url, is_url
from restore.errors import ImageError, RestoreError, UsageError, escaped
from restore.images import WRITE_SUFFIXES, is_image_name

__all__ = ["StorePlan", "plan_stores"]


@dataclass(frozen=True)
class StorePlan:
    """The plan of a batch in stores, which is read lazily. Made by `plan_stores`."""

    sources: tuple[_Source, ...]
    out: Url
    naming: Naming
    recursive: bool
    several: bool
    """There is more than one input, or a folder."""
    settled: tuple[Outcome, ...] = ()
    """Nothing is known before it is listed."""
    notes: tuple[str, ...] = ()
    count: None = None
    """How many images there are is known at the end."""

    def items(self, results: Results, existing: Existing) -> Iterator[Transfer | Outcome]:
        """Yield what is to be done, and the outcomes of what is settled without being done.

        The results that exist are listed first; then the sources, as the items are taken.

        Args:
            results: knows what a result would be made of.
            existing: what to do with results that exist, as for `restore.batch.run_all`.

        Raises:
            ImageError: a store refuses to be listed.
        """
        judge = StoredResults(self.out, existing, recursive=self.recursive)
        names = _Names(self.naming, keep=len(self.sources) > 1)
        inputs = _Inputs(self.sources, self.out)
        for source in self.sources:
            found = False
            for item in source.transfers(self, names, results):
                found = True
                if isinstance(item, Transfer):
                    yield inputs.refused(item) or judge.settled(item) or item
                else:
                    yield item
            if not found:
                yield source.empty()

    def recorded(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Pass on outcomes, and record those that are done, so that the next run knows them.

        Raises:
            ImageError: the store refuses the records.
        """
        with RecordWriter(self.out) as records:
            for outcome in outcomes:
                if outcome.status == "done" and outcome.transfer is not None:
                    records.add(outcome.transfer.name, outcome.stored, outcome.transfer.stamp)
                yield outcome


def plan_stores(inputs: Iterable[str], out: str | None, naming: Naming, *, recursive: bool) -> StorePlan:
    """Plan a batch of which the inputs or the results are in stores.

    Args:
        inputs: addresses or paths of images and folders.
        out: address or path of the folder of the results; of one image, also of its result.
        naming: names of results; its own `out` does not matter.
        recursive: search subfolders too, and mirror them.

    Raises:
        UsageError: there is no `out`, it is among the inputs, or the library of a store is not installed.
    """
    if out is None:
        raise UsageError(
            "results of inputs in a store need an output folder", hint="set `out` to a folder or an address"
        )
    given = list(inputs)
    target = _url(out)
    if str(target).startswith(("http://", "https://")):
        raise UsageError("nothing can be written there", path=out, hint="set `out` to a folder or a bucket")
    sources = tuple(_Source(_url(text), is_image_name(PurePosixPath(_url(text).name))) for text in given)
    named = len(sources) == 1 and sources[0].single and target.suffix.lower() in WRITE_SUFFIXES
    names = replace(naming, out=Path(target.name) if named else Path())
    folder = Url(target.address.rpartition("/")[0]) if named else target
    place = Store(folder).place()  # also finds that a library is missing, before anything is done
    for source in sources:
        if not source.single and source.place == place:
            raise UsageError(
                f"the results would be among the inputs in '{escaped(str(source.url))}'",
                path=str(target),
                hint="set `out` to a folder elsewhere",
            )
    return StorePlan(sources, folder, names, recursive, len(given) > 1 or not sources[0].single)


@dataclass(frozen=True)
class _Source:
    """One input."""

    url: Url
    single: bool

    @property
    def place(self) -> str:
        """See `restore.batch.stores.access.Store.place`; without the query of an image, such as a version."""
        return Store(Url(self.url.address.partition("?")[0]) if self.single else self.url).place()

    def transfers(self, plan: StorePlan, names: _Names, results: Results) -> Iterator[Transfer | Outcome]:
        """The images of the input, in the order of their names."""
        folder = Url(self.url.address.rpartition("/")[0]) if self.single else self.url
        apart = _relative(folder, plan.out)
        for entry in self._entries(plan.recursive):
            if apart and entry.name.startswith(apart):
                continue  # a result
            source = self.url if self.single else folder / entry.name
            name = names.of(entry.name, source)
            if isinstance(name, RestoreError):
                yield Outcome(source, "failed", error=name)
                continue
            stamp = results.stamp(entry.identity, f".{name.rpartition('.')[2]}")
            yield Transfer(source, plan.out / name, name, stamp)

    def empty(self) -> Outcome:
        """The failure of an input without an image."""
        problem = "there is no such image" if self.single else "there is no image in this folder"
        error = ImageError(problem, path=str(self.url), hint="check the address; `recursive` adds subfolders")
        return Outcome(self.url, "failed", error=error)

    def _entries(self, recursive: bool) -> Iterator[Entry]:
        if self.single:
            address, _, query = self.url.address.partition("?")
            parent, _, name = address.rpartition("/")
            entry = Store(Url(parent)).entry(f"{name}?{query}" if query else name)
            if entry:
                yield replace(entry, name=name)
            return
        for entry in Store(self.url).files(recursive=recursive):
            hidden = entry.name.startswith(".") or "/." in entry.name
            if not hidden and is_image_name(PurePosixPath(entry.name.rpartition("/")[2])):
                yield entry


class _Inputs:
    """The inputs, which no result may replace.

    Args:
        sources: all inputs.
        out: the folder of the results.
    """

    def __init__(self, sources: tuple[_Source, ...], out: Url) -> None:
        self._out = Store(out)
        self._images = {source.place for source in sources if source.single}
        folders = {_relative(out, source.url) for source in sources if not source.single}
        self._folders = tuple(folders - {""})

    def refused(self, item: Transfer) -> Outcome | None:
        """The failure of an image whose result would replace an input; else `None`."""
        if self._images and self._out.place(item.name) in self._images:  # not for a folder of millions
            problem = f"its result would overwrite the input '{escaped(str(item.destination))}'"
        elif item.name.startswith(self._folders):
            problem = f"its result would be among the inputs, at '{escaped(str(item.destination))}'"
        else:
            return None
        error = UsageError(
            problem, path=str(item.source), hint="set `out` to another folder, or `suffix` to another one"
        )
        return Outcome(item.source, "failed", error=error)


class _Names:
    """Names of results, of which no two are equal.

    In a sorted listing, names that differ in their suffix alone follow each other, with only names between
    them that begin in the same way: no others are kept.

    Args:
        naming: with an `out` that names a file, or is empty.
        keep: there are several listings, of which all names are kept.
    """

    def __init__(self, naming: Naming, *, keep: bool) -> None:
        self._naming, self._keep = naming, keep
        self._known: dict[str, tuple[str, Url]] = {}

    def of(self, name: str, source: Url) -> str | RestoreError:
        """The name of a result, or the failure of a source whose result would replace another's.

        Args:
            name: of the source in its listing.
            source: its address.
        """
        out = self._naming.out
        folder, slash, file = name.rpartition("/")
        named = out is not None and out.name
        result = named or f"{folder}{slash}{self._naming.name_of(PurePosixPath(file))}"
        if not self._keep:
            self._known = {
                known: origin for known, origin in self._known.items() if name.startswith(origin[0])
            }
        _, other = self._known.setdefault(result, (name.rpartition(".")[0] + ".", source))
        if other == source:
            return result
        return UsageError(
            f"its result and that of '{escaped(str(other))}' would both be written to '{escaped(result)}'",
            path=str(source),
            hint="set `keep_suffix=True` to keep both, as in a.jpg.png",
        )


def _url(text: str) -> Url:
    return Url(text if is_url(text) else Path(text).absolute().as_posix())


def _relative(folder: Url, other: Url) -> str:
    """The address of a folder in another one, with a slash at the end; empty if it is elsewhere."""
    inner, outer = f"{other.address.rstrip('/')}/", f"{folder.address.rstrip('/')}/"
    return inner.removeprefix(outer) if inner.startswith(outer) else ""
