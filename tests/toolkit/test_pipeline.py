"""Reading, restoring and writing at the same time: in order, bounded, and nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import GeneratorType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from restore.batch import Job, Outcome, Output, run_all, stages
from restore.batch.locking import claim
from restore.errors import ImageError
from restore.images import Photo, read, write
from restore.inference import Restorer
from restore.inference.restorer import Progress


class Fake:
    """A restorer that gives back what it gets; `before` is called with the width, which tells the image."""

    scale = 1
    precision = "fp32"
    engine = "torch"
    alpha = "bicubic"
    model = SimpleNamespace(spec=SimpleNamespace(name="fake", weights=()), weights="", digest="")

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.before = before

    def upscale(self, photo: Photo, progress: Progress | None = None) -> Photo:
        self.before(photo.color.shape[-1])
        if progress:
            progress(1.0)
        return replace(photo)


def run(jobs: list[Job], fake: Fake | None = None, **options: Any) -> Iterator[Outcome]:
    return run_all(jobs, cast("Restorer", fake or Fake()), **options)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Six images, of 1 to 6 pixels in width."""
    found = []
    for width in range(1, 7):
        source = tmp_path / "in" / f"{width}.png"
        source.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((3, width, 3), 40 * width, np.uint8)).save(source)
        found.append(Job(source, tmp_path / "out" / f"{width}.png"))
    return found


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def written(jobs: list[Job]) -> list[str]:
    """What is in the folder of the results, whole."""
    files = sorted(jobs[0].destination.parent.iterdir())
    assert [read(file).color.shape[-1] for file in files] == [int(file.stem) for file in files]
    return [file.stem for file in files]


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each beginning of a reading and end of a writing, as they happen."""
    events: list[str] = []

    def reading(path: Path, **options: Any) -> Photo:
        events.append(f"read {path.stem}")
        return read(path, **options)

    def writing(photo: Photo, path: Path, **options: Any) -> None:
        write(photo, path, **options)
        events.append(f"wrote {photo.color.shape[-1]}")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "read", reading)
        patch.setattr(stages, "write", writing)
        yield events


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_outcomes_come_in_the_order_of_the_jobs(jobs: list[Job]) -> None:
    outcomes = list(run(jobs))
    assert [outcome.source for outcome in outcomes] == [job.source for job in jobs]
    assert [outcome.size for outcome in outcomes] == [(width, 3) for width in range(1, 7)]
    assert all(outcome.status == "done" and outcome.seconds > 0 for outcome in outcomes)
    assert written(jobs) == list("123456")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_jobs_are_done(jobs: list[Job], count: int) -> None:
    assert len(list(run(jobs[:count]))) == count


def test_each_failure_is_named_at_its_place_and_the_rest_goes_on(jobs: list[Job]) -> None:
    jobs[1].source.write_bytes(b"no image")
    (jobs[0].source.parent / "file").write_bytes(b"")
    jobs[5] = replace(jobs[5], destination=jobs[5].source.parent / "file" / "6.png")

    def refuse(width: int) -> None:
        if width == 4:
            raise ImageError("not this one")

    outcomes = list(run(jobs, Fake(refuse)))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done", "failed", "done", "failed"]
    assert "cannot read" in outcomes[1].reason
    assert outcomes[3].explanation == f"{jobs[3].source}: not this one"
    assert "cannot write" in outcomes[5].reason
    assert written(jobs) == list("135")


def test_a_full_disk_fails_each_image_and_leaves_nothing(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open

    def opened(path: Path, mode: str = "r", *arguments: Any) -> Any:
        if mode == "wb":
            return original(Path("/dev/full"), mode, *arguments)
        return original(path, mode, *arguments)

    monkeypatch.setattr(Path, "open", opened)
    outcomes = list(run(jobs))
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert all("No space left on device; make room" in outcome.reason for outcome in outcomes)
    assert not jobs[0].destination.parent.exists()


def test_the_next_is_read_and_the_last_written_while_one_is_restored(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(monkeypatch) as events:

        def overlap(width: int) -> None:
            if width < 6:
                wait_for(lambda: f"read {width + 1}" in events)
            if width > 1:
                wait_for(lambda: f"wrote {width - 1}" in events)

        assert len(list(run(jobs, Fake(overlap)))) == 6


def test_no_more_than_one_image_is_read_ahead_and_one_waits_for_the_disk(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    with recorded(monkeypatch) as events:

        def look(width: int) -> None:
            time.sleep(0.02)
            read_so_far = sum(event.startswith("read") for event in events)
            written_so_far = sum(event.startswith("wrote") for event in events)
            seen.append((read_so_far - width, width - 1 - written_so_far))

        for _ in run(jobs, Fake(look)):
            time.sleep(0.02)
    assert len(seen) == 6
    assert max(ahead for ahead, _ in seen) <= 1
    assert max(behind for _, behind in seen) <= 1


def test_jobs_are_taken_one_by_one(jobs: list[Job]) -> None:
    taken: list[Job] = []

    def counted() -> Iterator[Job]:
        for job in jobs:
            taken.append(job)
            yield job

    for done, _ in enumerate(run_all(counted(), cast("Restorer", Fake())), 1):
        assert len(taken) <= done + 2


@pytest.mark.parametrize("existing", ["skip", "error"])
def test_the_image_of_an_output_that_is_kept_is_not_read(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, existing: str
) -> None:
    list(run(jobs[2:4]))
    with recorded(monkeypatch) as events:
        outcomes = list(run(jobs, existing=existing))
    assert [event[-1] for event in events if event.startswith("read")] == list("1256")
    kept = "skipped" if existing == "skip" else "failed"
    assert [outcome.status for outcome in outcomes] == ["done", "done", kept, kept, "done", "done"]


def test_stopping_early_finishes_what_was_begun_and_nothing_else(jobs: list[Job]) -> None:
    outcomes = run(jobs)
    assert next(outcomes).destination == jobs[0].destination
    assert isinstance(outcomes, GeneratorType)
    outcomes.close()
    assert written(jobs) == list("12")


@pytest.mark.parametrize("problem", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_what_is_raised_in_the_network_comes_after_the_images_before_it(
    jobs: list[Job], problem: type[BaseException]
) -> None:
    def fail(width: int) -> None:
        if width == 3:
            raise problem

    outcomes = run(jobs, Fake(fail))
    assert [next(outcomes).status, next(outcomes).status] == ["done", "done"]
    with pytest.raises(problem):
        next(outcomes)
    assert written(jobs) == list("12")


@pytest.mark.parametrize("stage", ["read", "write"])
def test_lack_of_memory_in_a_thread_is_raised_at_its_place(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    original = getattr(stages, stage)

    def exhausted(*arguments: Any, **options: Any) -> Any:
        what = arguments[0]
        if (what.color.shape[-1] == 3) if isinstance(what, Photo) else (what.name == "3.png"):
            raise MemoryError
        return original(*arguments, **options)

    monkeypatch.setattr(stages, stage, exhausted)
    outcomes = run(jobs)
    assert [next(outcomes).status, next(outcomes).status] == ["done", "done"]
    with pytest.raises(MemoryError):
        next(outcomes)
    assert written(jobs) == list("12")


def test_an_input_that_changes_while_it_is_read_fails(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(path: Path) -> Photo:
        photo = read(path)
        if path.stem == "2":
            path.write_bytes(path.read_bytes() + b"more")
        return photo

    monkeypatch.setattr(stages, "read", changing)
    outcomes = list(run(jobs[:3]))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert "changed while it was read" in outcomes[1].reason


@pytest.mark.parametrize("fate", ["done", "given up"])
def test_what_another_process_works_on_comes_last(jobs: list[Job], fate: str) -> None:
    """It is done there, or here if it was not."""
    list(run(jobs[1:2]))
    result = jobs[1].destination.read_bytes()
    jobs[1].destination.unlink()
    other = claim(jobs[1].destination)
    assert other
    outcomes = run(jobs[:3], existing="skip")
    assert [next(outcomes).source for _ in range(1)] == [jobs[0].source]
    waiting = threading.Timer(0.5, other.release)
    if fate == "done":
        other.temporary.write_bytes(result)
        other.publish()
    waiting.start()
    rest = list(outcomes)
    waiting.join()
    assert [outcome.source for outcome in rest] == [jobs[2].source, jobs[1].source]
    assert rest[1].status == ("skipped" if fate == "done" else "done")
    assert written(jobs) == list("123")


def test_each_job_is_watched_while_it_is_in_the_network(jobs: list[Job]) -> None:
    jobs[1].source.write_bytes(b"no image")
    events: list[str] = []

    @contextmanager
    def watch(job: Job) -> Iterator[Progress]:
        events.append(f"begin {job.source.stem}")
        yield lambda done: events.append(f"{done}")
        events.append(f"end {job.source.stem}")

    list(run(jobs[:3], watch=watch))
    assert events == ["begin 1", "1.0", "end 1", "begin 3", "1.0", "end 3"]


def test_small_files_are_asked_for(jobs: list[Job]) -> None:
    pixels = np.tile(np.random.default_rng(0).integers(0, 256, (1, 300, 3), np.uint8), (80, 1, 1))
    Image.fromarray(pixels).save(jobs[0].source)
    sizes = []
    for small in (False, True):
        list(run(jobs[:1], output=Output(small=small)))
        sizes.append(jobs[0].destination.stat().st_size)
    assert sizes[1] < sizes[0]
