"""`restore upscale`: files, folders and globs; one failure never stops the others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.errors import UsageError
from restore.inference import plan


def picture(path: Path, width: int = 9, height: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def upscale(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "restore", "upscale", "--model", "bicubic", "--device", "cpu"]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def jobs(*inputs: object, out: Path | None = None, recursive: bool = False) -> dict[Path, Path]:
    found, failed = plan(map(str, inputs), 4, out=out, recursive=recursive)
    assert not failed
    return {job.source: job.destination for job in found}


def test_a_file_goes_beside_itself(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    assert jobs(photo) == {photo: tmp_path / "photo_x4.jpg"}


def test_one_file_goes_where_it_is_told(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    assert jobs(photo, out=tmp_path / "new.png") == {photo: tmp_path / "new.png"}
    assert jobs(photo, out=tmp_path / "folder") == {photo: tmp_path / "folder" / "photo.jpg"}


def test_a_folder_is_mirrored(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "in/a.png"), picture(tmp_path / "in/sub/b.png")
    (tmp_path / "in/notes.txt").write_text("not an image")
    assert jobs(tmp_path / "in") == {first: tmp_path / "in_x4/a.png"}
    both = {first: tmp_path / "in_x4/a.png", second: tmp_path / "in_x4/sub/b.png"}
    assert jobs(tmp_path / "in", recursive=True) == both


def test_results_inside_the_folder_are_not_taken_as_inputs(tmp_path: Path) -> None:
    first = picture(tmp_path / "a.png")
    picture(tmp_path / "done/a.png")
    assert jobs(tmp_path, out=tmp_path / "done", recursive=True) == {first: tmp_path / "done/a.png"}


def test_a_glob_that_the_shell_left_is_expanded(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg")
    (tmp_path / "c.txt").write_text("")
    assert {source.name for source in jobs(tmp_path / "*.*")} == {"a.png", "b.jpg"}


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo [1].png")
    assert jobs(photo) == {photo: tmp_path / "photo [1]_x4.png"}


def test_two_inputs_for_one_output_are_refused(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a/p.png"), picture(tmp_path / "b/p.png")
    with pytest.raises(UsageError, match="would both be written to"):
        jobs(first, second, out=tmp_path / "out")


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(photo, out=photo)
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(tmp_path, out=tmp_path / "." / "")


def test_good_files_are_done_and_each_bad_one_is_named_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    good = [picture(folder / name) for name in ("a.png", "b b.jpg", "ü.webp")]
    Image.new("L", (1, 1)).save(folder / "one.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    whole = picture(folder / "cut.png", 60, 60).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    done = upscale(folder, "--json")
    assert done.returncode == 1
    rows = {Path(row["source"]).name: row for row in map(json.loads, done.stdout.splitlines())}
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {
        "empty.png",
        "text.jpg",
        "cut.png",
    }
    for name in ("empty.png", "text.jpg", "cut.png"):
        assert name in done.stderr
        assert len(rows[name]["reason"]) > 10
    for file in good:
        with Image.open(tmp_path / "in_x4" / file.name) as result:
            assert result.size == (36, 28)
    with Image.open(tmp_path / "in_x4" / "one.png") as result:
        assert (result.mode, result.size) == ("L", (4, 4))
    assert {file.name for file in (tmp_path / "in_x4").iterdir()} == {"a.png", "b b.jpg", "ü.webp", "one.png"}
    assert "Traceback" not in done.stderr


def test_what_exists_is_kept_or_replaced_as_asked(tmp_path: Path) -> None:
    photo, result = picture(tmp_path / "a.png"), tmp_path / "a_x4.png"
    result.write_bytes(b"mine")
    assert upscale(photo, "--existing", "skip").returncode == 0
    refused = upscale(photo, "--existing", "error")
    assert (refused.returncode, result.read_bytes()) == (1, b"mine")
    assert "is there already" in refused.stderr
    assert upscale(photo).returncode == 0
    with Image.open(result) as image:
        assert image.size == (36, 28)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.png"], 1, "there is no such file or folder"),
        (["a.png", "--model", "enhancnet"], 2, "Did you mean 'enhancenet'?"),
        (["a.png", "--tile", "none"], 2, "neither 'auto', 'off' nor a number"),
        (["a.png", "--scale", "0"], 2, "cannot work at scale 0"),
        (["a.png", "--device", "abacus"], 2, "there is no device 'abacus'"),
        (["a.png", "-o", "a.png"], 2, "would overwrite the input"),
        (["a.png", "-o", "a.xyz"], 2, "cannot write '.xyz' files"),
    ],
)
def test_wrong_requests_get_one_sentence(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    picture(tmp_path / "a.png")
    done = upscale(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    photo = picture(tmp_path / name)
    (tmp_path / "out").write_text("a file where a folder should be")
    done = upscale(photo, "-o", tmp_path / "out" / "deeper" / name)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "out") in done.stderr


def test_small_files_are_smaller_and_hold_the_same(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png", 60, 60)
    assert upscale(photo, "-o", tmp_path / "fast.png").returncode == 0
    assert upscale(photo, "-o", tmp_path / "small.png", "--small").returncode == 0
    assert (tmp_path / "small.png").stat().st_size < (tmp_path / "fast.png").stat().st_size
    with Image.open(tmp_path / "small.png") as small, Image.open(tmp_path / "fast.png") as fast:
        assert small == fast


def test_the_result_goes_to_stdout_and_nothing_else_does(tmp_path: Path) -> None:
    done = upscale(picture(tmp_path / "a.png"))
    assert done.stdout.startswith(str(tmp_path / "a_x4.png"))
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_ctrl_c_exits_130_and_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    for index in range(40):
        picture(tmp_path / "in" / f"{index:02}.png", 700, 700)
    command = [sys.executable, "-m", "restore", "upscale", "--model", "bicubic", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "in")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    process.stdout.readline()  # the first image is done
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in words
    assert "Traceback" not in words
    done = list((tmp_path / "in_x4").iterdir())
    assert 1 <= len(done) < 40
    for file in done:
        with Image.open(file) as image:
            image.load()
            assert image.size == (2800, 2800)


def test_one_file_name_for_two_inputs_is_refused(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    with pytest.raises(UsageError, match="names one image, but there are 2 inputs: name a folder"):
        jobs(first, second, out=tmp_path / "y.png")
