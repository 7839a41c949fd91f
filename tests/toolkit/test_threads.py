"""Threads that work beside a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from restore.threads import inherit_cores, one_core_threads


@pytest.fixture(autouse=True)
def cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_each_thread_of_the_pool_uses_one_core() -> None:
    with one_core_threads(4) as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(20))) == {1}


def test_the_caller_and_threads_started_later_use_what_they_did() -> None:
    with one_core_threads(2):
        assert (torch.get_num_threads(), in_new_thread()) == (3, 3)
    assert (torch.get_num_threads(), in_new_thread()) == (3, 3)


def test_the_name_is_that_of_the_threads() -> None:
    with one_core_threads(1, "reading") as pool:
        assert pool.submit(lambda: threading.current_thread().name).result().startswith("reading")


@pytest.mark.parametrize("inherit", [inherit_cores, lambda: None])
def test_threads_that_start_pools_at_once_use_what_they_did(inherit: Callable[[], None]) -> None:
    begin, found = threading.Barrier(2), set[int]()

    def work() -> None:
        begin.wait()
        inherit()
        with one_core_threads(1), one_core_threads(1):
            found.add(torch.get_num_threads())

    for _ in range(50):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.add(in_new_thread())
    assert found == {3}
