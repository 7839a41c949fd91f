"""Find jobs that must fail when a batch is planned; the others are processed."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from restore.batch.jobs import Job, Outcome
from restore.batch.locking import folded
from restore.errors import ImageError, RestoreError, UsageError, escaped

__all__ = ["beyond_links", "collisions", "refused", "too_long"]

_LONGEST = 255
"""Bytes that a file name can have; on Windows these are units of UTF-16."""


def refused(source: Path, error: RestoreError) -> Outcome:
    """The outcome of an input that is refused."""
    return Outcome(source, "failed", error=error)


def beyond_links(jobs: list[Job], folder: Path) -> list[Outcome]:
    """The failures of inputs whose results would leave a folder that the user named, through a link below it.

    Args:
        jobs: of one folder of inputs; their results are in `folder` and below.
        folder: may be a link itself.
    """

    @cache
    def link_above(place: Path) -> Path | None:
        if place == folder:
            return None
        return place if _leaves(place, folder) else link_above(place.parent)

    failures = []
    for job in jobs:
        if link := link_above(job.destination.parent):
            error = UsageError(
                f"its result would be written through the link '{escaped(str(link))}', out of "
                f"'{escaped(str(folder))}'",
                path=job.source,
                hint="remove the link, or set `out` to the folder that it leads to",
            )
            failures.append(refused(job.source, error))
    return failures


def _leaves(place: Path, folder: Path) -> bool:
    """Whether `place` is a link to something outside of `folder`."""
    return place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))


def collisions(jobs: list[Job]) -> list[Outcome]:
    """The failures of inputs whose results would have one name, each naming the others."""
    claims: dict[str, list[Job]] = {}
    for job in jobs:
        claims.setdefault(folded(job.destination), []).append(job)
    failures = []
    for colliding in claims.values():
        if len({os.path.realpath(job.source) for job in colliding}) < 2:
            continue  # one file under two names
        for job in colliding:
            others = " and ".join(f"'{escaped(str(one.source))}'" for one in colliding if one is not job)
            shared = f"that of {others} would both" if len(colliding) == 2 else f"those of {others} would all"
            error = UsageError(
                f"its result and {shared} be written to '{escaped(str(job.destination))}'",
                path=job.source,
                hint=_way_out(colliding),
            )
            failures.append(refused(job.source, error))
    return failures


def _way_out(colliding: list[Job]) -> str:
    if len({job.source.name.casefold() for job in colliding}) == len(colliding):
        return "set `keep_suffix=True` to keep both, as in a.jpg.png"
    return "rename one, or write their results to different folders"


def too_long(jobs: list[Job]) -> list[Outcome]:
    """The failures of inputs whose results would have too long a name."""
    failures = []
    for job in jobs:
        name = job.destination.name
        length = (
            len(name.encode("utf-16-le", "surrogatepass")) // 2 if os.name == "nt" else len(os.fsencode(name))
        )
        if length > _LONGEST:
            error = ImageError(
                f"the name of its result would have {length} bytes, and file systems take {_LONGEST}",
                path=job.source,
                hint="rename the input, use a shorter `suffix`, or name the result with `out`",
            )
            failures.append(refused(job.source, error))
    return failures
