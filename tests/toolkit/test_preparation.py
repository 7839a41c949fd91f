"""Clean training images: what is made of which images, and that a long run can be interrupted and trusted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from restore.data.preparation import RECORD, PreparationSettings, PreparedFile, Tally, make_plan, run
from restore.errors import DataError, ImageError, UsageError
from restore.images import read
from restore.resizing import imresize, quantize

Draw = Callable[..., Path]
Damage = Callable[[Path], None]


def prepared(source: Path, folder: Path, threads: int = 1, **settings: Any) -> dict[str, PreparedFile]:
    outcomes = list(run(make_plan(source, folder, PreparationSettings(**settings)), threads))
    return {outcome.source.relative_to(source).as_posix(): outcome for outcome in outcomes}


def results(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too, but for the record."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != RECORD]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "restore", "prepare", *map(str, arguments)]


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)


# What is made ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "left", "top"), [(61, 40, 10, 0), (40, 53, 0, 6)])
def test_the_central_square_is_reduced_with_antialiasing(
    tmp_path: Path, draw: Draw, width: int, height: int, left: int, top: int
) -> None:
    file = draw(tmp_path / "in" / "a.png", width, height)
    assert prepared(tmp_path / "in", tmp_path / "out", square=True, size=24)["a.png"].size == (24, 24)
    square = read(file).color[..., top : top + 40, left : left + 40]
    made = read(tmp_path / "out" / "a.png").color
    torch.testing.assert_close(made, quantize(imresize(square, (24, 24))), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(60, 40, (36, 24)), (40, 61, (24, 37)), (24, 40, (24, 40))],
)
def test_without_a_square_the_shape_is_kept_and_the_short_side_has_the_size(
    tmp_path: Path, draw: Draw, width: int, height: int, size: tuple[int, int]
) -> None:
    draw(tmp_path / "in" / "a.png", width, height)
    assert prepared(tmp_path / "in", tmp_path / "out", size=24)["a.png"].size == size
    assert read(tmp_path / "out" / "a.png").color.shape[2:] == size[::-1]


def test_an_image_that_has_the_size_keeps_every_level_and_none_is_enlarged(
    tmp_path: Path, draw: Draw
) -> None:
    file = draw(tmp_path / "in" / "a.png", 24, 24)
    draw(tmp_path / "in" / "b.png", 30, 23)
    outcomes = prepared(tmp_path / "in", tmp_path / "out", square=True, size=24)
    assert torch.equal(read(tmp_path / "out" / "a.png").color, read(file).color)
    assert (outcomes["b.png"].status, outcomes["b.png"].reason) == ("small", "23 pixels are fewer than 24")
    with pytest.raises(UsageError, match="`min_side=16` takes images that `size=24` would have to enlarge"):
        PreparationSettings(min_side=16, size=24)


def test_without_a_size_images_are_only_cut(tmp_path: Path, draw: Draw) -> None:
    file = draw(tmp_path / "in" / "a.png", 30, 20)
    prepared(tmp_path / "in", tmp_path / "out", square=True)
    assert torch.equal(read(tmp_path / "out" / "a.png").color, read(file).color[..., 5:25])


def test_the_tree_is_mirrored_with_the_suffix_of_the_format(tmp_path: Path, draw: Draw) -> None:
    for name in ("a.png", "deep/er/b.bmp", "deep/c.v1.webp"):
        draw(tmp_path / "in" / name, 24, 24)
    prepared(tmp_path / "in", tmp_path / "png")
    assert set(results(tmp_path / "png")) == {"a.png", "deep/er/b.png", "deep/c.v1.png"}
    prepared(tmp_path / "in", tmp_path / "jpg", format="jpg")
    assert set(results(tmp_path / "jpg")) == {"a.jpg", "deep/er/b.jpg", "deep/c.v1.jpg"}
    with Image.open(tmp_path / "jpg" / "a.jpg") as image:
        assert image.format == "JPEG"


def test_a_picture_is_made_upright_and_what_else_its_file_said_is_left_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    (tmp_path / "in").mkdir()
    pixels = np.arange(30 * 20 * 3, dtype=np.uint8).reshape(20, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png", exif=exif, dpi=(300, 300))
    prepared(tmp_path / "in", tmp_path / "out")
    made = read(tmp_path / "out" / "a.png")
    assert made.color.shape[2:] == (30, 20)
    assert (made.exif, made.dpi) == (None, None)


def test_images_that_are_small_gray_or_transparent_are_left_out(tmp_path: Path, draw: Draw) -> None:
    source = tmp_path / "in"
    draw(source / "color.png", 40, 30)
    draw(source / "small.png", 90, 29)
    draw(source / "opaque.png", 40, 30)
    with Image.open(source / "opaque.png") as image:
        image.convert("RGBA").save(source / "opaque.png")
        image.convert("L").save(source / "gray.png")
        image.convert("L").convert("RGB").save(source / "gray in three channels.png")
        image.putalpha(254)
        image.save(source / "transparent.png")
    statuses = {
        name: outcome.status for name, outcome in prepared(source, tmp_path / "out", min_side=30).items()
    }
    assert statuses == {
        "color.png": "done",
        "opaque.png": "done",
        "small.png": "small",
        "gray.png": "gray",
        "gray in three channels.png": "gray",
        "transparent.png": "transparent",
    }
    assert set(results(tmp_path / "out")) == {"color.png", "opaque.png"}
    kept = prepared(source, tmp_path / "with gray", min_side=30, keep_gray=True)
    assert kept["gray.png"].status == kept["gray in three channels.png"].status == "done"
    assert read(tmp_path / "with gray" / "gray.png").gray


def test_the_number_of_threads_changes_nothing(photos: Path, tmp_path: Path) -> None:
    prepared(photos, tmp_path / "one", size=20)
    prepared(photos, tmp_path / "three", 3, size=20)
    assert results(tmp_path / "one") == results(tmp_path / "three") != {}


# Going on --------------------------------------------------------------------------------------------


def test_what_is_there_and_whole_is_kept_and_the_rest_is_made(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared(photos, out, size=20)
    whole = results(out)
    written = (out / "b.png").stat().st_mtime_ns
    (out / "a.png").write_bytes(whole["a.png"][:-100])
    (out / "deep" / "c.png").unlink()
    (out / "deep" / ".restore-left.png").write_bytes(b"by a kill")
    again = prepared(photos, out, size=20)
    assert {name: outcome.status for name, outcome in again.items()} == {
        "a.png": "done",
        "b.png": "existing",
        "deep/c.png": "done",
        "tiny.png": "existing",
    }
    assert results(out) == whole
    assert (out / "b.png").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 18}, "min_side = 20, not 18"),
        ({"min_side": 24}, "min_side = 20, not 24"),
        ({"square": True}, "square = False, not True"),
        ({"format": "jpg"}, "format = 'png', not 'jpg'"),
        ({"size": None, "min_side": 20}, "size = 20, not None"),
    ],
)
def test_other_settings_are_refused_for_the_same_folder(
    photos: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    out = tmp_path / "out"
    prepared(photos, out, size=20)
    before = results(out)
    with pytest.raises(UsageError) as caught:
        prepared(photos, out, **{"size": 20} | changes)
    assert str(caught.value).startswith(f"{out}: the folder was made with {words}; choose another folder")
    assert results(out) == before


def test_another_source_is_refused_for_the_same_folder(photos: Path, tmp_path: Path, draw: Draw) -> None:
    prepared(photos, tmp_path / "out")
    draw(tmp_path / "more" / "e.png", 30, 30)
    with pytest.raises(UsageError, match="was made with source = "):
        prepared(tmp_path / "more", tmp_path / "out")
    prepared(photos / ".." / "photos", tmp_path / "out")


def test_a_record_that_cannot_be_read_is_named(photos: Path, tmp_path: Path) -> None:
    prepared(photos, tmp_path / "out")
    (tmp_path / "out" / RECORD).write_bytes(b"size = \xff")
    with pytest.raises(UsageError, match=f"{RECORD}: cannot read how"):
        prepared(photos, tmp_path / "out")


# What is refused -------------------------------------------------------------------------------------


def test_a_folder_that_is_in_use_for_something_else_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for folder in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(UsageError, match="is in use and was not made by 'restore prepare'"):
            prepared(photos, folder)
    assert results(tmp_path / "mine") == {"notes.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    assert len(prepared(photos, tmp_path / "empty")) == 4


def test_two_images_for_one_result_are_refused_before_anything_is_done(
    photos: Path, tmp_path: Path, draw: Draw
) -> None:
    draw(photos / "b.bmp", 30, 30)
    with pytest.raises(UsageError, match=r"out/b\.png: '.*b\.bmp' and '.*b\.png' would both be written here"):
        prepared(photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_inside_the_source_are_not_taken_for_sources(photos: Path) -> None:
    first = prepared(photos, photos / "clean", size=20)
    again = prepared(photos, photos / "clean", size=20)
    assert first.keys() == again.keys() == {"a.png", "b.png", "deep/c.png", "tiny.png"}


def test_a_source_inside_the_results_is_refused(photos: Path, tmp_path: Path) -> None:
    for folder in (photos, tmp_path, photos / "deep" / ".."):
        with pytest.raises(UsageError, match="would be among their results; choose another folder"):
            prepared(photos, folder)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        make_plan(tmp_path / "missing", tmp_path / "out", PreparationSettings())
    (tmp_path / "in" / "out").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "out" / "a.png")
    with pytest.raises(DataError, match=r"in: there is no image in this folder besides those in"):
        make_plan(tmp_path / "in", tmp_path / "in" / "out", PreparationSettings())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_result_that_cannot_be_written_ends_the_run(photos: Path, tmp_path: Path, threads: int) -> None:
    out = tmp_path / "out"
    prepared(photos, out)
    (out / "deep" / "c.png").unlink()
    (out / "deep").rmdir()
    (out / "deep").touch()
    with pytest.raises(ImageError, match=r"deep/c\.png: cannot write it: "):
        prepared(photos, out, threads)


def test_a_tally_counts_what_became_of_the_images() -> None:
    tally = Tally()
    assert tally.sentence == "0 images: 0 made"
    for status in ("done", "done", "small", "existing", "transparent", "failed"):
        tally.add(PreparedFile(Path("a"), status))
    assert tally.sentence == "6 images: 2 made; 1 already there; 1 small, 1 transparent skipped; 1 failed"


# The command -----------------------------------------------------------------------------------------


def test_bad_files_are_named_and_the_others_done(photos: Path, tmp_path: Path, damage: Damage) -> None:
    damage(photos / "b.png")
    done = call(photos, tmp_path / "out", "--size", 24, "--square", "--jobs", 2, "--json")
    assert done.returncode == 1
    rows = {Path(row["source"]).name: row for row in map(json.loads, done.stdout.splitlines())}
    assert Counter(row["status"] for row in rows.values()) == {"done": 2, "small": 1, "failed": 1}
    assert rows["a.png"] | {"source": ""} == {
        "source": "",
        "status": "done",
        "destination": str(tmp_path / "out" / "a.png"),
        "size": [24, 24],
        "reason": "",
    }
    assert f"error: {photos}/b.png: it is damaged or cut short" in done.stderr
    assert "4 images: 2 made; 1 small skipped; 1 failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(results(tmp_path / "out")) == {"a.png", "deep/c.png"}


def test_a_folder_becomes_one_sentence(photos: Path, tmp_path: Path) -> None:
    done = call(photos, tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 images: 4 made\n", "")
    refused = call(photos, tmp_path / "out", "--square")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "was made with square = False, not True" in refused.stderr


@pytest.mark.parametrize(
    ("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGKILL, 1), (signal.SIGKILL, 2)]
)
def test_what_was_interrupted_is_whole_and_can_be_gone_on_with(
    tmp_path: Path, draw: Draw, number: signal.Signals, jobs: int
) -> None:
    first = draw(tmp_path / "in" / "0.png", 500, 500)
    for index in range(1, 40):
        (tmp_path / "in" / f"{index}.png").write_bytes(first.read_bytes())
    process = subprocess.Popen(
        command(tmp_path / "in", tmp_path / "out", "--size", 300, "--jobs", jobs, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()  # the first image is done
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "continue with the same command" in words
        assert "Traceback" not in words
    done = {name: content for name, content in results(tmp_path / "out").items() if not name.startswith(".")}
    assert 1 <= len(done) < 40
    for name in done:
        with Image.open(tmp_path / "out" / name) as image:
            image.load()
            assert image.size == (300, 300)
    prepared(tmp_path / "in", tmp_path / "out", size=300)
    everything = results(tmp_path / "out")
    assert everything.keys() == {f"{index}.png" for index in range(40)}
    assert len(set(everything.values())) == 1
