"""Work in several processes: nothing is lost, nothing waits for ever, nobody outlives the one that asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from restore.errors import DataError, RestoreError
from restore.parallel import cores, each


def square(number: int) -> int:
    return number * number


def identity(_: int) -> int:
    return os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise DataError("three is too many")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def touch_slowly(file: Path) -> None:
    time.sleep(0.05)
    file.touch()


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_every_item_has_its_result_once(processes: int, count: int) -> None:
    assert sorted(each(square, range(count), processes)) == [number**2 for number in range(count)]


def test_the_work_is_shared_by_other_processes_and_one_process_is_this_one() -> None:
    others = set(each(identity, range(100), 2))
    assert len(others) == 2
    assert os.getpid() not in others
    assert set(each(identity, range(3), 1)) == {os.getpid()}


def test_items_are_asked_for_only_as_fast_as_they_are_worked_on() -> None:
    asked = 0

    def items() -> Iterator[int]:
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield number

    with closing(each(square, items(), 2)) as results:
        next(results)
        assert 0 < asked < 10


@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_work_raises_is_raised_here_and_ends_the_processes(processes: int) -> None:
    with pytest.raises(DataError) as caught:
        list(each(fail_at_three, range(1000), processes))
    assert str(caught.value) == "three is too many"
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_instead_of_waited_for() -> None:
    with pytest.raises(RestoreError, match=r"a process was killed, .* with fewer --jobs"):
        list(each(die_at_three, range(1000), 2))
    assert multiprocessing.active_children() == []


def test_closing_ends_the_processes_after_the_item_they_work_on(tmp_path: Path) -> None:
    files = [tmp_path / str(index) for index in range(200)]
    with closing(each(touch_slowly, files, 2)) as results:
        next(results)
    assert multiprocessing.active_children() == []
    assert 1 <= len(list(tmp_path.iterdir())) < 20


def test_the_processes_end_when_the_one_that_asked_is_killed() -> None:
    script = (
        "import os, time\n"
        "from restore.parallel import each\n"
        "def work(index):\n"
        "    time.sleep(0.01)\n"
        "    return os.getpid()\n"
        "for pid in each(work, range(10**6), 3):\n"
        "    print(pid, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    workers: set[int] = set()
    while len(workers) < 3:
        workers.add(int(process.stdout.readline()))
    process.kill()
    process.stdout.close()
    process.wait()
    deadline = time.monotonic() + 30
    while workers and time.monotonic() < deadline:
        workers = {worker for worker in workers if is_alive(worker)}
    assert not workers


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_there_is_at_least_one_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
