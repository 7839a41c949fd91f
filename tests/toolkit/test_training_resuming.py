"""A run that is interrupted and resumed equals one that never stopped."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_runs import Configure, after_step, cosine, interrupt, log, weights

from restore.checkpoint import latest_checkpoint, read_card
from restore.config import resolve
from restore.errors import TrainingError, UsageError
from restore.registry import Registry
from restore.training import Monitor, TrainingResult, compiler, train
from restore.training.log import forget_after
from restore.training.optimization import learning_rate

PAT = {
    "loss": "pat",
    "terms": {"perceptual": {"layers": "pool1:0.2,pool2:0.02"}, "texture": {"layers": "conv1_1:1e-6"}},
    "adversary": {"width": 4, "hidden": 8},
}
ESRGAN = {
    "loss": "esrgan",
    "terms": {"perceptual": {"layers": "conv1_2:1.0"}},
    "adversary": {"discriminator": {"width": 4, "hidden": 8}},
}
REAL_ESRGAN = {
    "loss": "realesrgan",
    "terms": {"perceptual": {"layers": "conv1_2:0.1"}},
    "adversary": {"discriminator": {"width": 4}},
}
METHODS = [
    pytest.param(PAT, id="perceptual, adversary and texture"),
    pytest.param(PAT | {"model": "srcnn", "model_options": {}}, id="the same with a model of another plugin"),
    pytest.param(ESRGAN, id="the objective of ESRGAN"),
    pytest.param(REAL_ESRGAN, id="the objective of Real-ESRGAN"),
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


def test_a_run_with_soap_is_resumed_to_the_bit_after_its_bases_were_rotated(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    config = configure(loss="l1-toy", optimizer="soap", steps=32, checkpoint_every=16)
    train(config, toys, tmp_path / "whole")
    train(config, toys, tmp_path / "halted", monitor=after_step(24, interrupt))
    train(config, toys, tmp_path / "halted", resume=True)
    assert weights(tmp_path / "halted") == weights(tmp_path / "whole")


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


@pytest.mark.parametrize("written", ["generator.safetensors", "00000006"])
def test_a_kill_while_the_last_step_is_saved_loses_nothing(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    last_but_one = tmp_path / "killed" / "checkpoints" / "00000004"

    def or_die(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(path: Path, target: Path) -> Path:
            if target.name == written and last_but_one.exists():
                raise Killed
            return move(path, target)

        return moved

    train(configure(), toys, tmp_path / "whole")
    monkeypatch.setattr(Path, "replace", or_die(Path.replace))
    monkeypatch.setattr(Path, "rename", or_die(Path.rename))
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
