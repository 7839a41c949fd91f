"""The loop: what it learns, what it writes, and that a run which goes on equals one that never stopped."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
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
from safetensors.torch import load_file
from torch import Tensor, nn

from restore.checkpoint import latest_checkpoint, read_card
from restore.config import TrainingConfig, resolve
from restore.errors import DataError, ImageError, OptionsError, RestoreError, TrainingError, UsageError
from restore.interfaces import Schedule
from restore.registry import Registry
from restore.training import Monitor, TrainingResult, compiler, run_folder, train
from restore.training.interruption import Interruption
from restore.training.log import forget_after
from restore.training.optimization import averaged, learning_rate, update_average
from restore.training.setup import set_up
from restore_optimization.options import CosineOptions
from restore_optimization.schedules import build_cosine

Configure = Callable[..., TrainingConfig]
Damage = Callable[[Path], None]
Draw = Callable[..., Path]
Line = dict[str, Any]


def weights(run: Path) -> bytes:
    return (run / "generator.safetensors").read_bytes()


def log(run: Path) -> list[Line]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def after_step(step: int, action: Callable[[], object]) -> Monitor:
    """Does something as soon as the line of a step is logged."""

    def see(line: Line) -> None:
        if line["step"] == step and "steps" in line:
            action()

    return Monitor(log=see)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


# What a run leaves -----------------------------------------------------------------------------------


def test_a_run_leaves_weights_a_resolved_configuration_checkpoints_and_a_log(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    config, run, lines = configure(val=[tmp_path / "photos"]), tmp_path / "run", list[Line]()
    outcome = train(config, toys, run, monitor=Monitor(log=lines.append))
    assert outcome == TrainingResult(run, 6, interrupted=False, metrics=outcome.metrics)
    names = sorted(path.name for path in run.iterdir())
    assert names.pop(2).startswith("events.out.tfevents.")
    assert names == [
        "checkpoints",
        "config.toml",
        "generator.safetensors",
        "inputs.png",
        "log.jsonl",
        "samples",
    ]
    assert [path.name for path in (run / "samples").iterdir()] == ["00000006.png"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["00000004", "00000006"]
    assert resolve(run / "config.toml", [], {}) == config
    card = read_card(run / "generator.safetensors")
    assert (card.model, card.scale, card.objective, card.steps) == ("enhancenet", 4, "l1", 6)
    assert card.metrics == outcome.metrics
    assert card.metrics == {f"{tmp_path.name}/photos psnr": pytest.approx(20, abs=10)}
    assert log(run) == lines
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 6]
    assert set(lines[0]) == {
        "step", "steps", "lr", "l1", "loss", "grad_norm", "color_shift", "skipped", "images_per_second",
        "eta",
    }  # fmt: skip
    assert lines[-1] == {"step": 6, "validation": outcome.metrics}


def test_what_is_learnt_lowers_the_loss_on_what_was_learnt_from(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "one" / "a.png", 32, 32)
    config = configure(data=[tmp_path / "one"], augmentations=[], steps=40, log_every=10, lr=1e-2)
    train(config, toys, tmp_path / "run")
    losses = [line["l1"] for line in log(tmp_path / "run")]
    assert losses[-1] < 0.9 * losses[0]


def test_images_smaller_than_the_patch_are_counted_and_named(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    train(configure(steps=1), toys, tmp_path / "run", monitor=Monitor(message=said.append))
    assert "skipped 1 images smaller than the patch: tiny.png" in said


def test_images_that_were_cut_off_are_named(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, draw: Draw
) -> None:
    content = draw(photos / "cut.jpg", 256, 256).read_bytes()
    (photos / "cut.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    draw(photos / "whole.jpg", 64, 64)
    said = list[str]()
    train(configure(steps=1), toys, tmp_path / "run", monitor=Monitor(message=said.append))
    assert [sentence for sentence in said if "cut off" in sentence] == [
        "training on 1 images that were cut off, with parts missing: cut.jpg; replace them by whole copies, "
        "or remove them"
    ]


def test_weights_of_unknown_origin_in_a_loss_are_reported_and_kept_in_the_card(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    config = configure(loss="perceptual", terms={"perceptual": {"layers": "pool1:0.2"}}, steps=1)
    train(config, toys, tmp_path / "run", monitor=Monitor(message=said.append))
    (note,) = read_card(tmp_path / "run" / "generator.safetensors").notes
    assert note.startswith("VGG-19 weights other than torchvision's [SHA-256 ")
    assert any(sentence.startswith(f"warning: {note}") for sentence in said)


def test_gray_and_color_images_are_validated(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    gray, color = tmp_path / "gray" / "val", tmp_path / "color" / "val"
    draw(color / "a.png", 30, 22)
    draw(gray / "a.png", 30, 22)
    Image.open(gray / "a.png").convert("L").save(gray / "a.png")
    outcome = train(configure(steps=1, val=[gray, color]), toys, tmp_path / "run")
    assert set(outcome.metrics) == {"gray/val psnr", "color/val psnr"}
    assert all(np.isfinite(list(outcome.metrics.values())))


def test_two_validation_folders_of_one_name_are_refused(
    toys: Registry, configure: Configure, photos: Path
) -> None:
    with pytest.raises(UsageError, match="2 folders in `val` have the name"):
        set_up(configure(val=[photos, photos]), toys)


def test_the_log_holds_means_over_the_steps_between_two_lines(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "each")
    train(configure(log_every=4), toys, tmp_path / "some")
    each = [line["l1"] for line in log(tmp_path / "each")]
    some = log(tmp_path / "some")
    assert [line["step"] for line in some] == [4, 6]
    assert some[0]["l1"] == pytest.approx(np.mean(each[:4]), rel=1e-6)
    assert some[1]["l1"] == pytest.approx(np.mean(each[4:]), rel=1e-6)
    assert [line["lr"] for line in log(tmp_path / "each")][:3] == [0.0005, 0.001, 0.001]


def test_a_run_can_begin_with_the_weights_of_another_and_needs_them_only_then(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "first")
    init = f"enhancenet:{tmp_path}/first/generator.safetensors"
    config = configure(init=init, model_options={}, lr=1e-12)
    train(config, toys, tmp_path / "second", monitor=after_step(2, interrupt))
    (tmp_path / "first" / "generator.safetensors").rename(tmp_path / "first.safetensors")
    resumed = resolve(tmp_path / "second" / "config.toml", [], {})
    assert resumed.model_options == {"width": 8, "blocks": 1}
    train(resumed, toys, tmp_path / "second", resume=True)
    before, after = (
        load_file(file)
        for file in (tmp_path / "first.safetensors", tmp_path / "second" / "generator.safetensors")
    )
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(UsageError, match=r"has the options .*blocks=1.*, not .*blocks=2"):
        set_up(
            configure(
                init=f"enhancenet:{tmp_path}/second/generator.safetensors", model_options={"blocks": 2}
            ),
            toys,
        )


# Resuming --------------------------------------------------------------------------------------------

PAT = {
    "loss": "pat",
    "terms": {"perceptual": {"layers": "pool1:0.2,pool2:0.02"}, "texture": {"layers": "conv1_1:1e-6"}},
    "adversary": {"width": 4, "hidden": 8},
}
METHODS = [
    pytest.param(PAT, id="perceptual, adversary and texture"),
    pytest.param(PAT | {"model": "srcnn", "model_options": {}}, id="the same with a model of another plugin"),
    pytest.param({"loss": "l1"}, id="terms"),
    pytest.param({"loss": "l1-toy"}, id="an adversary behind a gate"),
    pytest.param({"model": "noisy", "model_options": {}}, id="a model that draws random numbers"),
    pytest.param({"loss": "l1-toy", "accumulate": 2}, id="batches in parts"),
    pytest.param({"loss": "l1-toy", "precision": "fp16"}, id="float16"),
    pytest.param({"loss": "l1-toy", "compile": True}, id="compiled networks"),
    pytest.param({"loss": "l1-toy", "optimizer": "soap"}, id="soap"),
    pytest.param(
        {"loss": "l1-toy", "optimizer": "schedule-free", "schedule": "constant", "warmup_discriminator": 0},
        id="schedule-free",
    ),
    pytest.param(
        {
            "loss": "l1",
            "optimizer": "adamw",
            "schedule": "wsd",
            "rates": {"tail.*": 0.1, "head.*": 0.0},
            "degradation": "blur+bicubic+noise+jpeg",
        },
        id="rates by name, a random degradation",
    ),
    pytest.param(
        {
            "loss": "l1",
            "augmentations": ["channel-shuffle", "cutmix", "mixup", "cutblur", "turn"],
            "augmentation_options": {"cutmix": {"probability": 0.5}, "mixup": {"probability": 0.5}},
        },
        id="augmentations",
    ),
    pytest.param({"loss": "kinds", "accumulate": 2}, id="every kind of term in parts"),
    pytest.param(
        {
            "loss": "l1-toy",
            "adversary": {"loss": "wgan", "steps": 2, "fresh": True, "r1": 0.1, "r1_every": 2},
        },
        id="penalties and fresh batches",
    ),
    pytest.param(
        {"loss": "l1-toy", "adversary": {"discriminator": {"name": "patch", "layers": 1, "scales": 2}}},
        id="logits of two scales",
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_and_resumed_equals_one_that_never_stopped(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    method: dict[str, Any],
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiler, "BACKEND", "aot_eager")  # which needs no C++ compiler
    config = configure(**method, val=[photos], checkpoint_every=4)
    train(config, toys, tmp_path / "whole")
    halted = train(config, toys, tmp_path / "halted", monitor=after_step(2, interrupt))
    assert halted == TrainingResult(tmp_path / "halted", 2, interrupted=True)
    resumed = train(config, toys, tmp_path / "halted", resume=True)
    assert resumed.step == 6
    assert weights(tmp_path / "halted") == weights(tmp_path / "whole")
    assert [line["loss"] for line in log(tmp_path / "halted")[:6]] == [
        line["loss"] for line in log(tmp_path / "whole")[:6]
    ]


def test_every_kind_of_term_learns_the_same_in_parts(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(loss="kinds", batch_size=4), toys, tmp_path / "plain")
    train(configure(loss="kinds", batch_size=4, accumulate=2), toys, tmp_path / "parts")
    assert_equal_checkpoints(tmp_path / "plain", tmp_path / "parts")
    last = log(tmp_path / "plain")[-1]
    assert {"l1", "luma", "learned", "stepped", "small", "like-input", "adversarial", "seen"} <= last.keys()
    assert {"d_real", "d_generated", "d_real_seen", "gate_seen"} <= last.keys()


def assert_equal_checkpoints(run: Path, other: Path) -> None:
    folders = [folder / "checkpoints" / "00000006" for folder in (run, other)]
    names = [sorted(file.name for file in folder.glob("*.safetensors")) for folder in folders]
    assert names[0] == names[1]
    assert {"objective.safetensors", "discriminator-seen.safetensors"} <= set(names[0])
    for name in names[0]:
        left, right = (load_file(folder / name) for folder in folders)
        # The last bias cancels in the relativistic loss: its gradient is rounding, which Adam makes large.
        keys = [key for key in left if key not in {"3.bias", "3.exp_avg", "3.exp_avg_sq"}]
        assert all(torch.allclose(left[key], right[key], rtol=1e-3, atol=1e-4) for key in keys), name


def test_a_loss_with_parameters_learns_them(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    train(configure(loss="learned", lr=1e-2), toys, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints" / "00000006"
    (weight,) = load_file(folder / "objective.safetensors").values()
    assert weight.abs() > 1e-3
    assert (folder / "optimizer-objective.safetensors").is_file()


def test_frozen_parameters_stay_and_slow_ones_move_less(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    config = configure(loss="l1", rates={"head.*": 0.0}, checkpoint_every=3)
    train(config, toys, tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    before, after = (load_file(checkpoints / f"{step:08}" / "generator.safetensors") for step in (3, 6))
    assert {name for name in before if torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}
    with pytest.raises(UsageError, match=r"'tial\.\*' of `rates` matches no parameter"):
        train(configure(loss="l1", rates={"tial.*": 0.1}), toys, tmp_path / "other")


def test_how_often_one_validates_changes_nothing_for_an_optimizer_that_averages(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    method: dict[str, Any] = {"loss": "l1", "optimizer": "schedule-free", "schedule": "constant"}
    train(configure(**method), toys, tmp_path / "never")
    train(configure(**method, val=[photos], validate_every=1), toys, tmp_path / "often")
    never, often = (load_file(tmp_path / name / "generator.safetensors") for name in ("never", "often"))
    assert all(torch.equal(never[name], often[name]) for name in never)
    raw = load_file(tmp_path / "often" / "checkpoints" / "00000006" / "generator.safetensors")
    used = load_file(tmp_path / "often" / "generator.safetensors")
    assert not all(torch.equal(raw[name], used[name]) for name in used)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "l1-toy", "adversary": {"r1": 1.0}}, "penalizes gradients"),
        ({"loss": "l1-toy", "adversary": {"loss": "wgan"}}, "penalizes gradients"),
        ({"loss": "small"}, "asks for features"),
    ],
)
def test_what_a_compiled_network_cannot_do_is_refused(
    toys: Registry, configure: Configure, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        train(configure(compile=True, **changes), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "way", [pytest.param({"accumulate": 2}, id="in parts"), pytest.param({"compile": True}, id="compiled")]
)
def test_another_way_to_compute_the_same_learns_the_same(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: dict[str, Any],
) -> None:
    monkeypatch.setattr(compiler, "BACKEND", "aot_eager")
    train(configure(loss="l1-toy", batch_size=4), toys, tmp_path / "plain")
    train(configure(loss="l1-toy", batch_size=4, **way), toys, tmp_path / "other")
    for name in ("generator", "average", "discriminator", "optimizer-generator", "optimizer-discriminator"):
        plain, other = (
            load_file(tmp_path / run / "checkpoints" / "00000006" / f"{name}.safetensors")
            for run in ("plain", "other")
        )
        assert plain.keys() == other.keys()
        assert all(torch.allclose(plain[key], other[key], rtol=1e-4, atol=1e-5) for key in plain), name
    keys = ("step", "gate", "d_real", "d_generated", "l1", "mse", "adversarial", "loss", "grad_norm")
    for line, expected in zip(log(tmp_path / "other"), log(tmp_path / "plain"), strict=True):
        assert [line[key] for key in keys] == pytest.approx([expected[key] for key in keys], rel=1e-4)


def test_a_machine_that_cannot_compile_says_so_before_anything_is_written(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(compiler, "BACKEND", broken)
    with pytest.raises(
        UsageError, match=r"`compile=True` does not work on this machine \(.*no C\+\+ compiler\)"
    ):
        train(configure(compile=True), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_float16_learns_what_float32_learns_roughly(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    outcomes = [
        train(configure(precision=precision, val=[photos], steps=30, lr=1e-2), toys, tmp_path / precision)
        for precision in ("fp32", "fp16")
    ]
    (expected,), (found,) = (outcome.metrics.values() for outcome in outcomes)
    assert found == pytest.approx(expected, abs=0.3)
    state = latest_checkpoint(tmp_path / "fp16" / "checkpoints")[0].state["learners"]["generator"]
    assert state["scaler"]["scale"] > 1


def test_the_gate_of_the_toy_opens_and_closes_in_such_a_run(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(loss="l1-toy", steps=20, checkpoint_every=20), toys, tmp_path / "run")
    lines = log(tmp_path / "run")
    assert {line["gate"] for line in lines} == {0.0, 1.0}
    assert all(0 < line["d_real"] < 1 and 0 < line["d_generated"] < 1 for line in lines)
    assert lines[0]["loss"] == pytest.approx(sum(lines[0][name] for name in ("l1", "mse", "adversarial")))


def test_the_discriminator_may_have_a_learning_rate_of_its_own(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    for name, rate in (("same", None), ("lower", 1e-12)):
        config = configure(loss="l1-toy", lr_discriminator=rate, checkpoint_every=6)
        train(config, toys, tmp_path / name)
        before, after = (
            load_file(tmp_path / name / "checkpoints" / step / "discriminator.safetensors")
            for step in ("00000000", "00000006")
        )
        moved = max((after[key] - before[key]).abs().max().item() for key in before)
        assert (moved > 1e-4) == (rate is None)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_weights(
    toys: Registry, configure: Configure, tmp_path: Path, workers: int
) -> None:
    train(configure(), toys, tmp_path / "none")
    train(configure(workers=workers), toys, tmp_path / "some")
    assert weights(tmp_path / "some") == weights(tmp_path / "none")


@pytest.mark.parametrize("step", [1, 2, 5])
def test_what_a_kill_leaves_at_any_step_can_be_resumed_to_the_same_end(
    toys: Registry, configure: Configure, tmp_path: Path, step: int
) -> None:
    run, killed = tmp_path / "run", tmp_path / "killed"
    train(configure(), toys, run, monitor=after_step(step, lambda: shutil.copytree(run, killed)))
    train(configure(), toys, killed, resume=True)
    assert weights(killed) == weights(run)
    assert [line["step"] for line in log(killed)] == [1, 2, 3, 4, 5, 6]


class Killed(BaseException):
    """Not caught by anything, as a kill."""


@pytest.mark.parametrize("written", ["save_weights", "save_checkpoint"])
def test_a_kill_while_the_last_step_is_saved_loses_nothing(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    save = getattr(run_folder, written)

    def save_or_die(*args: Any) -> None:
        if getattr(args[-1], "steps" if written == "save_weights" else "step") == 6:
            raise Killed
        save(*args)

    train(configure(), toys, tmp_path / "whole")
    monkeypatch.setattr(run_folder, written, save_or_die)
    with pytest.raises(Killed):
        train(configure(), toys, tmp_path / "killed")
    monkeypatch.undo()
    train(configure(), toys, tmp_path / "killed", resume=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_damaged_checkpoint_is_named_and_the_one_before_leads_to_the_same_end(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, said = tmp_path / "run", list[str]()
    train(configure(), toys, run)
    end = weights(run)
    (run / "generator.safetensors").unlink()
    (run / "checkpoints" / "00000006" / "average.safetensors").write_bytes(b"")
    train(configure(), toys, run, resume=True, monitor=Monitor(message=said.append))
    assert weights(run) == end
    assert any("00000006' is damaged" in sentence for sentence in said)
    assert "resumed from step 4" in said


def test_a_run_that_is_done_can_be_resumed_and_stays_as_it_is(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "run")
    files = [path for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()]
    before = [path.read_bytes() for path in files]
    assert not train(configure(), toys, tmp_path / "run", resume=True).interrupted
    assert [path.read_bytes() for path in files] == before


def test_a_run_that_is_done_can_be_made_longer(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    run, said = tmp_path / "run", list[str]()
    train(configure(), toys, run)
    longer = configure(steps=9, log_every=3)
    assert train(longer, toys, run, resume=True, monitor=Monitor(message=said.append)).step == 9
    assert sum("extending the run from 6 to 9 steps" in sentence for sentence in said) == 1
    assert resolve(run / "config.toml", [], {}) == longer
    assert [line["step"] for line in log(run)] == [1, 2, 3, 4, 5, 6, 9]
    rate = learning_rate(8, peak=1e-3, warmup=2, steps=9, schedule=cosine(0.01))
    assert log(run)[-1]["lr"] == pytest.approx(rate)
    assert read_card(run / "generator.safetensors").steps == 9


def test_how_many_steps_taught_nothing_is_counted_over_a_resume(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    config = configure(loss="sometimes", steps=4)
    train(config, toys, tmp_path / "run", monitor=after_step(2, interrupt))
    train(config, toys, tmp_path / "run", resume=True)  # its losses count their calls anew
    lines = [line for line in log(tmp_path / "run") if "steps" in line]
    assert [line["skipped"] for line in lines] == [0, 1, 1, 2]


def test_a_run_is_not_resumed_with_other_images(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    train(configure(), toys, tmp_path / "run")
    (photos / "a.png").rename(photos / "z.png")
    with pytest.raises(TrainingError, match="the training images are not those with which the run started"):
        train(configure(), toys, tmp_path / "run", resume=True)


def test_a_run_is_not_resumed_with_networks_that_do_not_fit(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "run")
    with pytest.raises(TrainingError, match="the checkpoint of step 6 does not fit"):
        train(configure(model_options={"width": 4}), toys, tmp_path / "run", resume=True)


def test_a_run_that_could_not_be_saved_goes_on_from_its_last_checkpoint(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, (soft, hard) = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    fill_disk = after_step(4, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard)))
    try:
        with pytest.raises(TrainingError, match=r"cannot save step 4 of the run: .*free some space"):
            train(configure(), toys, run, monitor=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    train(configure(), toys, run, resume=True)
    train(configure(), toys, tmp_path / "whole")
    assert weights(run) == weights(tmp_path / "whole")


def test_the_log_forgets_what_comes_again(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    forget_after(file, 2)
    assert file.read_text() == '{"step": 1}\n{"step": 2}\n'


# What goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"model": "bicubic", "model_options": {}}, UsageError, "model 'bicubic' has no parameters to train"),
        (
            {"model": "enhancenet:e"},
            UsageError,
            "to start from them, use `model=enhancenet` `init=enhancenet:e`",
        ),
        ({"model": "enhancnet"}, UsageError, "no model 'enhancnet'. Did you mean 'enhancenet'?"),
        ({"loss": "l1-toi"}, UsageError, "no objective or loss 'l1-toi'. Did you mean 'l1-toy'?"),
        ({"loss": "l1-toy", "adversary": {"depth": 1}}, OptionsError, "'toy' has no option 'depth'"),
        ({"terms": {"l1": {"lumma": True}}}, OptionsError, "has no option 'lumma'. Did you mean 'luma'?"),
        ({"terms": {"l1": {"luma": 2}}}, OptionsError, "option 'luma' of loss 'l1'"),
        ({"model_options": {"widht": 8}}, OptionsError, "has no option 'widht'. Did you mean 'width'?"),
        ({"model_options": {"width": 0}}, OptionsError, "option 'width' of model 'enhancenet'"),
        ({"degradation": "bicubik"}, UsageError, "no degradation 'bicubik'. Did you mean 'bicubic'?"),
        ({"degradation_options": {"relase": "older"}}, OptionsError, "Did you mean 'release'?"),
        (
            {"scale": 5},
            UsageError,
            "cannot work at scale 5: it can be trained for the scales 2, 3, 4, 8, and has weights for",
        ),
        (
            {"patch_size": 30},
            UsageError,
            "`patch_size=30` is not a multiple of the scale 4; use `patch_size=28`",
        ),
        (
            {"patch_size": 3},
            UsageError,
            "`patch_size=3` is not a multiple of the scale 4; use `patch_size=4`",
        ),
        ({"patch_size": 128}, DataError, "none of the 4 images has 128 pixels on both sides"),
        ({"data": [Path("nowhere")]}, DataError, "nowhere: there is no such folder"),
        ({"val": [Path("nowhere")]}, DataError, "nowhere: there is no such folder"),
        (
            {"devices": 4},
            UsageError,
            "`batch_size=2` cannot be divided evenly among 4 devices; use `batch_size=4`",
        ),
        (
            {"batch_size": 7, "accumulate": 3},
            UsageError,
            "evenly among 1 devices in 3 parts; use `batch_size=6`",
        ),
        (
            {"init": "enhancenet:nowhere.safetensors"},
            RestoreError,
            "nowhere.safetensors: there is no such weights file",
        ),
    ],
)
def test_a_run_that_cannot_begin_says_why_and_leaves_no_folder(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    changes: dict[str, Any],
    kind: type[RestoreError],
    sentence: str,
) -> None:
    with pytest.raises(kind) as caught:
        train(configure(**changes), toys, tmp_path / "runs" / "mine")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_in_use_is_refused_and_left_as_it_is(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    before = sorted(photos.iterdir())
    with pytest.raises(
        UsageError, match=r"photos: the folder is not empty; pass `resume=True` or another `run`"
    ):
        train(configure(), toys, photos)
    with pytest.raises(UsageError, match=r"a\.png: this is a file"):
        train(configure(), toys, photos / "a.png")
    assert sorted(photos.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 10**9}, "the images of `batch_size=1000000000`"),
        ({"cache_gib": 1e300}, "`cache_gib=1e+300` would take at least more than 1e12 GiB of memory"),
        ({"workers": 10**6}, "with `workers=1000000` each would take at least"),
        ({"devices": 10**6, "batch_size": 10**6}, "`devices=1000000` with"),
        ({"model_options": {"width": 10**6}}, "'enhancenet' with these options has more than"),
        ({"model_options": {"width": 512, "blocks": 10**7}}, "'enhancenet' with these options has more than"),
        ({"loss": "pat", "adversary": {"width": 10**5}}, "'enhancenet' with these options has more than"),
    ],
)
def test_a_run_that_cannot_fit_the_memory_is_refused_before_it_starts(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**20, "SC_PAGE_SIZE": 2**12}.__getitem__)
    with pytest.raises(UsageError) as caught:
        train(configure(**changes), toys, tmp_path / "run")
    assert sentence in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_a_step_keeps_for_its_backward_pass_counts_too(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**17, "SC_PAGE_SIZE": 2**12}.__getitem__)
    with pytest.raises(UsageError, match="a step with `batch_size=16384` would take at least"):
        train(configure(batch_size=16384), toys, tmp_path / "run")
    train(configure(steps=1), toys, tmp_path / "run")


def test_a_validation_image_smaller_than_the_scale_is_refused_before_the_first_step(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "val" / "speck.png", 3, 30)
    with pytest.raises(DataError, match=r"speck\.png: a short side of 3 pixels is too small for validation"):
        train(configure(val=[tmp_path / "val"]), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_feature_network_without_a_layer_is_refused_before_the_folder_is_made(
    toys: Registry, configure: Configure, tmp_path: Path, random_vgg19: Callable[..., Path]
) -> None:
    file = random_vgg19(tmp_path / "short.safetensors", "conv1_2")
    with pytest.raises(RestoreError, match=r"short\.safetensors: the VGG-19 weights lack conv2_1"):
        train(configure(loss="perceptual", terms={"perceptual": {"vgg": str(file)}}), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_second_process_is_refused_and_told_which_one_is_training(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, refused = tmp_path / "run", list[str]()

    def second() -> None:
        with pytest.raises(UsageError) as caught:
            train(configure(), toys, run, resume=True)
        refused.append(str(caught.value))

    train(configure(), toys, run, monitor=after_step(3, second))
    assert [f"process {os.getpid()} on " in sentence for sentence in refused] == [True]
    assert [line["step"] for line in log(run)] == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.glob(".restore-*"))


def test_resuming_removes_the_unfinished_files_of_a_kill(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "run")
    other = tmp_path / ".restore-other-abcdefgh"
    for folder in (
        tmp_path / ".restore-run-abcdefgh",
        tmp_path / "run" / "checkpoints" / ".restore-x",
        other,
    ):
        folder.mkdir()
        (folder / "state.json").touch()
    (tmp_path / "run" / ".restore-log.jsonl").touch()
    train(configure(), toys, tmp_path / "run", resume=True)
    assert list(tmp_path.rglob(".restore-*")) == [other], "that of another run stays"


def test_the_same_images_in_another_folder_resume(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    train(configure(), toys, tmp_path / "whole")
    train(configure(), toys, tmp_path / "run", monitor=after_step(2, interrupt))
    photos.rename(tmp_path / "moved")
    moved = configure(data=[tmp_path / "moved"])
    train(moved, toys, tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert resolve(tmp_path / "run" / "config.toml", [], {}) == moved


def test_torch_still_has_the_private_setting_that_keeps_compiled_graphs() -> None:
    import torch._functorch.config

    assert isinstance(torch._functorch.config.donated_buffer, bool)


def test_training_without_its_libraries_says_in_one_sentence_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'tensorboard' else find(name, *more)\n"
        "from restore.cli import main\n"
        "sys.argv = ['restore', 'train', '--loss', 'e', '--data', '.']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "error: training needs tensorboard, which this installation lacks; run: pip install"
    )


def test_an_empty_folder_is_filled(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    train(configure(steps=1), toys, tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").exists()


def test_a_folder_that_cannot_be_made_is_named(toys: Registry, configure: Configure, photos: Path) -> None:
    with pytest.raises(TrainingError, match=r"a\.png/run: cannot write the run: .*choose another `run`"):
        train(configure(), toys, photos / "a.png" / "run")


@pytest.mark.parametrize("folder", ["data", "val"])
def test_an_image_that_was_cut_short_is_named_before_anything_is_written(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw, folder: str
) -> None:
    file = draw(tmp_path / "other" / "d.png", 40, 40)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"d\.png: it is damaged or cut short"):
        train(configure(**{folder: [tmp_path / "other"]}), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_with_damage_in_its_middle_ends_the_run_with_its_name(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, damage: Damage, workers: int
) -> None:
    damage(photos / "b.png")
    with pytest.raises(ImageError, match=r"b\.png: it is damaged") as caught:
        train(configure(workers=workers), toys, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_not_finite_is_told_and_teaches_nothing(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, said, after = tmp_path / "run", list[str](), dict[int, bytes]()

    def see(line: Line) -> None:
        after[line["step"]] = weights(run)

    config = configure(loss="sometimes", steps=4, checkpoint_every=1, ema=0)
    train(config, toys, run, monitor=Monitor(message=said.append, log=see))
    warning = "step 2: the term 'sometimes' of the generator was not finite, so the update was skipped"
    assert any(warning in sentence for sentence in said)
    steps = load_file(run / "checkpoints" / "00000004" / "optimizer-generator.safetensors")["0.step"]
    assert steps == 3, "Adam counts the steps in which something was learned"
    assert all(tensor.isfinite().all() for tensor in load_file(run / "generator.safetensors").values())
    lines = [line for line in log(run) if "steps" in line]
    assert ["loss" in line for line in lines] == [True, False, True, True]
    assert [line["skipped"] for line in lines] == [0, 1, 1, 1]
    assert latest_checkpoint(run / "checkpoints")[0].state["learners"]["generator"]["skipped"] == 1


def test_ten_such_steps_in_a_row_end_the_run_and_name_the_term(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError,
        match="the term 'never' of the generator was not finite in 10 steps in a row, up to step 10",
    ):
        train(configure(loss="never", steps=20), toys, tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "generator.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_discriminator_that_cannot_learn_ends_the_run_too(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    with pytest.raises(TrainingError, match="the gradient of the discriminator was not finite in 10 steps"):
        train(
            configure(loss="l1-broken", steps=20),
            toys,
            tmp_path / "run",
            monitor=Monitor(message=said.append),
        )
    warning = "step 1: the gradient of the discriminator was not finite, so the update was skipped"
    assert any(warning in sentence for sentence in said)
    state = latest_checkpoint(tmp_path / "run" / "checkpoints")[0].state["learners"]
    assert (state["generator"]["skipped"], state["discriminator"]["skipped"]) == (0, 8)


def test_a_second_signal_interrupts_at_once_and_the_block_leaves_the_handlers_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        interrupt()
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_works_outside_the_main_thread(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, configure(steps=1), toys, tmp_path / "run").result().step == 1


# How it learns ---------------------------------------------------------------------------------------


def cosine(final: float) -> Schedule:
    return build_cosine(CosineOptions(final=final))


def test_the_learning_rate_rises_from_zero_to_its_peak_and_falls_to_its_end() -> None:
    def rate(step: int) -> float:
        return learning_rate(step, peak=2.0, warmup=10, steps=110, schedule=cosine(0.1))

    assert rate(0) == pytest.approx(0.2)
    assert [rate(step + 1) - rate(step) for step in range(9)] == pytest.approx([0.2] * 9)
    assert rate(9) == rate(10) == 2.0
    assert rate(60) == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert rate(110) == pytest.approx(0.2)
    assert all(rate(step + 1) < rate(step) for step in range(10, 110))


def test_a_schedule_without_warm_up_begins_at_its_peak_and_one_of_only_warm_up_never_falls() -> None:
    assert learning_rate(0, peak=2.0, warmup=0, steps=10, schedule=cosine(0)) == 2.0
    assert learning_rate(10, peak=2.0, warmup=0, steps=10, schedule=cosine(0)) == pytest.approx(0)
    rates = [learning_rate(step, peak=2.0, warmup=10, steps=10, schedule=cosine(0)) for step in range(10)]
    assert rates == pytest.approx([0.2 * (step + 1) for step in range(10)])


@pytest.mark.parametrize(
    ("decay", "step", "share"),
    [
        pytest.param(0.9, 1, 1 - 1 / 11, id="fast at first"),
        pytest.param(0.9, 1000, 0.1, id="slow later"),
        pytest.param(0, 1000, 1.0, id="at once without a decay"),
    ],
)
def test_the_average_follows_the_network(decay: float, step: int, share: float) -> None:
    network = nn.Linear(2, 2)
    nn.init.zeros_(network.weight)
    average = averaged(network, decay)
    nn.init.ones_(network.weight)
    update_average(average, network, step)
    (weight, _) = average.module.parameters()
    assert torch.allclose(weight, torch.full((2, 2), share))
    assert not weight.requires_grad


def test_the_average_takes_over_what_is_no_parameter() -> None:
    network = nn.BatchNorm2d(3)
    average = averaged(network, 0.9)
    network(torch.rand(2, 3, 4, 4))
    update_average(average, network, 1)
    assert torch.equal(average.module.running_mean, network.running_mean)  # type: ignore[arg-type]
    assert average.module.num_batches_tracked == 1


def test_gradients_are_clipped_to_the_largest_norm(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    # Adam divides by the gradient's size, except where that is below its epsilon of 1e-8.
    def after_one_step(name: str, **changes: Any) -> dict[str, Tensor]:
        train(configure(steps=1, ema=0, **changes), toys, tmp_path / name)
        return load_file(tmp_path / name / "generator.safetensors")

    start = after_one_step("start", lr=1e-30)
    free, wide, narrow = (after_one_step(f"clip {clip}", clip=clip) for clip in (0, 1e6, 1e-9))
    assert all(torch.equal(free[name], wide[name]) for name in start)
    assert all(
        (narrow[name] - start[name]).norm() < 0.2 * (free[name] - start[name]).norm() for name in start
    )


def test_what_loads_a_checkpoint_needs_no_pickle(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(loss="l1-toy"), toys, tmp_path / "run")
    suffixes = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    (events,) = (tmp_path / "run").glob("events.out.tfevents.*")
    assert suffixes == {".safetensors", ".json", ".jsonl", ".toml", ".png", events.suffix}


def test_every_validation_sees_the_same_random_degradation(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    lines = list[Line]()
    config = configure(
        val=[tmp_path / "photos"], degradation="bicubic+noise", steps=2, validate_every=1, lr=1e-9, warmup=0
    )
    train(config, toys, tmp_path / "run", monitor=Monitor(log=lines.append))
    first, second = (line["validation"] for line in lines if "validation" in line)
    assert second == pytest.approx(first, abs=1e-4)  # other noise changes it by more than 0.01 dB
