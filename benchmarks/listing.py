"""Plan batches of many objects of a store of which all results exist: time, memory and requests.

The store is simulated: its listings are generated, with a latency for each request, so that what is measured
is the planning itself. Each size is measured in a process of its own. Private memory is what belongs to that
process alone: the rest of its peak are pages of libraries, such as those of PyTorch, that the system can drop
and shares among processes. It is sampled every 10,000 objects, on Linux only.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import fsspec
import typer
from fsspec.spec import AbstractFileSystem

PAGE = 1000
"""Objects per page of a listing, as in Amazon's interface."""


class Simulated(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """Buckets ``in`` and ``out`` of ``NUMBER.png``, and in ``out`` one record of all results."""

    protocol = "simulated"
    count = 0
    latency = 0.0
    requests = 0
    stamp: Callable[[str], str] = str

    def call_s3(self, method: str, **wanted: Any) -> dict[str, Any]:
        """Answer a request for a page of a listing."""
        if method != "list_objects_v2":
            raise AssertionError(f"{method} is a request for one object")
        self._wait()
        if wanted["Prefix"] == ".restore/":
            return {"Contents": [{"Key": ".restore/run.jsonl", "Size": 1, "ETag": '"r"'}]}
        first = int(wanted.get("ContinuationToken", 0))
        last = min(first + PAGE, Simulated.count)
        found = [
            {"Key": f"{wanted['Prefix']}{index:08}.png", "Size": 1000 + index, "ETag": f'"{index:032x}"'}
            for index in range(first, last)
        ]
        more = last < Simulated.count
        return {"Contents": found, "IsTruncated": more, "NextContinuationToken": str(last)}

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """Read the record."""
        del path, mode
        self._wait()
        return _Lines(_record())

    @staticmethod
    def _wait() -> None:
        Simulated.requests += 1
        time.sleep(Simulated.latency)


class _Lines:
    """Lines as an open file."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def __enter__(self) -> Iterator[bytes]:
        return self._lines

    def __exit__(self, *_: object) -> None:
        pass


def _record() -> Iterator[bytes]:
    for index in range(Simulated.count):
        identity = f"{1000 + index}:{index:032x}"
        line = {"file": f"{index:08}.png", "identity": identity, "stamp": Simulated.stamp(identity)}
        yield json.dumps(line).encode()


def measure(count: int, latency: float) -> dict[str, float]:
    """Plan `count` objects whose results exist, and return seconds, memory in MB and requests."""
    import restore
    from restore.batch import Naming, Outcome, Output
    from restore.batch.skipping import Results
    from restore.batch.stores import plan_stores

    fsspec.register_implementation("simulated", Simulated)
    results = Results(restore.load("bicubic", device="cpu"), Output(), "skip")
    Simulated.count, Simulated.latency = count, latency
    Simulated.stamp = partial(results.stamp, suffix=".png")
    plan = plan_stores(["simulated://in"], "simulated://out", Naming("_x4"), recursive=True)
    before = private = _private()
    skipped = 0
    begin, spent = time.perf_counter(), time.process_time()
    for item in plan.items(results, "skip"):
        skipped += isinstance(item, Outcome) and item.status == "skipped"
        if skipped % 10_000 == 0:
            private = max(private, _private())
    seconds, processor = time.perf_counter() - begin, time.process_time() - spent
    if skipped != count:
        raise AssertionError(f"{skipped} of {count} objects were recognized as done")
    return {
        "objects": count,
        "seconds": seconds,
        "processor_seconds": processor,
        "per_second": count / seconds,
        "peak_mb": _peak(),
        "private_mb": private,
        "private_before_mb": before,
        "requests": Simulated.requests,
    }


def _peak() -> float:
    """Megabytes that the process had at most, with pages of files."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _private() -> float:
    """Megabytes of memory that no file backs."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024 / 1e6
    return math.nan


def main(
    count: Annotated[
        list[int] | None, typer.Option(help="Objects.", show_default="10000 100000 1000000")
    ] = None,
    latency: Annotated[float, typer.Option(help="Seconds per request.")] = 0.02,
    one: Annotated[bool, typer.Option("--one", hidden=True)] = False,
) -> None:
    """Measure each size and print a table."""
    counts = count or [10_000, 100_000, 1_000_000]
    if one:
        typer.echo(json.dumps(measure(counts[0], latency)))
        return
    typer.echo("  objects  seconds  of processor  per second  requests  peak MB  private MB  before planning")
    for each in counts:
        command = [sys.executable, __file__, "--one", "--count", str(each), "--latency", str(latency)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - itself
        found = json.loads(done.stdout)
        typer.echo(
            f"{found['objects']:9,} {found['seconds']:8.1f} {found['processor_seconds']:13.1f} "
            f"{found['per_second']:11,.0f} {found['requests']:9} "
            f"{found['peak_mb']:8.0f} {found['private_mb']:11.0f} {found['private_before_mb']:16.0f}"
        )


if __name__ == "__main__":
    typer.run(main)
