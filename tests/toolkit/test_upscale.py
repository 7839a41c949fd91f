"""`restore upscale`: one failure never stops the others, nothing is lost, and everything is told once."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore import faithfulness
from restore.images import Photo, read
from restore.inference import load
from restore.inference.sizing import resized
from restore.resizing import imresize

Upscale = Callable[..., Any]

COMMAND = [sys.executable, "-m", "restore", "upscale", "--model", "bicubic", "--device", "cpu"]


def picture(path: Path, width: int = 9, height: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.fixture(autouse=True)
def pillow_as_it_was() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


# What is made


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ([], "a_x4.png", (36, 28)),
        (["--scale", "3"], "a_x3.png", (27, 21)),
        (["--scale", "1.5"], "a_x1.5.png", (14, 11)),
        (["--width", "90"], "a_w90.png", (90, 70)),
        (["--height", "14"], "a_h14.png", (18, 14)),
        (["--width", "20", "--height", "30"], "a_20x30.png", (20, 30)),
        (["--suffix", " large", "--format", "webp"], "a large.webp", (36, 28)),
        (["--format", "jpg", "--quality", "60"], "a_x4.jpg", (36, 28)),
    ],
)
def test_size_name_and_format_are_those_asked_for(
    tmp_path: Path, upscale: Upscale, options: list[str], name: str, expected: tuple[int, int]
) -> None:
    photo = picture(tmp_path / "a.png")
    done = upscale(photo, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / name))
    assert size(tmp_path / name) == expected


def test_a_scale_that_the_model_lacks_is_reduced_from_the_next_larger_one(
    tmp_path: Path, upscale: Upscale
) -> None:
    done = upscale(
        picture(tmp_path / "a.png", 20, 16), "--model", "srcnn", "--scale", "3", "--precision", "fp32"
    )
    assert done.returncode == 0
    assert "the model works at 4x; results are downscaled to 3x" in done.stderr
    large = load("srcnn", device="cpu", precision="fp32").upscale(read(tmp_path / "a.png")).color
    levels = large if large.dtype == torch.uint8 else (large * 255).round()
    expected = imresize(levels.float() / 255, (48, 60)).clamp(0, 1)
    assert (read(tmp_path / "a_x3.png").color - expected).abs().max() <= 0.51 / 255


def test_a_size_beyond_the_model_is_told(tmp_path: Path, upscale: Upscale) -> None:
    done = upscale(picture(tmp_path / "a.png"), "--model", "srcnn", "--width", "90")
    assert size(tmp_path / "a_w90.png") == (90, 70)
    assert "the model enlarges it 4x, the remaining 2.5x is bicubic" in done.stderr


def test_quality_makes_smaller_files(tmp_path: Path, upscale: Upscale) -> None:
    photo = picture(tmp_path / "a.png", 60, 60)
    for quality in ("20", "90"):
        assert upscale(photo, "-o", tmp_path / f"{quality}.jpg", "--quality", quality).returncode == 0
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "90.jpg").stat().st_size / 2


@pytest.mark.parametrize("levels", [True, False])
def test_transparent_color_does_not_bleed_when_a_result_is_reduced(levels: bool) -> None:
    color = torch.zeros(1, 3, 24, 24)
    color[..., :12] = torch.tensor([0.8, 0.4, 0.2])[None, :, None, None]
    alpha = (torch.arange(24) < 12).float().expand(1, 1, 24, 24)
    if levels:
        color, alpha = (color * 255).to(torch.uint8), (alpha * 255).to(torch.uint8)
    photo = Photo(color=color, alpha=alpha, dpi=(240.0, 240.0))
    result = resized(photo, (17, 19))
    assert result.alpha is not None
    assert result.color.shape == (1, 3, 19, 17)
    assert result.dpi == (170.0, 190.0)
    full = 255 if levels else 1
    visible = (result.alpha > 0.02 * full).expand_as(result.color)
    expected = photo.color[..., :1, :1].expand_as(result.color).float()
    assert (result.color.float() - expected)[visible].abs().max() <= 0.01 * full
    assert result.alpha.max() == full
    assert result.alpha.min() == 0


def test_small_files_are_smaller_and_hold_the_same(tmp_path: Path, upscale: Upscale) -> None:
    photo = picture(tmp_path / "a.png", 60, 60)
    assert upscale(photo, "-o", tmp_path / "fast.png").returncode == 0
    assert upscale(photo, "-o", tmp_path / "small.png", "--small").returncode == 0
    assert (tmp_path / "small.png").stat().st_size < (tmp_path / "fast.png").stat().st_size
    with Image.open(tmp_path / "small.png") as small, Image.open(tmp_path / "fast.png") as fast:
        assert small == fast


def test_the_result_goes_to_stdout_and_nothing_else_does(tmp_path: Path, upscale: Upscale) -> None:
    done = upscale(picture(tmp_path / "a.png"))
    assert done.stdout.startswith(str(tmp_path / "a_x4.png"))
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


# What fails


def bomb(path: Path) -> None:
    """A small file of 2,500 megapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")


