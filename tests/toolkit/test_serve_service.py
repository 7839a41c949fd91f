"""Uploads, jobs and memory of the service behind `restore serve`, in this process."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from served import BICUBIC, encoded, wait_for

from restore.batch import Outcome
from restore.batch.executor import Settings
from restore.batch.jobs import AnyJob
from restore.errors import RestoreError
from restore.registry import discover
from restore.serve import Limits, PrivateFolder, RestorerCache, Service
from restore.serve.api.results import sent
from restore.serve.jobs import ENDED, Jobs, ServedJob
from restore.serve.memory import Memory
from restore.serve.problems import Problem
from restore.serve.schema import JobOptions
from restore.serve.uploads import Upload, Uploads


def uploaded(uploads: Uploads, name: str = "a.png") -> Upload:
    """An image among the uploads of a service in this process."""
    with uploads.receiving(4000) as place:
        place.path.write_bytes(encoded())
        return uploads.add(place, name)


def submitted(service: Service, name: str = "a.png") -> ServedJob:
    """A job of a service in this process."""
    return service.submit(uploaded(service.uploads, name), JobOptions.model_validate(BICUBIC))


class RemovingExecutor:
    """Has each job removed when its result is nearly written."""

    service: Service

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        for job in jobs:
            self.service.remove(*self.service.jobs.all())
            destination = Path(str(job.destination))
            destination.parent.mkdir(parents=True)
            destination.write_bytes(b"a result")
            yield Outcome(job.source, "done", job.destination)


def test_a_result_that_is_written_after_its_job_was_removed_is_removed(tmp_path: Path) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), RemovingExecutor()
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        executor.service = service
        job = submitted(service)
        before = service.uploads.stored
        wait_for(lambda: job.state == "canceled")
        wait_for(lambda: not job.folder.exists(), 5)
        time.sleep(0.2)
        assert not job.folder.exists()
        assert service.uploads.stored == before


class FailingExecutor:
    """Fails after it has taken a number of jobs, as that of a cluster without a scheduler."""

    def __init__(self, taken: int, error: BaseException) -> None:
        self._taken, self._error = taken, error

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        list(islice(jobs, self._taken))
        raise self._error


@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RestoreError("no scheduler answers"), "no scheduler answers"),
        (
            SystemExit(3),
            "unexpected SystemExit: 3; leave the image out, and report it with its traceback",
        ),
    ],
)
def test_jobs_fail_with_their_own_names_if_the_executor_fails(
    tmp_path: Path, taken: int, error: BaseException, reason: str
) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), FailingExecutor(taken, error)
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        jobs = [submitted(service, name) for name in ("a.png", "b.png", "c.png")]
        wait_for(lambda: all(job.state in ENDED for job in jobs))
        # A reason that named the image of another job would be that of another user.
        assert [(job.state, job.reason) for job in jobs] == [("failed", reason)] * 3
        assert [job.upload.jobs for job in jobs] == [0, 0, 0]


class UnreadableResult:
    """Puts a file where the folder of the result should be."""

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        for job in jobs:
            Path(str(job.destination)).parent.write_bytes(b"no folder")
            yield Outcome(job.source, "done", job.destination)


def test_a_job_fails_if_its_result_cannot_be_found(tmp_path: Path) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), UnreadableResult()
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        job = submitted(service)
        wait_for(lambda: job.state in ENDED)
        assert (job.state, "Not a directory" in job.reason) == ("failed", True)


def test_results_are_refused_where_there_is_no_room(tmp_path: Path) -> None:
    networks, limits = RestorerCache(discover(), {"device": "cpu"}), Limits(stored_bytes=20_000)
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, limits) as service:
        job = submitted(service)
        wait_for(lambda: job.state == "done")
        service.uploads.add_result(20_000)
        with pytest.raises(Problem, match="no room for more images"):
            service.submit(job.upload, JobOptions.model_validate(BICUBIC))
        service.uploads.add_result(-20_000)
        assert service.submit(job.upload, JobOptions.model_validate(BICUBIC))


def test_an_upload_that_was_asked_for_while_others_expire_is_kept(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits())
    upload = uploaded(uploads)
    upload.used -= 10
    before = upload.used + 5
    assert uploads.get(upload.id) is upload
    uploads.discard(upload, before)
    assert upload.path.exists()
    upload.used = before - 5
    uploads.discard(upload, before)
    assert not upload.path.exists()


def test_a_canceled_job_is_not_put_back() -> None:
    jobs = Jobs(Limits())
    upload = Upload("id", "a.png", Path("a.png"), 1, (1, 1))
    job = ServedJob(upload, JobOptions.model_validate(BICUBIC), None, Path("folder"), "a_x2.png")
    jobs.submit(job)
    assert jobs.next() is job
    job.cancel.set()  # as the first thing that `Jobs.cancel` does
    jobs.put_back(job)
    jobs.cancel(job)
    assert (job.state, upload.jobs, jobs.count()) == ("canceled", 0, (0, 0))


def test_a_full_disk_is_said_and_its_upload_is_not_counted(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits())
    with pytest.raises(Problem, match="cannot store the image: No space left"), uploads.receiving(100):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert uploads.stored == 0


def test_results_that_are_being_sent_do_not_expire(tmp_path: Path) -> None:
    networks = RestorerCache(discover(), {"device": "cpu"})
    with PrivateFolder(tmp_path) as folder, Service(networks, folder) as service:
        jobs = [submitted(service) for _ in range(2)]
        wait_for(lambda: all(job.state == "done" for job in jobs))
        for number, (_, file) in enumerate(sent(jobs)):
            assert service.jobs.expired() == []
            for job in jobs:
                job.upload.used -= 4000
            assert len(service.jobs.expired()) == 2
            assert file == jobs[number].job.destination


def test_an_upload_whose_folder_cannot_be_made_leaves_no_reservation(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "missing", Limits(images=1))
    for _ in range(2):
        with pytest.raises(Problem, match="cannot store the image: No such file"), uploads.receiving(2**20):
            pass
    assert uploads.stored == 0


@contextlib.contextmanager
def service_with_upload(folder: Path, memory: Memory) -> Iterator[tuple[Service, Upload]]:
    """A service on this process's CPU, and an image that was uploaded to it."""
    networks = RestorerCache(discover(), {"device": "cpu"})
    with PrivateFolder(folder) as private, Service(networks, private, memory=memory) as service:
        yield service, uploaded(service.uploads)


