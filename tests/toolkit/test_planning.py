"""Files, folders and globs become jobs: names, trees, and what is refused before anything is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.batch import Job, Naming, plan, planning, run_all
from restore.errors import UsageError
from restore.files import sha256
from restore.inference import load


def picture(path: Path, width: int = 9, height: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def jobs(
    *inputs: object,
    out: Path | None = None,
    suffix: str | None = None,
    form: str | None = None,
    recursive: bool = False,
) -> dict[Path, Path]:
    found = plan(map(str, inputs), Naming("_x4", out, suffix, form), recursive=recursive)
    assert not found.settled
    return {job.source: job.destination for job in found.jobs}


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


def test_the_folder_one_is_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    assert jobs(".") == {Path("a.png"): Path("../in_x4/a.png")}
    monkeypatch.chdir(tmp_path / "in" / "sub")
    assert jobs("..") == {Path("../a.png"): Path("../../in_x4/a.png")}


def test_suffix_and_format_name_results(tmp_path: Path) -> None:
    photo, out = picture(tmp_path / "in/a.jpg"), tmp_path / "out"
    assert jobs(photo, suffix="_big", form="PNG") == {photo: tmp_path / "in/a_big.png"}
    assert jobs(photo, out=out, form="webp") == {photo: out / "a.webp"}
    assert jobs(photo, out=out, suffix="_big") == {photo: out / "a_big.jpg"}
    assert jobs(tmp_path / "in", suffix="_big") == {photo: tmp_path / "in_big/a.jpg"}
    assert jobs(tmp_path / "in", out=out, suffix="_big") == {photo: out / "a_big.jpg"}


@pytest.mark.parametrize(
    ("naming", "words"),
    [
        ({"format": "xyz"}, "cannot write the format 'xyz'; set `format` to one of avif"),
        ({"suffix": "_x4/large"}, "is not part of a name"),
        ({"format": "png", "out": Path("a.jpg")}, "contradict each other"),
    ],
)
def test_names_that_cannot_be_are_refused(naming: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Naming("_x4", **naming)


def test_results_inside_the_folder_are_not_taken_as_inputs(tmp_path: Path) -> None:
    first = picture(tmp_path / "a.png")
    picture(tmp_path / "done/a.png")
    assert jobs(tmp_path, out=tmp_path / "done", recursive=True) == {first: tmp_path / "done/a.png"}


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path: Path) -> None:
    seen = picture(tmp_path / "in/a.png")
    hidden = picture(tmp_path / "in/._a.png")
    picture(tmp_path / "in/.thumbnails/a.png")
    assert jobs(tmp_path / "in", recursive=True) == {seen: tmp_path / "in_x4/a.png"}
    assert jobs(hidden) == {hidden: tmp_path / "in/._a_x4.png"}


def test_linked_files_are_taken_and_linked_folders_are_not_entered(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    photo = picture(folder / "a.png")
    (folder / "link.png").symlink_to(photo)
    (folder / "again").symlink_to(folder)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    found = jobs(folder, recursive=True)
    assert {source.name for source in found} == {"a.png", "link.png", "loop.png"}


def test_a_glob_that_the_shell_left_is_expanded(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg")
    (tmp_path / "c.txt").write_text("")
    assert {source.name for source in jobs(tmp_path / "*.*")} == {"a.png", "b.jpg"}


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo [1].png")
    assert jobs(photo) == {photo: tmp_path / "photo [1]_x4.png"}


def failures(*inputs: Path, **naming: Any) -> dict[str, str]:
    """The inputs that fail before anything is done, and why."""
    found = plan(map(str, inputs), Naming("_x4", **naming))
    return {outcome.source.name: str(outcome.error) for outcome in found.settled}


def test_all_inputs_that_share_a_result_fail_at_once_and_the_others_are_done(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "b.webp", "b.bmp", "c.png"):
        picture(tmp_path / "in" / name)
    found = plan([str(tmp_path / "in")], Naming("_x4", format="png"))
    assert [job.source.name for job in found.jobs] == ["c.png"]
    failed = {outcome.source.name: str(outcome.error) for outcome in found.settled}
    assert sorted(failed) == ["a.jpg", "a.png", "b.bmp", "b.jpg", "b.webp"]
    assert f"that of '{tmp_path / 'in' / 'a.png'}' would both be written to" in failed["a.jpg"]
    assert "b.bmp' and '" in failed["b.jpg"]
    assert "set `keep_suffix=True` to keep both" in failed["a.jpg"]


def test_kept_suffixes_tell_results_apart(tmp_path: Path) -> None:
    jpg, png = picture(tmp_path / "in" / "a.jpg"), picture(tmp_path / "in" / "a.png")
    found = plan([str(tmp_path / "in")], Naming("_x4", format="png", keep_suffix=True))
    results = {job.source: job.destination for job in found.jobs}
    assert results == {jpg: tmp_path / "in_x4" / "a.jpg.png", png: tmp_path / "in_x4" / "a.png"}
    found = plan([str(jpg), str(png)], Naming("_x4", format="png", keep_suffix=True))
    assert [job.destination.name for job in found.jobs] == ["a.jpg_x4.png", "a.png_x4.png"]


@pytest.mark.parametrize(
    ("one", "other"), [("p.png", "p.png"), ("a.png", "A.png"), ("caf\u00e9.png", "cafe\u0301.png")]
)
def test_names_that_are_one_file_on_some_systems_share_a_result(tmp_path: Path, one: str, other: str) -> None:
    first, second = picture(tmp_path / "1" / one), picture(tmp_path / "2" / other)
    failed = failures(first, second, out=tmp_path / "out")
    assert len(failed) == len({one, other})
    assert all("would both be written to" in reason for reason in failed.values())


def test_subfolders_that_are_not_searched_are_noted(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "sub" / "b.png")
    (tmp_path / "in" / ".hidden").mkdir()
    found = plan([str(tmp_path / "in")], Naming("_x4"))
    assert found.notes == (
        f"{tmp_path / 'in'}: 1 subfolder is not searched; set `recursive=True` to include subfolders",
    )
    assert plan([str(tmp_path / "in")], Naming("_x4"), recursive=True).notes == ()


def test_a_glob_below_a_folder_with_brackets_finds_its_images(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photos [2024]" / "a*b" / "photo.png")
    picture(tmp_path / "photos 2" / "a*b" / "other.png")
    for pattern in ("photos [2024]/a*b/*.png", "photos [2024]/**/*.png", "photos [2024]/*/photo.*"):
        assert list(jobs(tmp_path / pattern)) == [photo], pattern
    assert [job.name for job in jobs(tmp_path / "photos [1-3]" / "*" / "*.png")] == ["other.png"]


def test_names_with_escape_sequences_are_shown_escaped(tmp_path: Path) -> None:
    name = "a\x1b[31m\nerror: forged.png"
    found = plan([str(tmp_path / name)], Naming("_x4"))
    assert "\x1b" not in str(found.settled[0].error)
    assert "\n" not in str(found.settled[0].error)


def test_the_same_input_twice_is_done_once(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    assert jobs(photo, photo) == {photo: tmp_path / "a_x4.png"}


def test_the_work_of_a_plan_grows_as_the_number_of_files_of_one_name(tmp_path: Path) -> None:
    def calls(count: int) -> int:
        """Calls of functions of the module, and steps of its generators."""
        counted = 0

        def count_call(frame: Any, event: str, _: object) -> None:
            nonlocal counted
            counted += event == "call" and frame.f_code.co_filename == planning.__file__

        before = sys.getprofile()
        sys.setprofile(count_call)
        try:
            assert len(jobs(*folders[:count])) == count
        finally:
            sys.setprofile(before)
        return counted

    folders = [picture(tmp_path / str(number) / "im1.png").parent for number in range(40)]
    assert calls(40) <= 2 * calls(20)


def test_files_of_one_name_are_hashed_once_to_find_what_a_result_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [picture(tmp_path / str(number) / "im1.png", 9 + number) for number in range(4)]
    made = [tmp_path / "done" / str(number) / "im1.png" for number in range(4)]
    beside = tmp_path / "3" / "im1_x2.png"
    pairs = [*zip(photos, made, strict=True), (photos[3], beside)]
    list(run_all([Job(source, result) for source, result in pairs], load("bicubic", scale=2, device="cpu")))
    hashed: list[Path] = []

    def count_hash(file: Path) -> str:
        hashed.append(file)
        return sha256(file)

    monkeypatch.setattr(planning, "sha256", count_hash)
    found = plan(map(str, [*photos, *made, beside]), Naming("_x4"))
    assert [job.source for job in found.jobs] == photos
    reasons = {outcome.source: outcome.skipped for outcome in found.settled}
    for source, result in pairs:
        assert f"was made by restore of '{source}'" in reasons[result]
    assert sorted(hashed) == sorted([*photos, *made])


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(photo, out=photo)
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(tmp_path, out=tmp_path / "." / "")
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(photo, suffix="")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(photo)
    with pytest.raises(UsageError, match="would overwrite the input"):
        jobs(photo, out=tmp_path / "out")


def test_one_file_name_for_two_inputs_is_refused(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    with pytest.raises(UsageError, match="names one image, but there are 2 inputs; name a folder"):
        jobs(first, second, out=tmp_path / "y.png")


def test_a_result_is_not_written_through_a_link_out_of_the_named_folder(tmp_path: Path) -> None:
    photos, out, elsewhere = tmp_path / "mine" / "in", tmp_path / "mine" / "out", tmp_path / "elsewhere"
    for folder in (photos / "linked" / "deep", photos / "inside", out / "real", elsewhere):
        folder.mkdir(parents=True)
    picture(photos / "linked" / "deep" / "a.png")
    kept = picture(photos / "inside" / "b.png")
    (out / "linked").symlink_to(elsewhere)
    (out / "inside").symlink_to(out / "real")  # a link that stays in the folder is no danger
    found = plan([str(photos)], Naming("_x4", out), recursive=True)
    assert [job.source for job in found.jobs] == [kept]
    assert "would be written through the link" in str(found.settled[0].error)
    (tmp_path / "named").symlink_to(out / "real")
    assert len(plan([str(photos)], Naming("_x4", tmp_path / "named"), recursive=True).jobs) == 2
    (tmp_path / "mine" / "in_x4").symlink_to(elsewhere)
    assert plan([str(photos)], Naming("_x4"), recursive=True).jobs == []


def test_a_name_that_would_be_too_long_fails_alone(tmp_path: Path) -> None:
    long, short = picture(tmp_path / f"{'ä' * 125}.png"), picture(tmp_path / "a.png")
    found = plan([str(long), str(short)], Naming("_x4"))
    assert [job.source for job in found.jobs] == [short]
    assert "would have 257 bytes, and file systems take 255" in str(found.settled[0].error)
    assert [job.source for job in plan([str(long)], Naming("_x4", tmp_path / "b.png")).jobs] == [long]


def test_a_file_that_loops_and_a_missing_one_are_no_reason_to_stop(tmp_path: Path) -> None:
    loop, photo = tmp_path / "loop.png", picture(tmp_path / "a.png")
    loop.symlink_to(loop)
    found = plan([str(loop), str(tmp_path / "none.png"), str(photo)], Naming("_x4"))
    assert [job.source for job in found.jobs] == [loop, photo]
    assert [outcome.source.name for outcome in found.settled] == ["none.png"]
