"""Reading, restoring and writing at the same time: in order, bounded, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import GeneratorType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

import restore
from restore.batch import Job, Listener, Outcome, Output, Settings, run_all
from restore.batch.jobs import AnyJob
from restore.batch.locking import Claim, claim
from restore.batch.pipeline import overlapped
from restore.batch.skipping import Results
from restore.batch.work import Work
from restore.errors import DataError, ImageError
from restore.images import Photo, Provenance, read
from restore.inference import Restorer
from restore.inference.restorer import Selected
from restore.inference.tiles import Progress


class Fake:
    """A restorer that gives back what it gets; `before` is called with the width, which names the image."""

    scale = 1
    output_scale = 1.0
    precision = "fp32"
    engine = "torch"
    alpha = "bicubic"
    model = SimpleNamespace(
        spec=SimpleNamespace(name="fake"), weights="", digest="", entry=None, parts=(), conditions={}
    )

    def __init__(self, before: Callable[[int], Photo | None] = lambda _: None) -> None:
        self.before = before
        self.settings: dict[str, str] = {}

    def working_memory(self, height: int, width: int) -> int:
        return height * width

    def restore(self, image: torch.Tensor, *_: object) -> torch.Tensor:
        return image

    def select(self, *_: object) -> Selected:
        return Selected(cast("Restorer", self))

    def upscale(self, photo: Photo, progress: Progress | None = None, *_: object, **__: object) -> Photo:
        other = self.before(photo.color.shape[-1])
        if progress:
            progress(1.0)
        return other or replace(photo)


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
    """The names of the results, each of which is whole."""
    files = sorted(jobs[0].destination.parent.iterdir())
    assert [read(file).color.shape[-1] for file in files] == [int(file.stem) for file in files]
    return [file.stem for file in files]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# Executors


def test_another_executor_gets_the_jobs_and_all_settings(jobs: list[Job]) -> None:
    class Elsewhere:
        def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
            self.settings = settings
            return (Outcome(job.source, "skipped", skipped="elsewhere") for job in jobs)

    executor, notes = Elsewhere(), Notes()
    outcomes = run(
        jobs, output=Output(width=5), existing="skip", max_pixels=9, listener=notes, executor=executor
    )
    assert [(outcome.source, outcome.reason) for outcome in outcomes] == [
        (job.source, "elsewhere") for job in jobs
    ]
    settings = executor.settings
    assert (settings.output.width, settings.existing, settings.max_pixels) == (5, "skip", 9)
    assert settings.listener is notes


# The three stages


@dataclass
class Stages:
    """Stages that only record that they ran."""

    events: list[str] = field(default_factory=list)
    restoring: Callable[[int], None] = lambda _: None
    busy: dict[int, int] = field(default_factory=dict)
    """How often a job has to wait."""

    def load(self, job: AnyJob) -> Work | None:
        assert isinstance(job, Job)
        number = int(job.source.stem)
        if self.busy.get(number, 0):
            self.busy[number] -= 1
            return None
        self.events.append(f"load {number}")
        picture = Photo(torch.zeros(1, 3, 1, number))
        return Work(job, cast("Claim", None), Provenance("", "", "", (), ""), picture, Selected(None))

    def restore(self, work: Work) -> Work:
        self.restoring(int(work.job.source.stem))
        return work

    def save(self, work: Work) -> Outcome:
        self.events.append(f"save {work.job.source.stem}")
        return Outcome(work.job.source, "done")

    def wait(self, job: AnyJob, seconds: float) -> None:
        self.events.append(f"wait {job.source.stem}")

    def run(self, count: int = 6) -> Iterator[Outcome]:
        jobs = (Job(Path(f"{number}.png"), Path("out.png")) for number in range(1, count + 1))
        return overlapped(jobs, load=self.load, restore=self.restore, save=self.save, wait=self.wait)


def test_the_next_is_loaded_and_the_last_saved_while_one_is_restored() -> None:
    stages = Stages()

    def overlap(number: int) -> None:
        if number < 6:
            wait_for(lambda: f"load {number + 1}" in stages.events)
        if number > 1:
            wait_for(lambda: f"save {number - 1}" in stages.events)

    stages.restoring = overlap
    assert len(list(stages.run())) == 6


def test_no_more_than_one_image_is_loaded_ahead_and_one_waits_for_the_disk() -> None:
    stages, seen = Stages(), []

    def look(number: int) -> None:
        time.sleep(0.02)
        loaded = sum(event.startswith("load") for event in stages.events)
        saved = sum(event.startswith("save") for event in stages.events)
        seen.append((loaded - number, number - 1 - saved))

    stages.restoring = look
    for _ in stages.run():
        time.sleep(0.02)
    assert len(seen) == 6
    assert max(ahead for ahead, _ in seen) <= 1
    assert max(behind for _, behind in seen) <= 1


def test_a_job_that_has_to_wait_comes_after_the_others_and_is_tried_until_it_is_free() -> None:
    stages = Stages(busy={2: 3})
    assert [int(outcome.source.stem) for outcome in stages.run(3)] == [1, 3, 2]
    assert stages.events.count("wait 2") == 3


@pytest.mark.parametrize("problem", [KeyboardInterrupt, SystemExit])
def test_an_interruption_comes_after_the_images_before_it(problem: type[BaseException]) -> None:
    stages = Stages()

    def interrupt(number: int) -> None:
        if number == 3:
            raise problem

    stages.restoring = interrupt
    outcomes = stages.run()
    assert [next(outcomes).status] == ["done"]
    if problem is KeyboardInterrupt:
        assert next(outcomes).source.stem == "2"
    with pytest.raises(problem):
        next(outcomes)
    assert "save 2" in stages.events
    assert "save 3" not in stages.events


# Files


def test_outcomes_come_in_the_order_of_the_jobs(jobs: list[Job]) -> None:
    outcomes = list(run(jobs))
    assert [outcome.source for outcome in outcomes] == [job.source for job in jobs]
    assert [outcome.size for outcome in outcomes] == [(width, 3) for width in range(1, 7)]
    assert all(outcome.status == "done" and outcome.seconds > 0 for outcome in outcomes)
    assert written(jobs) == list("123456")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_the_iterator_of_jobs_raises_comes_after_the_jobs_before_it(jobs: list[Job], count: int) -> None:
    def listed() -> Iterator[Job]:
        yield from jobs[:count]
        raise DataError("the list is damaged")

    outcomes = run_all(listed(), cast("Restorer", Fake()))
    assert [next(outcomes).status for _ in range(count)] == ["done"] * count
    with pytest.raises(DataError, match="the list is damaged"):
        next(outcomes)


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
    assert "not an image" in outcomes[1].reason
    assert str(outcomes[3].error) == f"{jobs[3].source}: not this one"
    assert "cannot write" in outcomes[5].reason
    assert written(jobs) == list("135")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (MemoryError(), "there is not enough memory for it; close other programs"),
        (torch.OutOfMemoryError("CUDA out of memory"), "there is not enough memory for it"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            ),
            "there is not enough memory for it",
        ),
        (RuntimeError("mat1 and mat2\nmust match"), "unexpected RuntimeError: mat1 and mat2 must match"),
        (ZeroDivisionError(), "unexpected ZeroDivisionError: no message"),
        (OSError(5, "Input/output error"), "Input/output error; free some space"),
    ],
)
def test_whatever_the_network_raises_fails_that_image_alone(
    jobs: list[Job], problem: Exception, words: str
) -> None:
    def fail(width: int) -> None:
        if width == 3:
            raise problem

    outcomes = list(run(jobs, Fake(fail)))
    assert [outcome.status for outcome in outcomes].count("failed") == 1
    assert words in outcomes[2].reason
    assert outcomes[2].error is not None
    assert outcomes[2].error.path == jobs[2].source
    assert "\n" not in outcomes[2].reason
    assert written(jobs) == list("12456")


def test_what_a_decoder_raises_fails_that_image_alone(jobs: list[Job]) -> None:
    class Broken(ImageFile.ImageFile):
        format = "BROKEN"

        def _open(self) -> None:
            raise MemoryError

    Image.register_open("BROKEN", Broken, lambda head: head.startswith(b"BROKEN"))
    try:
        jobs[2].source.write_bytes(b"BROKEN" + bytes(100))
        outcomes = list(run(jobs))
    finally:
        Image.OPEN.pop("BROKEN")
        Image.ID.remove("BROKEN")
    assert [outcome.status for outcome in outcomes].count("failed") == 1
    assert "there is not enough memory to decode it" in outcomes[2].reason
    assert written(jobs) == list("12456")


def test_what_an_encoder_raises_fails_that_image_alone(jobs: list[Job]) -> None:
    """A result of 2^60 bytes, of which only one is really there."""
    huge = Photo(torch.zeros(1, dtype=torch.uint8).expand(1, 3, 2**29, 2**29))
    jobs[2] = replace(jobs[2], destination=jobs[2].destination.with_suffix(".bmp"))
    outcomes = list(run(jobs, Fake(lambda width: huge if width == 3 else None)))
    assert [outcome.status for outcome in outcomes].count("failed") == 1
    assert "there is not enough memory for it" in outcomes[2].reason
    assert written(jobs) == list("12456")


def test_the_memory_of_a_failed_image_is_freed(jobs: list[Job]) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Failing(Fake):
        def upscale(self, photo: Photo, progress: Progress | None = None, *_: object, **__: object) -> Photo:
            held.append(weakref.ref(photo.color))
            raise MemoryError

    outcomes = list(run(jobs[:3], Failing()))
    gc.collect()
    assert [outcome.status for outcome in outcomes] == ["failed"] * 3
    assert [reference() for reference in held] == [None] * 3


def test_a_result_that_no_machine_has_memory_for_is_refused_before_it_is_read(jobs: list[Job]) -> None:
    def never(width: int) -> None:
        raise AssertionError(f"the network ran for {width}")

    outcomes = list(run(jobs, Fake(never), output=Output(width=100_000_000)))
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert "would become 100000000x" in outcomes[0].reason
    assert "of memory, and " in outcomes[0].reason
    assert not jobs[0].destination.parent.exists()


def test_a_full_disk_fails_each_image_and_leaves_nothing(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode == "wb":
            return original(Path("/dev/full"), mode, *arguments, **options)
        return original(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    outcomes = list(run(jobs))
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert [
        outcome.reason
        for outcome in outcomes
        if "No space left on device; free some space" not in outcome.reason
    ] == []
    assert not jobs[0].destination.parent.exists()


def test_jobs_are_taken_one_by_one(jobs: list[Job]) -> None:
    taken: list[Job] = []

    def counted() -> Iterator[Job]:
        for job in jobs:
            taken.append(job)
            yield job

    for done, _ in enumerate(run_all(counted(), cast("Restorer", Fake())), 1):
        assert len(taken) <= done + 2


@pytest.mark.parametrize("existing", ["skip", "error"])
def test_the_image_of_a_result_that_is_kept_does_not_enter_the_network(
    jobs: list[Job], existing: str
) -> None:
    list(run(jobs[2:4]))
    seen: list[int] = []
    outcomes = list(run(jobs, Fake(seen.append), existing=existing))
    assert seen == [1, 2, 5, 6]
    kept = "skipped" if existing == "skip" else "failed"
    assert [outcome.status for outcome in outcomes] == ["done", "done", kept, kept, "done", "done"]


def test_stopping_early_finishes_what_was_begun_and_nothing_else(jobs: list[Job]) -> None:
    outcomes = run(jobs)
    assert next(outcomes).destination == jobs[0].destination
    assert isinstance(outcomes, GeneratorType)
    outcomes.close()
    assert written(jobs) == list("12")


def test_ctrl_c_in_the_network_keeps_what_is_done(jobs: list[Job]) -> None:
    def interrupt(width: int) -> None:
        if width == 3:
            raise KeyboardInterrupt

    outcomes = run(jobs, Fake(interrupt))
    assert [next(outcomes).status, next(outcomes).status] == ["done", "done"]
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert written(jobs) == list("12")


def test_an_input_that_changes_while_it_is_read_fails(jobs: list[Job]) -> None:
    """A decoder that writes to its file stands in for another program that does."""

    class Changing(ImageFile.ImageFile):
        format = "CHANGING"

        def _open(self) -> None:
            self._mode, self._size = "L", (1, 1)
            # Private, but Pillow has no public name for it; a change fails this test.
            self.tile = [ImageFile._Tile("raw", (0, 0, 1, 1), 8, "L")]
            with jobs[1].source.open("ab") as file:
                file.write(b"more")

    Image.register_open("CHANGING", Changing, lambda head: head.startswith(b"CHANGING"))
    try:
        jobs[1].source.write_bytes(b"CHANGING" + bytes(100))
        outcomes = list(run(jobs[:3]))
    finally:
        Image.OPEN.pop("CHANGING")
        Image.ID.remove("CHANGING")
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert "changed while it was read" in outcomes[1].reason


def test_a_file_that_changes_between_two_jobs_of_a_batch_is_seen(jobs: list[Job]) -> None:
    restorer, job = restore.load("bicubic", device="cpu"), jobs[0]
    results = Results(restorer, Output(), "skip")
    before = results.provenance(job, restorer)
    assert results.provenance(job, restorer) == before
    Image.new("RGB", (4, 4), (9, 9, 9)).save(job.source)
    assert results.provenance(job, restorer).source != before.source


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


class Notes(Listener):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextmanager
    def restoring(self, job: AnyJob) -> Iterator[Progress]:
        self.events.append(f"begin {job.source.stem}")
        yield lambda done: self.events.append(f"{done}")
        self.events.append(f"end {job.source.stem}")

    def note(self, job: AnyJob, text: str) -> None:
        self.events.append(f"{job.source.stem} {text}")


def test_whoever_waits_is_told_once_for_which_process(jobs: list[Job]) -> None:
    other, notes = claim(jobs[0].destination), Notes()
    assert other
    release = threading.Timer(4.0, other.release)
    release.start()
    assert [outcome.status for outcome in run(jobs[:1], listener=notes)] == ["done"]
    release.join()
    (told,) = [event for event in notes.events if "waits" in event]
    assert f"1 waits for process {os.getpid()} on " in told


def test_a_listener_hears_of_each_job_in_the_network(jobs: list[Job]) -> None:
    jobs[1].source.write_bytes(b"no image")
    notes = Notes()
    list(run(jobs[:3], listener=notes))
    assert notes.events == ["begin 1", "1.0", "end 1", "begin 3", "1.0", "end 3"]


def test_the_first_large_result_is_announced_with_its_size_time_and_memory(jobs: list[Job]) -> None:
    for job in jobs[:2]:
        Image.new("L", (9000, 8000)).save(job.source)
    notes = Notes()

    def stop(width: int) -> None:
        raise ImageError("enough was seen")

    list(run(jobs[:2], Fake(stop), listener=notes))
    announced = [event for event in notes.events if "megapixels" in event]
    assert len(announced) == 1
    assert announced[0].startswith("1 9000x8000 becomes 9000x8000 (72 megapixels) in about ")
    assert "set `scale` or `width` for a smaller result" in announced[0]


def test_small_files_are_asked_for(jobs: list[Job]) -> None:
    pixels = np.tile(np.random.default_rng(0).integers(0, 256, (1, 300, 3), np.uint8), (80, 1, 1))
    Image.fromarray(pixels).save(jobs[0].source)
    sizes = []
    for small in (False, True):
        list(run(jobs[:1], output=Output(small=small)))
        sizes.append(jobs[0].destination.stat().st_size)
    assert sizes[1] < sizes[0]
