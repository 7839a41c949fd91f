"""What is done is known by its content; several processes share a folder; a kill loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore.batch.locking import claim, holder, sweep
from restore.batch.records import RECORD, Records, remember
from restore.batch.skipping import model_name
from restore.checkpoint import read_card, save_weights
from restore.images import Provenance, read_provenance
from restore.inference import load

Upscale = Callable[..., Any]

COMMAND = [sys.executable, "-m", "restore", "upscale", "--model", "bicubic", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, in three formats."""
    for seed, name in enumerate(("a.png", "b.jpg", "c.bmp")):
        picture(tmp_path / "in" / name, seed)
    return tmp_path / "in"


def picture(path: Path, seed: int, width: int = 12, height: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def statuses(done: Any) -> dict[str, str]:
    return {Path(row["source"]).name: row["status"] for row in done.rows}


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


ALL_SKIPPED = {"a.png": "skipped", "b.jpg": "skipped", "c.bmp": "skipped"}


# Skipping


@pytest.mark.parametrize("options", [[], ["--strip"], ["--format", "webp", "--quality", "50"]])
def test_the_same_command_again_does_nothing(folder: Path, upscale: Upscale, options: list[str]) -> None:
    assert upscale(folder, *options).returncode == 0
    results = folder.with_name("in_x4")
    before = {file: file.stat().st_mtime_ns for file in results.iterdir()}
    again = upscale(folder, "--json", *options)
    assert again.returncode == 0
    assert statuses(again) == ALL_SKIPPED
    assert {file: file.stat().st_mtime_ns for file in results.iterdir()} == before


def test_a_changed_input_is_done_again_and_the_others_are_not(folder: Path, upscale: Upscale) -> None:
    upscale(folder)
    before = (folder / "a.png").stat()
    picture(folder / "a.png", 9)
    os.utime(folder / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # its date tells nothing
    assert statuses(upscale(folder, "--json")) == ALL_SKIPPED | {"a.png": "done"}


@pytest.mark.parametrize(
    "options",
    [
        ["--precision", "bf16"],
        ["--strip"],
        ["--quality", "50"],
        ["--model", "srcnn"],
        ["--width", "48"],
        ["--self-ensemble"],
    ],
)
def test_other_settings_are_done_again(folder: Path, upscale: Upscale, options: list[str]) -> None:
    out = folder.with_name("out")
    upscale(folder, "-o", out, "--precision", "fp32")
    same = upscale(folder, "-o", out, "--precision", "fp32", "--scale", "4", "--tile", "8", "--json")
    assert statuses(same) == ALL_SKIPPED
    arguments = ["--precision", "fp32", *options]
    assert set(statuses(upscale(folder, "-o", out, "--json", *arguments)).values()) == {"done"}
    assert statuses(upscale(folder, "-o", out, "--json", *arguments)) == ALL_SKIPPED


def test_other_weights_of_one_name_are_done_again(folder: Path, upscale: Upscale) -> None:
    model = load("srcnn", device="cpu").model
    weights = Path(shutil.copy(model.weights, folder.with_name("mine.safetensors")))
    options = ["--model", f"srcnn:{weights}", "--json"]
    upscale(folder, *options)
    assert statuses(upscale(folder, *options)) == ALL_SKIPPED
    with torch.no_grad():
        next(model.module.parameters()).mul_(0.5)
    save_weights(weights, model.module, read_card(weights))
    assert set(statuses(upscale(folder, *options)).values()) == {"done"}


@pytest.mark.parametrize("options", [[], ["--strip"]])
def test_what_restore_did_not_make_is_kept_and_told(
    folder: Path, upscale: Upscale, options: list[str]
) -> None:
    upscale(folder, *options)
    foreign = folder.with_name("in_x4") / "c.bmp"
    Image.new("RGB", (5, 5)).save(foreign)
    kept = foreign.read_bytes()
    done = upscale(folder, "--json", *options)
    assert statuses(done) == ALL_SKIPPED | {"c.bmp": "failed"}
    assert done.returncode == 1
    assert "does not say that restore made it" in done.stderr
    assert foreign.read_bytes() == kept
    assert statuses(upscale(folder, "--existing", "overwrite", "--json", *options))["c.bmp"] == "done"


def test_one_file_is_made_again_and_an_error_is_one_on_request(folder: Path, upscale: Upscale) -> None:
    photo = folder / "a.png"
    assert upscale(photo, "--json").rows[0]["status"] == "done"
    assert upscale(photo, "--json").rows[0]["status"] == "done"
    assert upscale(photo, "--json", "--existing", "skip").rows[0]["status"] == "skipped"
    refused = upscale(photo, "--existing", "error")
    assert refused.returncode == 1
    assert "the result exists already; set --existing to" in refused.stderr


def test_the_same_glob_again_leaves_its_own_results_out(folder: Path, upscale: Upscale) -> None:
    assert upscale(folder / "*.*").returncode == 0
    again = upscale(folder / "*.*", "--json")
    assert again.returncode == 0, again.stderr
    results = {"a_x4.png": "skipped", "b_x4.jpg": "skipped", "c_x4.bmp": "skipped"}
    assert statuses(again) == ALL_SKIPPED | results
    assert "was made by restore of" in again.stdout
    other = upscale(*folder.iterdir(), "--suffix", "_big", "--json")
    assert {name for name, status in statuses(other).items() if status == "done"} == set(ALL_SKIPPED)
    assert upscale(folder / "a_x4.png", "--json").rows[0]["status"] == "done"  # asked for by itself


def test_results_in_a_folder_that_is_searched_are_left_out(tmp_path: Path, upscale: Upscale) -> None:
    picture(tmp_path / "in" / "sub" / "a.png", 1)
    upscale(tmp_path / "in" / "sub")
    done = upscale(tmp_path / "in", "-r", "--json")
    assert [row["status"] for row in done.rows] == ["skipped", "done"]
    assert Path(done.rows[1]["source"]) == tmp_path / "in" / "sub" / "a.png"


def test_results_of_another_folder_are_inputs_like_any_other(tmp_path: Path, upscale: Upscale) -> None:
    for seed, name in enumerate(("1.png", "10.png")):
        picture(tmp_path / "in" / name, seed)
    upscale(tmp_path / "in")
    assert set(statuses(upscale(tmp_path / "in_x4", "--json")).values()) == {"done"}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 only")
def test_a_name_that_is_no_text_is_a_name_like_any_other(tmp_path: Path, upscale: Upscale) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    picture(tmp_path / "in" / name, 1)
    for status in ("done", "skipped"):
        done = upscale(tmp_path / "in", "--strip", "--json")
        assert done.returncode == 0, done.stderr
        assert statuses(done) == {name: status}
    assert upscale(tmp_path / "in", "--strip").stdout.endswith("caf\\udce9.png exists already\n")


# What is recorded


def test_a_result_says_what_made_it(folder: Path, upscale: Upscale) -> None:
    upscale(folder / "a.png", "--precision", "fp32", "--scale", "2")
    found = read_provenance(folder / "a_x2.png")
    assert found
    assert (found.model, found.weights) == ("bicubic", "")
    settings = {"alpha": "bicubic", "engine": "torch", "format": "png", "precision": "fp32", "scale": "2"}
    assert dict(found.settings) == settings


def test_the_name_of_a_model_holds_no_folder(tmp_path: Path) -> None:
    model = load("srcnn", device="cpu").model
    assert model_name(model) == "srcnn:mse"
    weights = Path(shutil.copy(model.weights, tmp_path / "mine.safetensors"))
    assert model_name(load(f"srcnn:{weights}", device="cpu").model) == "srcnn:mse"  # they are the same
    with torch.no_grad():
        next(model.module.parameters()).mul_(0.5)
    save_weights(weights, model.module, read_card(weights))
    assert model_name(load(f"srcnn:{weights}", device="cpu").model) == "srcnn:mine.safetensors"


def test_provenance_of_a_large_picture_is_read(
    folder: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscale(folder / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_provenance(folder / "a_x4.png")


def a_provenance(number: int = 0) -> Provenance:
    return Provenance(f"{number:064}", "bicubic", "", (("scale", "4"),), "1")


def test_a_stripped_result_says_nothing_and_the_record_beside_it_does(folder: Path, upscale: Upscale) -> None:
    upscale(folder, "--strip")
    results = folder.with_name("in_x4")
    assert all(read_provenance(results / name) is None for name in ALL_SKIPPED)
    entries = [json.loads(line) for line in (results / RECORD).read_text().splitlines()]
    assert {entry["file"] for entry in entries} == set(ALL_SKIPPED)


@pytest.mark.parametrize("garbage", [b"\xff\0{[\n", b'{"file": 1}\n[1]\nnull\n', b'{"file": "x", "sha'])
def test_a_damaged_record_loses_nothing_else(tmp_path: Path, garbage: bytes) -> None:
    first, second = tmp_path / "a.bmp", tmp_path / "b.bmp"
    for number, file in enumerate((first, second)):
        file.write_bytes(bytes([number]))
        remember(file, file.name, a_provenance(number))
        with (tmp_path / RECORD).open("ab") as record:
            record.write(garbage)
    records = Records()
    assert [records.made(file) for file in (first, second)] == [a_provenance(0), a_provenance(1)]
    remember(first, first.name, a_provenance(2))
    assert records.made(first) == a_provenance(2)
    first.write_bytes(b"changed")
    assert records.made(first) is None
    (tmp_path / RECORD).write_bytes(b"")
    assert records.made(second) is None


def test_records_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.bmp" for number in range(40)]
    for file in files:
        file.write_bytes(file.name.encode())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda file: remember(file, file.name, a_provenance(int(file.stem))), files))
    records = Records()
    assert [records.made(file) for file in files] == [a_provenance(number) for number in range(40)]


def link_elsewhere(record: Path) -> None:
    record.symlink_to(record.parent.parent / "precious.txt")


def hard_link_elsewhere(record: Path) -> None:
    record.hardlink_to(record.parent.parent / "precious.txt")


def pipe(record: Path) -> None:
    os.mkfifo(record)


def endless(record: Path) -> None:
    record.symlink_to("/dev/zero")


def huge(record: Path) -> None:
    with record.open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk


def folder_instead(record: Path) -> None:
    record.mkdir()


@pytest.mark.parametrize("trap", [link_elsewhere, hard_link_elsewhere, pipe, endless, huge, folder_instead])
def test_a_record_that_is_a_trap_is_not_used_and_the_user_hears_of_it(
    folder: Path, upscale: Upscale, trap: Callable[[Path], None]
) -> None:
    precious = folder.with_name("precious.txt")
    precious.write_text("kept")
    (folder.with_name("in_x4")).mkdir()
    trap(folder.with_name("in_x4") / RECORD)
    for options in (["--strip"], ["--strip", "--existing", "overwrite"]):
        done = upscale(folder, *options)
        assert done.returncode == 0, done.stderr
        assert "the record of results is " in done.stderr
    assert upscale(folder, "--strip").returncode == 1  # nothing says who made the results
    assert precious.read_text() == "kept"
    assert all((folder.with_name("in_x4") / name).stat().st_size for name in ALL_SKIPPED)


def test_a_result_that_is_a_link_is_neither_read_nor_followed(folder: Path, upscale: Upscale) -> None:
    upscale(folder)
    result, elsewhere = folder.with_name("in_x4") / "a.png", folder.with_name("elsewhere.png")
    result.rename(elsewhere)
    result.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert statuses(upscale(folder, "--json")) == ALL_SKIPPED | {"a.png": "failed"}
    assert statuses(upscale(folder, "--existing", "overwrite", "--json"))["a.png"] == "done"
    assert elsewhere.read_bytes() == before
    assert not result.is_symlink()


def test_a_lock_that_is_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    place, precious = tmp_path / "out" / "a.png", tmp_path / "precious.txt"
    first = claim(place)
    assert first
    first.release()
    precious.write_text("kept")
    first.temporary.with_suffix(".lock").symlink_to(precious)
    second = claim(place)
    assert second
    assert precious.read_text() == "kept"
    second.release()
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("trap", [link_elsewhere, hard_link_elsewhere, pipe])
def test_a_trap_at_the_place_of_a_lock_is_removed_and_not_followed(
    tmp_path: Path, trap: Callable[[Path], None]
) -> None:
    place, precious = tmp_path / "out" / "a.png", tmp_path / "precious.txt"
    first = claim(place)
    assert first
    first.release()
    precious.write_text("kept")
    trap(first.temporary.with_suffix(".lock"))
    second = claim(place)
    assert second
    assert precious.read_text() == "kept"
    second.release()
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("trap", [link_elsewhere, hard_link_elsewhere, pipe])
@pytest.mark.parametrize("place", ["temporary file", "map"])
def test_a_trap_at_the_place_of_a_file_to_be_written_is_replaced_and_not_followed(
    folder: Path, upscale: Upscale, trap: Callable[[Path], None], place: str
) -> None:
    out, precious = folder.with_name("in_x4"), folder.with_name("precious.txt")
    precious.write_text("kept")
    found = claim(out / "a.png")
    assert found
    found.release()
    out.mkdir(exist_ok=True)
    trap(found.temporary if place == "temporary file" else out / "a.png.check.png")
    done = upscale(folder, "--check-map", "--json")
    assert statuses(done)["a.png"] == "done"
    assert precious.read_text() == "kept"
    for written in (out / "a.png", out / "a.png.check.png"):
        assert written.is_file()
        assert not written.is_symlink()


# Several processes


def test_a_claim_is_had_once_until_it_is_released(tmp_path: Path) -> None:
    place = tmp_path / "new" / "deep" / "a.png"
    first = claim(place)
    assert first
    assert first.made == [tmp_path / "new", tmp_path / "new" / "deep"]
    assert claim(place) is None
    assert claim(place.with_name("b.png"))
    first.release()
    again = claim(place)
    assert again


def test_a_lock_says_which_process_holds_it(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    assert holder(place) == "another process"
    held = claim(place)
    assert held
    assert holder(place) == f"process {os.getpid()} on {socket.gethostname()}"
    held.temporary.with_suffix(".lock").write_text("12\x1b[31m\nhost")
    assert holder(place) == "another process"


def test_leftovers_go_unless_somebody_works_on_them(tmp_path: Path) -> None:
    dead, alive = claim(tmp_path / "dead.png"), claim(tmp_path / "alive.png")
    assert dead
    assert alive
    dead.temporary.write_text("half")
    (tmp_path / f"{dead.temporary.stem}-x1.png").write_text("half")
    alive.temporary.write_text("half")
    (tmp_path / ".restore-abcdefgh.png").write_text("of something else")
    os.close(os.open(tmp_path / f"{dead.temporary.stem}.lock", os.O_RDONLY))
    dead._lock.release()  # as the system does when a process dies
    sweep(tmp_path)
    kept = {alive.temporary.name, f"{alive.temporary.stem}.lock", ".restore-abcdefgh.png"}
    assert {file.name for file in tmp_path.iterdir()} == kept


def test_three_processes_do_each_image_once(tmp_path: Path) -> None:
    for seed in range(12):
        picture(tmp_path / "in" / f"{seed}.png", seed, 300, 200)
    alone = subprocess.run(
        [*COMMAND, tmp_path / "in", "-o", tmp_path / "alone"], capture_output=True, timeout=300, check=False
    )
    assert alone.returncode == 0
    command = [*COMMAND, str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    printed = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], printed
    rows = [json.loads(line) for words in printed for line in words[0].splitlines()]
    assert len(rows) == 36
    done = sorted(row["source"] for row in rows if row["status"] == "done")
    assert done == sorted(str(file) for file in (tmp_path / "in").iterdir())
    assert content(tmp_path / "out") == content(tmp_path / "alone")


def test_killed_batches_end_as_undisturbed_ones() -> None:
    program = Path(__file__).parents[1] / "long" / "kill_upscale.py"
    done = subprocess.run(
        [sys.executable, program, "--rounds", "3"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rounds ended as an undisturbed batch" in done.stdout
