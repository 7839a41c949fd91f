"""A kill at any moment leaves the old file or the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from restore.files import atomic_file, atomic_folder


def die_in(work: Callable[[], None]) -> None:
    """Run `work` in another process, which ends as a kill would end it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    os.waitpid(child, 0)


def test_a_file_appears_whole_in_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    with atomic_file(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with suppress(KeyboardInterrupt), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old")

    def work() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            os._exit(1)

    die_in(work)
    assert path.read_text() == "old"


def test_permissions_are_those_of_the_old_file_or_of_any_new_one(tmp_path: Path) -> None:
    old, new, plain = tmp_path / "old", tmp_path / "new", tmp_path / "plain"
    old.touch()
    old.chmod(0o604)
    plain.touch()
    for path in (old, new):
        with atomic_file(path) as temporary:
            temporary.write_text("whole")
    assert old.stat().st_mode & 0o777 == 0o604
    assert new.stat().st_mode == plain.stat().st_mode


def test_a_folder_appears_whole_with_the_permissions_of_any_new_one(tmp_path: Path) -> None:
    path, plain = tmp_path / "new" / "run", tmp_path / "plain"
    plain.mkdir()
    with atomic_folder(path) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("whole")
        assert not path.exists()
    assert (path / "deep" / "file").read_text() == "whole"
    assert path.stat().st_mode == plain.stat().st_mode
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), atomic_folder(tmp_path / "run") as temporary:
        (temporary / "file").touch()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_killed_folder_is_not_there(tmp_path: Path) -> None:
    def work() -> None:
        with atomic_folder(tmp_path / "run") as temporary:
            (temporary / "file").touch()
            os._exit(1)

    die_in(work)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_content_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(OSError, match="not empty"), atomic_folder(path) as temporary:
        (temporary / "file").write_text("new")
    assert (path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_do_not_change_each_others_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:

        def make(index: int) -> int:
            with atomic_file(tmp_path / f"{index}.txt") as temporary:
                temporary.write_text("x")
            return (tmp_path / f"{index}.txt").stat().st_mode & 0o777

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(make, range(400))) == {0o640}
    finally:
        assert os.umask(before) == 0o027
