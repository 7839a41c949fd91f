"""What a run reports: TensorBoard events, samples, gradient shares, warnings, and the progress display."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch import Tensor, nn

from restore.cli.training_display import Lines
from restore.config import TrainingConfig
from restore.faithfulness import color_shift
from restore.images import read
from restore.inference import load
from restore.registry import Registry
from restore.report import Progress, training_line
from restore.training import Monitor, train
from restore.training.events import Events, forget_events
from restore.training.log import RunLog
from restore.training.measures import gradient_shares
from restore.training.processes import ProcessGroup
from restore.training.setup import make_fabric, set_up
from restore.training.validation import crops, strip
from restore.training.watch import BLIND, LINES, SEEING, STEPS, VISIBLE, Watch

Configure = Callable[..., TrainingConfig]
Draw = Callable[..., Path]
Line = dict[str, Any]


def log(run: Path) -> list[Line]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def raw_points(run: Path) -> dict[str, list[int]]:
    """Name -> the steps of everything in the event files, whatever was declared void."""
    points: dict[str, list[int]] = {}
    for file in sorted(run.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                points.setdefault(value.tag, []).append(event.step)
    return points


# TensorBoard -----------------------------------------------------------------------------------------


def test_tensorboard_shows_every_value_of_the_log_and_every_sample_image(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    run = tmp_path / "run"
    train(configure(loss="l1-toy", val=[photos], validate_every=3), toys, run)
    events = EventAccumulator(str(run)).Reload()
    lines = [line for line in log(run) if "steps" in line]
    validations = [line for line in log(run) if "validation" in line]
    (measured,) = validations[0]["validation"]
    names = {*lines[0], f"validation/{measured}"} - {"step", "steps"}
    assert set(events.Tags()["scalars"]) == names
    for name in names & set(lines[1]):
        points = [(point.step, point.value) for point in events.Scalars(name)]
        assert points == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines]
    assert [point.step for point in events.Scalars(f"validation/{measured}")] == [3, 6]
    for picture in events.Images("samples"):
        assert picture.encoded_image_string == (run / "samples" / f"{picture.step:08}.png").read_bytes()


def test_a_run_that_goes_on_from_an_earlier_step_leaves_no_point_twice_and_none_out(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    run = tmp_path / "run"
    config = configure(val=[photos], validate_every=1)
    train(config, toys, run)
    (run / "checkpoints" / "00000006" / "average.safetensors").write_bytes(b"")
    (run / "samples" / "00000009.png").write_bytes(b"of steps that this run lost")
    train(config, toys, run, resume=True)
    assert len(list(run.glob("events.out.tfevents.*"))) == 2
    assert set(map(tuple, raw_points(run).values())) == {(1, 2, 3, 4, 5, 6)}
    assert sorted(path.stem for path in (run / "samples").iterdir()) == [f"{step:08}" for step in range(1, 7)]


def test_a_running_tensorboard_drops_the_steps_that_are_repeated(tmp_path: Path) -> None:
    before = Events(tmp_path, 0)
    before.values(1, {"loss": 1.0})
    before.values(4, {"loss": 4.0})
    events = EventAccumulator(str(tmp_path)).Reload()
    Events(tmp_path, 2).values(3, {"loss": 3.0})
    assert [point.step for point in events.Reload().Scalars("loss")] == [1, 3]


@pytest.mark.parametrize("lost", [1, 4, 20])
def test_a_record_that_a_kill_truncated_is_dropped(tmp_path: Path, lost: int) -> None:
    events = Events(tmp_path, 0)
    events.values(1, {"loss": 1.0})
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    events.values(2, {"loss": 2.0})
    file.write_bytes(file.read_bytes()[:-lost])
    forget_events(tmp_path, 2)
    assert file.read_bytes() == whole


def test_a_file_of_events_is_closed_before_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, closed, opened, replaced = list[Any](), list[bool](), Path.open, Path.replace

    def see_opened(path: Path, *arguments: Any, **more: Any) -> Any:
        files.append(opened(path, *arguments, **more))
        return files[-1]

    def see_replaced(path: Path, target: Path) -> Path:
        closed.extend(file.closed for file in files)
        return replaced(path, target)

    Events(tmp_path, 0).values(1, {"loss": 1.0})
    monkeypatch.setattr(Path, "open", see_opened)
    monkeypatch.setattr(Path, "replace", see_replaced)
    forget_events(tmp_path, 2)
    assert closed
    assert all(closed)


def test_events_that_cannot_be_written_are_an_error_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Events(tmp_path / "missing", 0).values(1, {"loss": 1.0})


# Shares of the gradient ------------------------------------------------------------------------------


def backward(loss: Any) -> None:
    loss.backward()


def test_a_share_is_a_gradient_norm_divided_by_the_sum_of_all() -> None:
    generator = nn.Linear(2, 1, bias=False)
    left, right = generator.weight[0]
    terms = {"a": 3 * left + 4 * right, "b": -15 * left, "c": 0 * right, "d": torch.tensor(1.0)}
    shares = gradient_shares(terms, generator, backward)
    assert {name: float(share) for name, share in shares.items()} == {"a": 0.25, "b": 0.75, "c": 0, "d": 0}
    gradients = [generator.weight.grad]
    backward(torch.stack(list(terms.values())).sum())  # the graphs are still there
    gradients.append(generator.weight.grad)
    assert gradients[0] is None
    assert torch.equal(torch.as_tensor(gradients[1]), torch.tensor([[-12.0, 4.0]]))


def test_shares_of_terms_without_a_gradient_are_zero() -> None:
    generator = nn.Linear(1, 1)
    terms = {name: 0 * generator(torch.ones(1, 1)).sum() for name in "ab"}
    assert {float(share) for share in gradient_shares(terms, generator, backward).values()} == {0.0}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_shares_change_nothing_that_is_learnt(
    toys: Registry, configure: Configure, tmp_path: Path, precision: str
) -> None:
    lines = {}
    for every in (0, 1, 4):
        run = tmp_path / str(every)
        train(configure(loss="l1-toy", shares_every=every, precision=precision), toys, run)
        lines[every] = log(run)
    weights = {(tmp_path / str(every) / "generator.safetensors").read_bytes() for every in lines}
    assert len(weights) == 1
    shown = {
        every: [line["step"] for line in found if "share_adversarial" in line]
        for every, found in lines.items()
    }
    assert shown == {0: [], 1: [1, 2, 3, 4, 5, 6], 4: [1, 5]}
    for line in lines[1]:
        shares = [line[f"share_{name}"] for name in ("l1", "mse", "adversarial")]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) > 0


def test_a_single_term_has_no_share(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    train(configure(steps=1, shares_every=1), toys, tmp_path / "run")
    assert "share_l1" not in log(tmp_path / "run")[0]


# Color shift ------------------------------------------------------------------------------------------------


def test_a_color_shift_is_the_difference_of_mean_colors_in_levels() -> None:
    target = torch.rand(2, 3, 8, 8)
    shift = torch.tensor([5.0, -2.0, 0.0])
    found = color_shift(target + shift[:, None, None] / 255, target, torch.float32)
    assert torch.allclose(found, shift, atol=1e-3)


def test_color_shifts_of_opposite_sign_cancel_before_the_largest_is_logged(
    configure: Configure, toys: Registry, tmp_path: Path
) -> None:
    lines = list[Line]()
    records = RunLog(
        tmp_path, ProcessGroup(make_fabric(set_up(configure(), toys))), Monitor(log=lines.append), 0
    )
    for step, shifts in enumerate([[4.0, -1.0, 0.0], [-4.0, -2.0, 0.0]], 1):
        records.add(step, {"color_shift": torch.tensor(shifts), "loss": torch.tensor(float(step))})
    records.line(step=2, steps=2, batch_size=1, rate=1.0, skipped=0)
    assert (lines[0]["color_shift"], lines[0]["loss"]) == (1.5, 1.5)


# Samples ---------------------------------------------------------------------------------------------


def test_the_strip_shows_input_restored_and_target_of_each_image(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    file = draw(tmp_path / "val" / "a.png", 170, 157)
    pairs = list(crops(set_up(configure(val=[file.parent]), toys)))
    picture = strip(pairs, load("bicubic", registry=toys))
    assert picture.shape == (1, 3, 3 * 128, 128)
    enlarged, restored, target = picture.chunk(3, dim=-2)
    assert torch.allclose(enlarged.clamp(0, 1), restored, atol=1e-5)
    assert not torch.allclose(restored, target, atol=0.01)
    # The image is cropped to 168x156 first; its center begins at a multiple of the scale.
    assert torch.equal(target, read(file).color[..., 12 : 12 + 128, 20 : 20 + 128])


def test_the_strip_holds_the_first_six_images_by_name_and_small_ones_on_white(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    for number in range(7):
        draw(tmp_path / "val" / f"{number}.png", 40 if number else 20, 32, number)
    run = tmp_path / "run"
    train(configure(val=[tmp_path / "val"], steps=2, validate_every=1), toys, run)
    first, last = (read(run / "samples" / f"{step:08}.png").color for step in (1, 2))
    assert first.shape == (1, 3, 3 * 32, 6 * 40)
    targets = first[..., 2 * 32 :, :]
    assert torch.equal(targets, last[..., 2 * 32 :, :])
    assert not torch.equal(first, last)
    columns = targets.chunk(6, dim=-1)
    for number, column in enumerate(columns):
        image = read(tmp_path / "val" / f"{number}.png").color
        assert torch.allclose(column[..., : image.shape[-1]], image)
    assert columns[0][..., 20:].min() == 1


def test_a_run_without_validation_has_no_samples(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(steps=1), toys, tmp_path / "run")
    assert not (tmp_path / "run" / "samples").exists()


# Warnings --------------------------------------------------------------------------------------------


def scores(real: float, generated: float, gate: float = 1.0) -> dict[str, float | Tensor]:
    return {"d_real": real, "d_generated": generated, "gate": gate}


SEES = scores((1 + SEEING) / 2, (1 + SEEING) / 2, gate=0.0)
GUESSES = scores(0.7, 2 * BLIND - 0.71)
WORKS = scores(0.8, 0.7)


def steps_with_warnings(figures: list[dict[str, float | Tensor]]) -> dict[int, str]:
    watch = Watch()
    said = {
        step: " ".join(watch.step(each, "" if each else "the gradient of the generator"))
        for step, each in enumerate(figures, 1)
    }
    return {step: sentence for step, sentence in said.items() if sentence}


@pytest.mark.parametrize(
    ("stuck", "sentence"),
    [
        (SEES, "almost without a mistake for 300 steps (scores 0.995 on real, 0.995 on restored images)"),
        (GUESSES, "at chance level for 300 steps with its gate open (scores 0.700 on real, 0.330"),
    ],
)
def test_a_stuck_discriminator_is_reported_once_until_it_recovers(
    stuck: dict[str, float | Tensor], sentence: str
) -> None:
    said = steps_with_warnings([stuck] * 1000 + [WORKS] + [stuck] * 1000)
    assert list(said) == [STEPS, 1001 + STEPS]
    assert all(sentence in each for each in said.values())


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param([WORKS], id="it plays"),
        pytest.param([SEES] * (STEPS - 1) + [WORKS], id="not for long enough"),
        pytest.param([scores(0.5, 0.5, gate=0.0)], id="it guesses, but may not learn"),
        pytest.param([scores(0.999, 0.9)], id="it is wrong about restored images"),
        pytest.param([scores(0.5, 0.5)] * 50 + [scores(0.7, 0.6)], id="it leaves chance again and again"),
    ],
)
def test_a_working_discriminator_is_not_reported(figures: list[dict[str, float | Tensor]]) -> None:
    assert steps_with_warnings(figures * (2000 // len(figures))) == {}


def test_a_single_odd_batch_does_not_hide_a_collapse() -> None:
    odd = scores(SEEING - 0.01, 0.995)
    assert list(steps_with_warnings([SEES] * 200 + [odd] + [SEES] * 200)) == [STEPS + 1]


def lines_with_warnings(shifts: list[float]) -> list[int]:
    watch = Watch()
    return [number for number, each in enumerate(shifts, 1) if watch.line({"color_shift": each})]


def test_a_lasting_color_shift_is_reported_once_until_it_was_gone() -> None:
    shifted = [2 * VISIBLE] * 20
    assert lines_with_warnings(shifted) == [LINES + 1]
    assert lines_with_warnings([*shifted, VISIBLE - 0.5, *shifted]) == [LINES + 1]
    assert lines_with_warnings([*shifted, 0.5, *shifted]) == [LINES + 1, 21 + LINES + 1]


def test_a_color_shift_that_fades_is_not_reported() -> None:
    assert lines_with_warnings([100 * 0.85**line for line in range(40)]) == []
    assert lines_with_warnings([0.9 * VISIBLE] * 20) == []


def test_a_warning_says_what_to_try() -> None:
    watch = Watch()
    (sentence,) = [said for _ in range(LINES + 1) for said in watch.line({"color_shift": 7.0})]
    assert sentence == (
        "the color of restored images has been shifted for 5 lines of the log, now by 7.0/255: increase the "
        "weight of a term that compares pixels, or start from trained weights with `init`"
    )


def test_gradients_that_are_not_finite_are_reported_once_until_they_were_finite_for_a_while() -> None:
    learned: dict[str, float | Tensor] = {"loss": 1.0}
    said = steps_with_warnings([{}, learned, {}, {}] + [learned] * 100 + [{}])
    assert list(said) == [1, 105]
    assert "`lr`" in said[1]


def test_a_warning_reaches_the_monitor_and_the_log(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said, lines = list[str](), list[Line]()
    config = configure(loss="sometimes", steps=3)
    train(config, toys, tmp_path / "run", monitor=Monitor(said.append, lines.append))
    (line,) = [line for line in log(tmp_path / "run") if "warning" in line]
    assert line in lines
    assert line["step"] == 2
    assert f"warning: step 2: {line['warning']}" in said


# The progress display ----------------------------------------------------------------------------------


def step_line(step: int, **more: float) -> Line:
    pace = {"images_per_second": 51.23, "eta": 3725.4}
    return {"step": step, "steps": 100, "lr": 1e-4} | more | {"skipped": 0} | pace


def shown(progress: Progress) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        console.print(progress.table())
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_the_table_shows_the_latest_values_and_the_best_validation() -> None:
    progress = Progress()
    assert shown(progress) == []
    terms = {"l1": 0.03214, "adversarial": 0.25, "loss": 0.28214, "grad_norm": 0.5, "color_shift": 0.42}
    game = {"d_real": 0.91, "d_generated": 0.8, "gate": 0.5}
    progress.take(step_line(10, **terms, share_l1=0.75, share_adversarial=0.25, **game))
    progress.take({"step": 15, "validation": {"Set5/HR psnr": 30.5}})
    progress.take({"step": 20, "validation": {"Set5/HR psnr": 30.25}})
    for step, value in ((15, 0.5), (18, 0.25), (20, 0.75)):
        progress.take({"step": step, "validation": {"Set5/HR l1": value}, "lower_is_better": ["l1"]})
    progress.take({"step": 20, "warning": "something"})
    progress.take(step_line(20, **terms, **game) | {"skipped": 3})
    assert shown(progress) == [
        "step 20 of 100, 1:02:05 left",
        "images a second 51.2",
        "learning rate 0.0001",
        "l1 0.03214 75% of the gradient",
        "adversarial 0.25 25% of the gradient",
        "loss 0.2821 gradient norm 0.5",
        "scores 0.910 on real images, 1 is always right",
        "0.800 on restored images",
        "gate 50% of the steps the discriminator learned",
        "color shift 0.4 of 255",
        "skipped 3 steps, whose gradient was not finite",
        "Set5/HR psnr 30.25 best 30.50 at step 15",
        "Set5/HR l1 0.7500 best 0.2500 at step 18",
    ]


def test_a_line_tells_of_days_and_of_steps_that_were_lost() -> None:
    text = training_line(step_line(10, l1=0.5) | {"eta": 2 * 86400 + 3600 + 61, "skipped": 2})
    assert text == "step 10/100  lr 0.0001  l1 0.5  skipped 2  51.2 images/s  2 d 1:01:01 left"


def test_where_there_is_no_terminal_a_line_comes_now_and_then() -> None:
    said, now = list[str](), [0.0]
    lines = Lines(said.append, clock=lambda: now[0])
    for step in range(1, 101):
        lines(step_line(step))
        if step == 53:
            lines({"step": 53, "validation": {"val psnr": 30.0}})
            lines({"step": 53, "warning": "said as a message already"})
        now[0] += 1.0
    steps = [text.split()[1] for text in said]
    assert "validation" in said[steps.index("53")]
    assert steps == [
        *("1/100", "11/100", "21/100", "31/100", "41/100", "51/100", "53"),
        *("63/100", "73/100", "83/100", "93/100", "100/100"),
    ]


def test_a_terminal_shows_one_table_that_is_drawn_in_place_below_the_messages(
    photos: Path, tmp_path: Path
) -> None:
    settings = ["workers=0", "device='cpu'", "precision=fp32", "log_every=1"]
    arguments = ["--data", photos, "--loss", "l1", "--steps", 3, "--batch-size", 1, "--patch-size", 32]
    arguments += ["--model", "srcnn", "--run", tmp_path / "run", "--val", photos]
    arguments += [part for setting in settings for part in ("--set", setting)]
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "restore", "train", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=follower,
    ) as process:
        os.close(follower)
        seen = everything(leader)
        assert process.stdout
        assert process.stdout.read() == b""
    assert process.returncode == 0, seen
    assert "srcnn 4x, objective l1" in seen
    assert "\x1b[1A\x1b[2K" in seen, "nothing was drawn anew"
    table = seen[seen.rindex("\x1b[2K") :]
    for expected in ("of 3, 0:00:00 left", "images a second", "best", "done: use it as srcnn:"):
        assert expected in table
    assert max(len(line) for line in table.replace("\r", "").split("\n")[1:-2]) <= 80


def everything(terminal: int) -> str:
    """What is written to a terminal until its last writer is gone."""
    seen = b""
    try:
        while part := os.read(terminal, 4096):
            seen += part
    except OSError:  # how Linux says it
        pass
    os.close(terminal)
    return seen.decode()


def test_a_picture_of_the_strip_is_a_png(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    train(configure(steps=1, val=[photos]), toys, tmp_path / "run")
    with Image.open(tmp_path / "run" / "samples" / "00000001.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
