"""`restore degrade`: test images on disk, with a record of what was done to each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from restore.data import Degradation, find_degradation, pairs
from restore.data.degrading import RECORD, degrade_folder
from restore.errors import UsageError
from restore.images import read
from restore.registry import discover

Draw = Callable[..., Path]
OPTIONS = {"jpeg": {"quality": "30:60"}}


def chain() -> Degradation:
    return find_degradation("bicubic+jpeg", discover(), 2, OPTIONS)


@pytest.fixture
def photos(tmp_path: Path, draw: Draw) -> Path:
    for number, name in enumerate(("a", "b", "sub/c")):
        draw(tmp_path / "photos" / f"{name}.png", 33, 40, number)
    return tmp_path / "photos"


def test_seed_zero_makes_the_inputs_of_an_evaluation_and_records_what_was_drawn(
    photos: Path, tmp_path: Path
) -> None:
    outcomes = list(degrade_folder(photos, tmp_path / "out", chain()))
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    lines = [json.loads(line) for line in (tmp_path / "out" / RECORD).read_text().splitlines()]
    for evaluated, outcome, line in zip(pairs(photos, chain()), outcomes, lines, strict=True):
        assert torch.equal(read(outcome.destination).color, evaluated.degraded)
        assert line["file"] == evaluated.name
        assert line["parameters"] == outcome.parameters == evaluated.parameters
        assert 30 <= line["parameters"]["jpeg.quality"] <= 60


def test_results_are_kept_and_missing_or_unrecorded_ones_are_made_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = {item.destination: item.destination.read_bytes() for item in degrade_folder(photos, out, chain())}
    record = (out / RECORD).read_text().splitlines()
    (out / RECORD).write_text("\n".join([*record[:2], record[2][:20]]))
    again = list(degrade_folder(photos, out, chain()))
    assert [outcome.status for outcome in again] == ["existing", "existing", "done"]
    assert {item.destination: item.destination.read_bytes() for item in again} == first
    assert [item.status for item in degrade_folder(photos, out, chain())] == ["existing"] * 3


def test_results_of_other_or_changed_images_of_the_same_name_are_made_again(
    photos: Path, tmp_path: Path, draw: Draw
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    list(degrade_folder(photos, out, chain()))
    draw(photos / "a.png", 33, 40, 7)
    changed = list(degrade_folder(photos, out, chain()))
    assert [item.status for item in changed] == ["done", "existing", "existing"]
    for number, name in enumerate(("a", "b", "sub/c")):
        draw(other / f"{name}.png", 33, 40, 10 + number)
    assert [item.status for item in degrade_folder(other, out, chain())] == ["done"] * 3
    for evaluated, item in zip(pairs(other, chain()), degrade_folder(other, out, chain()), strict=True):
        assert item.status == "existing"
        assert torch.equal(read(item.destination).color, evaluated.degraded)


def test_results_in_a_record_without_hashes_are_made_again(photos: Path, tmp_path: Path) -> None:
    record = tmp_path / "out" / RECORD
    list(degrade_folder(photos, tmp_path / "out", chain()))
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [len(line.pop("sha256")) for line in lines] == [64] * 3
    record.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert [item.status for item in degrade_folder(photos, tmp_path / "out", chain())] == ["done"] * 3
    assert [item.status for item in degrade_folder(photos, tmp_path / "out", chain())] == ["existing"] * 3


def test_another_seed_does_not_mix_with_earlier_results(photos: Path, tmp_path: Path) -> None:
    list(degrade_folder(photos, tmp_path / "out", chain()))
    with pytest.raises(UsageError, match="made with seed '0', not '1'"):
        degrade_folder(photos, tmp_path / "out", chain(), seed=1)
    list(degrade_folder(photos, tmp_path / "other", chain(), seed=1))
    assert (tmp_path / "other" / "a.png").read_bytes() != (tmp_path / "out" / "a.png").read_bytes()


def test_folders_with_other_files_and_nested_folders_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="has other files"):
        degrade_folder(photos, tmp_path / "used", chain())
    with pytest.raises(UsageError, match="mixed with their sources"):
        degrade_folder(photos, photos / "out", chain())


def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_degraded(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "b.png").write_bytes(b"not an image")
    command = [
        sys.executable,
        "-m",
        "restore",
        "degrade",
        str(photos),
        "-o",
        str(tmp_path / "out"),
        "--scale",
        "2",
    ]
    command += ["--degradation", "bicubic+jpeg", "--set", "jpeg.quality=30:60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "2 degraded, 0 kept, 1 failed\n"
    assert "b.png" in done.stderr
    assert sorted(file.name for file in (tmp_path / "out").rglob("*.png")) == ["a.png", "c.png"]


def test_a_result_that_was_removed_is_made_again(photos: Path, tmp_path: Path) -> None:
    (first, *_) = list(degrade_folder(photos, tmp_path / "out", chain()))
    content = first.destination.read_bytes()
    first.destination.unlink()
    again = list(degrade_folder(photos, tmp_path / "out", chain()))
    assert [item.status for item in again] == ["done", "existing", "existing"]
    assert first.destination.read_bytes() == content