def cannot_be_read(folder: Path) -> dict[str, str]:
    """Files that cannot be done, and what is said of them."""
    whole = picture(folder / "cut.png", 60, 60).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    bomb(folder / "bomb.png")
    return {
        "cut.png": "cut short",
        "empty.png": "empty",
        "text.jpg": "not an image",
        "loop.png": "symbolic links",
        "gone.png": "no such file",
        "pipe.png": "not a regular file",
        "bomb.png": "pixels",
    }


def test_good_files_are_done_and_each_bad_one_is_named_once_with_its_reason(
    tmp_path: Path, upscale: Upscale
) -> None:
    folder, results = tmp_path / "in", tmp_path / "in_x4"
    bad = cannot_be_read(folder)
    good = [picture(folder / name) for name in ("a.png", "b b.jpg", "ü 日本.webp")]
    picture(folder / "jpeg.jpg").rename(folder / "really a jpeg.png")
    Image.new("L", (1, 1)).save(folder / "one.png")
    done = upscale(folder)
    assert done.returncode == 1
    for name, reason in bad.items():
        told = [line for line in done.stderr.splitlines() if f"/{name}" in line]
        assert len(told) == 1, done.stderr
        assert reason in told[0]
    assert done.stderr.splitlines()[-1] == f"5 done, {len(bad)} failed: each is named above"
    for file in good:
        assert size(results / file.name) == (36, 28)
    assert size(results / "one.png") == (4, 4)
    assert size(results / "really a jpeg.png") == (36, 28)
    assert {"a.png", "b b.jpg", "ü 日本.webp", "one.png", "really a jpeg.png"} == names(results) - {
        ".restore.jsonl"
    }
    assert "Traceback" not in done.stderr
    again = upscale(folder, "--json")
    assert again.returncode == 1
    assert {Path(row["source"]).name for row in again.rows if row["status"] == "failed"} == set(bad)
    assert sum(row["status"] == "skipped" for row in again.rows) == 5


def test_a_note_about_several_files_names_each_of_them(tmp_path: Path, upscale: Upscale) -> None:
    whole = picture(tmp_path / "in" / "a.jpg", 200, 160).read_bytes()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "in" / name).write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    done = upscale(tmp_path / "in")
    assert done.returncode == 0
    first, others = [line for line in done.stderr.splitlines() if "was cut off" in line]
    assert "a.jpg: its file" in first
    assert "also " in others
    assert others.count("b.jpg") == others.count("c.jpg") == 1


def test_a_folder_without_a_sound_image_leaves_nothing_behind(tmp_path: Path, upscale: Upscale) -> None:
    cannot_be_read(tmp_path / "in")
    assert upscale(tmp_path / "in", "-o", tmp_path / "new" / "out").returncode == 1
    assert not (tmp_path / "new").exists()