def test_a_job_waits_for_memory_and_goes_on(tmp_path: Path) -> None:
    memory = Memory(lambda: 2**30)
    with service_with_upload(tmp_path, memory) as (service, upload):
        options = JobOptions.model_validate(BICUBIC)
        with memory.holding(2**30):
            jobs = [service.submit(upload, options) for _ in range(3)]
            time.sleep(1)
            assert [job.state for job in jobs] == ["running", "queued", "queued"]
            assert jobs[0].progress == 0
            service.remove(jobs[0])
            time.sleep(1)
            assert [job.state for job in jobs] == ["canceled", "running", "queued"]
        wait_for(lambda: all(job.state in ENDED for job in jobs))
        assert [job.state for job in jobs] == ["canceled", "done", "done"]
        assert memory.take(2**30), "all that was promised was given back"


def test_models_are_dropped_when_memory_is_short_but_never_the_last() -> None:
    networks = RestorerCache(discover(), {"device": "cpu"})
    memory = Memory(lambda: 100, drop=networks.drop)
    kept = [networks.restorer(JobOptions(model="bicubic", scale=scale)) for scale in (2, 3, 4)]
    assert memory.take(60)
    assert networks.count == 3
    assert not memory.take(60), "while others have memory, it waits"
    assert networks.count == 1
    assert networks.restorer(JobOptions(model="bicubic", scale=4)) is kept[2], "used last"


def test_a_result_is_kept_for_a_time_even_if_its_job_had_to_wait_longer_than_that(tmp_path: Path) -> None:
    memory = Memory(lambda: 2**30)
    with service_with_upload(tmp_path, memory) as (service, upload):
        with memory.holding(2**30):
            job = service.submit(upload, JobOptions.model_validate(BICUBIC))
            upload.used -= 2 * service.limits.keep_seconds
            service.expire()
        wait_for(lambda: job.state == "done")
        service.expire()
        assert service.uploads.get(upload.id) is upload
        assert service.jobs.get(job.id) is job