def test_debug_shows_where_a_file_failed(tmp_path: Path, upscale: Upscale) -> None:
    (tmp_path / "a.png").write_text("no image")
    done = upscale(tmp_path / "a.png", debug=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in upscale(tmp_path / "a.png").stderr


def test_an_image_beyond_max_pixels_is_refused(tmp_path: Path, upscale: Upscale) -> None:
    photo = picture(tmp_path / "a.png", 20, 20)
    refused = upscale(photo, "--max-pixels", "399")
    assert refused.returncode == 1
    assert "399 pixels" in refused.stderr
    assert upscale(photo, "--max-pixels", "400").returncode == 0


def without_privileges() -> None:
    """Root reads everything: give that up, for this process and what it starts."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, which fails for anybody else


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png")
    picture(folder / "secret.png").chmod(0)
    picture(folder / "closed" / "b.png")
    (folder / "closed").chmod(0)
    try:
        done = subprocess.run(
            [*COMMAND, folder, "-r"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=without_privileges,
        )
    finally:
        (folder / "closed").chmod(0o700)
    assert done.returncode == 1
    assert names(tmp_path / "in_x4") == {"a.png"}
    for name in ("secret.png", "closed"):
        told = [line for line in done.stderr.splitlines() if f"/{name}" in line]
        assert len(told) == 1, done.stderr
        assert "Permission denied" in told[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.png"], 1, "there is no such file or folder"),
        (["a.png", "--model", "enhancnet"], 2, "Did you mean 'enhancenet'?"),
        (["a.png", "--tile", "none"], 2, "neither 'auto', 'off' nor a number"),
        (["a.png", "--scale", "0"], 2, "cannot work at scale 0"),
        (["a.png", "--scale", "nan"], 2, "cannot work at scale nan"),
        (["a.png", "--scale", "2", "--width", "9"], 2, "--scale and --width or --height set the size twice"),
        (["a.png", "--width", "0"], 2, "a width of 0 is not a size; set --width to 1 or more"),
        (
            ["a.png", "--model", "srcnn", "--scale", "8"],
            2,
            "model 'srcnn' cannot work at scale 8: it has weights for 4x; set --scale to 4 or less",
        ),
        (["a.png", "--quality", "0"], 2, "--quality"),
        (["a.png", "--format", "xyz"], 2, "cannot write the format 'xyz'"),
        (["a.png", "--device", "abacus"], 2, "there is no device 'abacus'"),
        (["a.png", "-o", "a.png"], 2, "would overwrite the input"),
        (["a.png", "-o", "a.xyz"], 2, "cannot write '.xyz' files"),
        (["a.png", "-", "-o", "out"], 2, "give one input"),
        (["a.png", "--json", "-o", "-"], 2, "would both go to standard output"),
        ([".", "-o", "-"], 2, "is a folder"),
    ],
)
def test_wrong_requests_get_one_sentence(
    tmp_path: Path, upscale: Upscale, arguments: list[str], code: int, words: str
) -> None:
    picture(tmp_path / "a.png")
    done = upscale(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == {"a.png"}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, upscale: Upscale, name: str) -> None:
    photo = picture(tmp_path / name)
    (tmp_path / "out").write_text("a file where a folder should be")
    done = upscale(photo, "-o", tmp_path / "out" / "deeper" / name)
    assert done.returncode == 1
    assert f"{tmp_path / 'out' / 'deeper' / name}: cannot write the result: Not a directory" in done.stderr


@pytest.mark.parametrize("options", [[], ["--strip"], ["--format", "webp"]])
def test_a_disk_that_is_full_fails_what_does_not_fit_and_leaves_no_part(
    tmp_path: Path, upscale: Upscale, options: list[str]
) -> None:
    resource = pytest.importorskip("resource")
    small, large = picture(tmp_path / "in/a.png", 20, 20), picture(tmp_path / "in/b.png", 150, 150)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        done = upscale(small.parent, *options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.returncode == 1
    result = (tmp_path / "in_x4" / large.name).with_suffix(".webp" if "webp" in options else ".png")
    assert (
        f"{result}: cannot write it: File too large; free some space or choose another folder" in done.stderr
    )
    assert names(tmp_path / "in_x4") - {".restore.jsonl"} == {"a" + result.suffix}
    assert upscale(small.parent, *options).returncode == 0
    assert size(result) == (600, 600)


def test_ctrl_c_exits_130_and_leaves_no_part_of_a_file(tmp_path: Path, upscale: Upscale) -> None:
    for index in range(40):
        picture(tmp_path / "in" / f"{index:02}.png", 500, 500)
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path / "in")],
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
        assert size(file) == (2000, 2000)


def test_a_size_that_no_machine_has_memory_for_is_refused_with_the_figure_of_the_dry_run(
    tmp_path: Path, upscale: Upscale
) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png")
    before = names(tmp_path)
    refused = upscale(folder, "--width", "1000000")
    planned = upscale(folder, "--width", "1000000", "--dry-run")
    assert refused.returncode == planned.returncode == 1
    amounts = [re.findall(r"takes about ([\d.,]+ TiB) of memory", done.stderr) for done in (refused, planned)]
    assert amounts[0] == amounts[1] != []
    assert "reduce --scale, --width or --height" in refused.stderr
    assert names(tmp_path) == before


def test_the_estimate_grows_with_the_result(tmp_path: Path, upscale: Upscale) -> None:
    photo = picture(tmp_path / "a.png")
    small, large = (
        upscale(photo, "--width", width, "--dry-run", "--json").rows[0]["memory"] for width in (100, 10_000)
    )
    assert large - small > 3 * 10_000 * 7777


def test_results_of_one_name_fail_and_the_rest_of_the_folder_is_done(
    tmp_path: Path, upscale: Upscale
) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "b.webp", "c.png"):
        picture(tmp_path / "in" / name)
    done = upscale(tmp_path / "in", "--format", "png")
    assert done.returncode == 1
    assert names(tmp_path / "in_x4") == {"c.png"}
    assert sum("would both be written to" in line for line in done.stderr.splitlines()) == 4
    assert "set --keep-suffix to keep both" in done.stderr
    kept = upscale(tmp_path / "in", "--format", "png", "--keep-suffix")
    assert kept.returncode == 0, kept.stderr
    assert names(tmp_path / "in_x4") == {"a.jpg.png", "a.png", "b.jpg.png", "b.webp.png", "c.png"}


def test_subfolders_that_are_passed_over_are_noted(tmp_path: Path, upscale: Upscale) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "sub" / "b.png")
    done = upscale(tmp_path / "in")
    assert done.returncode == 0
    assert "1 subfolder is not searched; set --recursive to include subfolders" in done.stderr
    assert upscale(tmp_path / "in", "-r").stderr == ""


def test_a_name_cannot_forge_lines_or_move_the_cursor(tmp_path: Path, upscale: Upscale) -> None:
    name = "a\x1b[31m\nerror: forged"
    picture(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / f"{name}2.png").write_text("no image")
    done = upscale(tmp_path / "in")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("error: forged")]
    assert len(done.stdout.splitlines()) == 1


def test_a_check_that_fails_ends_no_batch(
    tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    monkeypatch.setattr(faithfulness, "compare", lambda *_: 1 / 0)
    done = upscale(tmp_path / "in", "--check")
    assert done.returncode == 1
    assert done.stderr.count("unexpected ZeroDivisionError") == 2
    assert names(tmp_path / "in_x4") == {"a.png", "b.png"}


# Streams


def test_an_image_goes_from_stdin_to_stdout(tmp_path: Path, upscale: Upscale) -> None:
    photo = picture(tmp_path / "a.jpg")
    done = subprocess.run(
        [*COMMAND, "-"], input=photo.read_bytes(), capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    upscale(photo, "-o", tmp_path / "b.jpg")
    with Image.open(BytesIO(done.stdout)) as image, Image.open(tmp_path / "b.jpg") as expected:
        assert image.format == "JPEG"
        assert image.tobytes() == expected.tobytes()


def test_stdin_may_go_to_a_file_and_a_file_to_stdout(
    tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png")
    with photo.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        done = upscale("-", "-o", tmp_path / "b.jpg", "--json")
    assert (done.rows[0]["source"], done.rows[0]["status"]) == ("-", "done")
    assert size(tmp_path / "b.jpg") == (36, 28)
    content = BytesIO()
    with TextIOWrapper(content) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert upscale(photo, "-o", "-", "--format", "webp").stderr == ""
        with Image.open(content) as image:
            assert (image.format, image.size) == ("WEBP", (36, 28))


def test_what_stdin_holds_is_named_when_it_is_no_image(
    tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("no image")
    with (tmp_path / "text").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        done = upscale("-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "standard input" in done.stderr
    assert "not an image" in done.stderr
    assert str(tmp_path.parent.parent) not in done.stderr


# Before anything is done


def test_a_dry_run_lists_the_work_and_writes_nothing(tmp_path: Path, upscale: Upscale) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png", 30, 20)
    picture(folder / "b.jpg", 60, 40)
    (folder / "text.jpg").write_text("no image")
    bomb(folder / "bomb.png")
    upscale(folder / "a.png", "-o", tmp_path / "in_x4")
    before = names(tmp_path)
    done = upscale(folder, "--dry-run", "--json")
    assert done.returncode == 1
    rows = {Path(row["source"]).name: row for row in done.rows}
    statuses = {name: row["status"] for name, row in rows.items()}
    failing = {"text.jpg": "failed", "bomb.png": "failed"}
    assert statuses == {"a.png": "skipped", "b.jpg": "planned"} | failing
    planned = rows["b.jpg"]
    assert (planned["source_size"], planned["size"]) == ([60, 40], [240, 160])
    assert planned["destination"] == str(tmp_path / "in_x4" / "b.jpg")
    assert planned["seconds"] > 0
    assert "1 to do, 1 skipped, 2 failed: 0.0 megapixels, about " in done.stderr
    assert names(tmp_path) == before
    told = upscale(folder / "b.jpg", "--dry-run").stdout
    assert "60x40  ->  " in told
    assert "240x160  about " in told


def test_the_estimate_of_memory_is_near_what_is_used(tmp_path: Path) -> None:
    """Measured by the process itself, as the system counts it."""
    photo = picture(tmp_path / "a.png", 1500, 1000)
    program = (
        "import resource, sys; from restore.cli import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def run(*options: str) -> list[str]:
        command = [sys.executable, "-c", program, *COMMAND[3:], str(photo), "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        return done.stdout.splitlines()

    estimate = json.loads(run("--dry-run")[0])["memory"]
    used = int(run()[1]) * (1 if sys.platform == "darwin" else 1024)
    assert 0.6 < estimate / used < 1.7


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_side_that_the_format_cannot_store_is_refused_before_restoring(
    tmp_path: Path, upscale: Upscale, dry: list[str]
) -> None:
    photo = picture(tmp_path / "a.png", 20, 16)
    done = upscale(photo, "--model", "bicubic", "--format", "webp", "--width", "16384", "--height", "8", *dry)
    assert done.returncode == 1
    assert "too large for .webp, which stores at most 16383 pixels per side" in done.stderr + done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
