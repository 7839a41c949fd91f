"""`restore train` as a user runs it: signals, kills, several processes, exit codes and what is said where."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from restore.checkpoint import latest_checkpoint
from restore.cli import main
from restore.config import TrainingConfig, resolve
from restore.data import CountedSampler, Patches, batches
from restore.interfaces import Term
from restore.registry import Registry, discover
from restore.training import train
from restore.training.adversarial import AdversarialBatch
from restore.training.measures import gradient_shares
from restore.training.networks import build
from restore.training.processes import ProcessGroup
from restore.training.recipe import shortcuts
from restore.training.session import begin
from restore.training.setup import make_fabric, set_up

Configure = Callable[..., TrainingConfig]
Damage = Callable[[Path], None]
Cli = Callable[..., int]

PATIENCE = 240
"""Seconds that a program may take on a busy machine; a few are enough on a quiet one."""

OURS = re.compile(
    r"(enhancenet 4x, objective|skipped|(warning: )?step \d+|resumed from|stopped at|done:|error:) ?"
)

UNKNOWN_VGG19 = "warning: VGG-19 weights other than torchvision's ["


def arguments(photos: Path, *more: str | Path) -> list[str]:
    """Of a run that takes a moment, with the settings of the fixture `configure`."""
    settings = [
        *("model_options.width=8", "model_options.blocks=1", "precision=fp32", "workers=0"),
        *("device='cpu'", "warmup=2", "log_every=1", "checkpoint_every=2"),
    ]
    flags = {"data": photos, "loss": "l1", "steps": 6, "batch-size": 2, "patch-size": 32, "lr": 1e-3}
    given = [str(part) for part in more]
    kept = {name: value for name, value in flags.items() if f"--{name}" not in given}
    assigned = [item for item in settings if not any(item.split("=")[0] in part for part in given)]
    return [
        "train",
        *given,
        *(part for name, value in kept.items() for part in (f"--{name}", str(value))),
        *(part for item in assigned for part in ("--set", item)),
    ]


@contextmanager
def program(
    *args: str,
    site: Path | None = None,
    module: Sequence[str] = ("restore",),
    environment: Mapping[str, object] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """The program in a process group of its own, like a job of a terminal; it does not outlive the block."""
    own = {"OMP_NUM_THREADS": 1, "PYTHONPATH": site or "", **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, "-m", *module, *args],
        env=os.environ | {name: str(value) for name, value in own.items()},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.01)


def newest_step(run: Path) -> int:
    """Of the checkpoints that are in their place; -1 where there is none."""
    return max((int(place.name) for place in (run / "checkpoints").glob("[0-9]*")), default=-1)


def assert_only_ours(stderr: str) -> None:
    assert [line for line in stderr.splitlines() if not OURS.match(line)] == []


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command line in this process and gives its exit code."""

    def call(*args: str) -> int:
        monkeypatch.setattr(sys, "argv", ["restore", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0)

    return call


SMALL_PAT = [
    part
    for assigned in (
        "perceptual.layers=pool1:0.2,pool2:0.02",
        "texture.layers=conv1_1:1e-6",
        "adversary.width=4",
        "adversary.hidden=8",
    )
    for part in ("--set", assigned)
]
"""EnhanceNet's objective with networks that take a moment."""


# Signals and kills -----------------------------------------------------------------------------------


def test_a_signal_to_the_whole_job_saves_it_and_exits_with_130(photos: Path, tmp_path: Path) -> None:
    endless = arguments(photos, "--steps", "1000000", "--set", "workers=1", "--set", "precision=bf16")
    signals = (signal.SIGINT, signal.SIGTERM)
    runs = [tmp_path / number.name for number in signals]
    with program(*endless, "--run", str(runs[0])) as one, program(*endless, "--run", str(runs[1])) as other:
        for run, number, process in zip(runs, signals, (one, other), strict=True):
            wait_for((run / "log.jsonl").exists, process)
            os.killpg(process.pid, number)
            stdout, stderr = process.communicate(timeout=PATIENCE)
            assert process.returncode == 130, number.name
            assert stdout == ""
            assert_only_ours(stderr)
            step = latest_checkpoint(run / "checkpoints")[0].step
            assert stderr.splitlines()[-1] == (
                f"stopped at step {step}, everything is saved: continue with --resume --run {run}"
            )


@pytest.mark.parametrize(("objective", "more"), [("l1-toy", ["--set", "workers=1"]), ("pat", SMALL_PAT)])
def test_a_run_killed_again_and_again_ends_with_the_bytes_of_one_never_interrupted(
    photos: Path, tmp_path: Path, toy_site: Path, objective: str, more: list[str]
) -> None:
    args = arguments(photos, "--loss", objective, "--steps", "60", *more)
    whole, run = tmp_path / "whole", tmp_path / "killed"
    with program(*args, "--run", str(whole), site=toy_site) as undisturbed:
        for resume in ([], ["--resume"], ["--resume"]):
            step = newest_step(run)
            with program(*args, "--run", str(run), *resume, site=toy_site) as process:
                wait_for(lambda step=step: newest_step(run) > step, process)  # type: ignore[misc]
                time.sleep(random.uniform(0, 0.3))  # noqa: S311
                os.killpg(process.pid, signal.SIGKILL)
        assert newest_step(run) < 60, "the last kill came too late to be one"
        with program(*args, "--run", str(run), "--resume", site=toy_site) as process:
            for running in (undisturbed, process):
                _, stderr = running.communicate(timeout=PATIENCE)
                assert running.returncode == 0, stderr
    assert (run / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()


# Several processes -----------------------------------------------------------------------------------


def test_two_processes_learn_what_one_learns_with_the_same_batch(
    photos: Path, tmp_path: Path, toy_site: Path, configure: Configure, toys: Registry
) -> None:
    def start(name: str, *more: str, loss: str = "l1-toy", **how: Any) -> subprocess.Popen[str]:
        run = ("--run", str(tmp_path / name), "--loss", loss, "--val", str(photos), "--batch-size", "4")
        args = arguments(photos, *run, "--set", "workers=1", *more)
        return stack.enter_context(program(*args, site=toy_site, **how))

    pat = resolve(None, SMALL_PAT[1::2], {"loss": "pat", "data": [photos]}, shortcuts(toys))
    in_one: dict[str, Any] = {
        "l1-toy": {"loss": "l1-toy"},
        "in-one": {"loss": "kinds"},
        "pat": pat.model_dump(include={"loss", "terms", "adversary"}),
    }

    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "restore")
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    with ExitStack() as stack:
        leaders = {
            "devices": start("devices", "--devices", "2"),
            "nodes": start("nodes", "--nodes", "2", environment={"NODE_RANK": 0, **meeting}),
            "kinds": start("kinds", "--devices", "2", "--accumulate", "2", loss="kinds"),
            "torchrun": start("torchrun", "--accumulate", "2", *SMALL_PAT, loss="pat", module=torchrun),
        }
        second = start("nodes", "--nodes", "2", environment={"NODE_RANK": 1, **meeting})
        for name, settings in in_one.items():
            train(configure(**settings, batch_size=4, val=[photos]), toys, tmp_path / name)
        for name, process in leaders.items():
            stdout, stderr = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, stderr
            assert stdout == ""
            warnings = [line for line in stderr.splitlines() if line.startswith(UNKNOWN_VGG19)]
            assert len(warnings) == (name == "torchrun"), "random weights, said once"
            assert_only_ours("\n".join(line for line in stderr.splitlines() if line not in warnings))
            assert stderr.count("done:") == stderr.count("objective") == stderr.count("step 6/6") == 1
            alone = {"torchrun": "pat", "kinds": "in-one"}.get(name, "l1-toy")
            assert_equal_to_rounding(tmp_path / name, tmp_path / alone)
            assert len(list((tmp_path / name).glob("events.*"))) == 1, "only the leader writes"
        assert (*second.communicate(timeout=PATIENCE), second.returncode) == ("", "", 0)
    config = resolve(tmp_path / "torchrun" / "config.toml", [], {})
    assert (config.devices, config.nodes) == (2, 1), "a run knows with how many processes it goes on"
    first = json.loads((tmp_path / "devices" / "log.jsonl").read_text().splitlines()[0])
    expected = mean_shares(configure(loss="l1-toy", batch_size=4), toys, ranks=2)
    assert {name: first[f"share_{name}"] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_two_processes_mix_sources_and_find_the_best_weights_as_one_does(
    photos: Path, tmp_path: Path
) -> None:
    pairs, small = tmp_path / "pairs", tmp_path / "small"
    for folder in (pairs, small):
        folder.mkdir()
    for name in ("a", "b"):
        with Image.open(photos / f"{name}.png") as image:
            target = image.crop((0, 0, 48, 48))
        target.save(pairs / f"{name}.png")
        target.reduce(4).save(small / f"{name}x4.png")
    made = f"data={photos},degradation=bicubic+noise"
    shared = [
        *("--source", f"data={pairs},degraded={small},weight=3", "--source", made, "--val", str(pairs)),
        *("--val-degraded", str(small), "--keep", "best:l1", "--batch-size", "4", "--steps", "8"),
    ]
    assigned = ("patience=1", "validate_every=2", "workers=1", "augmentations=turn,mixup")
    more = [part for item in assigned for part in ("--set", item)]

    def start(name: str, devices: str) -> subprocess.Popen[str]:
        args = arguments(photos, "--run", str(tmp_path / name), "--devices", devices, *shared, *more)
        place = args.index("--data")
        del args[place : place + 2]
        return stack.enter_context(program(*args))

    with ExitStack() as stack:
        for process in (start("two", "2"), start("one", "1")):
            _, stderr = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, stderr
            assert "2 pairs of files" in stderr
    found = [latest_checkpoint(tmp_path / name / "checkpoints")[0] for name in ("two", "one")]
    assert found[0].step == found[1].step
    best = [checkpoint.state["best"] for checkpoint in found]
    assert best[0]["since"] == best[1]["since"]
    assert best[0]["found"]["l1"]["step"] == best[1]["found"]["l1"]["step"]
    left, right = (load_file(tmp_path / name / "generator-best-l1.safetensors") for name in ("two", "one"))
    assert all(torch.allclose(left[name], right[name], rtol=0, atol=1e-4) for name in right)


def mean_shares(config: TrainingConfig, toys: Registry, ranks: int) -> dict[str, float]:
    """Each term's share of the gradient in the first step, averaged over parts of the batch."""
    plan = set_up(config, toys)
    fabric = make_fabric(plan)
    session = begin(plan, build(plan, toys, fabric.device), ProcessGroup(fabric))
    parts = []
    for rank in range(ranks):
        sampler = CountedSampler(0, 1, config.batch_size, rank, ranks)
        degraded, target, _ = next(batches(plan.images.samples, sampler))
        restored = session.generator(degraded)
        terms = session.objective(restored, target)
        for adversary in session.adversaries:
            terms |= adversary.term(AdversarialBatch(restored, target, degraded))
        parts.append(gradient_shares(terms, session.generator, session.group.fabric.backward))
    assert abs(parts[0]["l1"] - parts[1]["l1"]) > 1e-3, "equal parts prove nothing"
    return {name: float(sum(part[name] for part in parts)) / ranks for name in parts[0]}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def assert_equal_to_rounding(run: Path, other: Path) -> None:
    left, right = (load_file(folder / "generator.safetensors") for folder in (run, other))
    before = load_file(other / "checkpoints" / "00000004" / "average.safetensors")
    for name, tensor in right.items():
        assert torch.allclose(left[name], tensor, rtol=0, atol=1e-5), name
        assert (before[name] - tensor).abs().max() > 1e-4, "what learns nothing is equal too"
    logs = [(folder / "log.jsonl").read_text().splitlines() for folder in (run, other)]
    for line, expected in zip(*([json.loads(line) for line in lines] for lines in logs), strict=True):
        assert line["step"] == expected["step"]
        assert line.get("loss", 0) == pytest.approx(expected.get("loss", 0), rel=1e-4)


def test_what_fails_in_the_second_process_only_is_said_once_by_the_first(
    photos: Path, tmp_path: Path, configure: Configure, toys: Registry, damage: Damage
) -> None:
    samples = set_up(configure(), toys).images.samples
    assert isinstance(samples, Patches)
    file = samples.files[samples.number(1)]
    damage(file)
    args = arguments(photos, "--run", tmp_path / "run", "--devices", "2", "--set", "workers=1")
    with program(*args) as process:
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert_only_ours(stderr)
    (error,) = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert str(file) in error
    assert latest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 0


def test_a_term_that_is_bad_in_the_second_process_only_is_named_by_the_first(
    photos: Path, tmp_path: Path, toy_site: Path
) -> None:
    args = arguments(photos, "--run", tmp_path / "run", "--devices", "2", "--loss", "elsewhere")
    with program(*args, "--steps", "20", site=toy_site) as process:
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert_only_ours(stderr)
    (error,) = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert "the term 'elsewhere' of the generator was not finite in 10 steps in a row, up to step 10" in error
    weights = load_file(tmp_path / "run" / "generator.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_machines_that_were_told_different_things_do_not_train_together(photos: Path, tmp_path: Path) -> None:
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    args = arguments(photos, "--run", tmp_path / "run", "--nodes", "2")
    with (
        program(*args, environment={"NODE_RANK": 0, **meeting}) as first,
        program(*args, "--seed", "1", environment={"NODE_RANK": 1, **meeting}) as second,
    ):
        _, stderr = first.communicate(timeout=PATIENCE)
        assert second.communicate(timeout=PATIENCE) == ("", "")
    assert first.returncode == 2
    assert "the settings of process 1 are not those of process 0 (seed: 1, not 0)" in stderr
    assert not (tmp_path / "run").exists()


# What is asked for and what is said ------------------------------------------------------------------


def test_an_assignment_reaches_the_term(cli: Cli, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    args = arguments(photos, "--run", run, "--steps", "1", "--loss", "mse", "--set", "mse.luma=true")
    assert cli(*args) == 0
    plan = set_up(resolve(run / "config.toml", [], {}), discover())
    assert plan.objective.terms == (Term("mse", 1.0, {"luma": True}),)


def test_results_of_a_run_are_streamed_to_stdout_and_words_to_stderr(
    cli: Cli, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(*arguments(photos, "--run", tmp_path / "run", "--json")) == 0
    captured = capfd.readouterr()
    assert captured.out == (tmp_path / "run" / "log.jsonl").read_text()
    assert captured.err.splitlines()[-1] == (
        f"done: use it as enhancenet:{tmp_path}/run/generator.safetensors"
    )


def test_progress_tells_what_is_left(
    cli: Cli, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(*arguments(photos, "--run", tmp_path / "run")) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
    pattern = (
        r"step 6/6  lr 0.000155  l1 \S+  loss \S+  grad_norm \S+  color_shift \S+  \S+ images/s  0:00:00 left"
    )
    assert re.fullmatch(pattern, lines[-1])


def test_a_run_is_resumed_with_the_command_that_began_it(cli: Cli, photos: Path, tmp_path: Path) -> None:
    args = arguments(photos, "--run", tmp_path / "run")
    assert cli(*args) == 0
    assert cli(*args, "--resume") == 0
    assert cli("train", "--resume", "--run", str(tmp_path / "run")) == 0
    assert cli(*args, "--resume", "--seed", "1") == 2
    assert cli("train", "--resume", "--run", str(tmp_path / "run"), "--steps", "7") == 0
    assert resolve(tmp_path / "run" / "config.toml", [], {}).steps == 7
    assert latest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 7


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (["--lr", "nan"], 2, "'lr' of the training configuration: Input should be a finite number"),
        (["--lr", "-1"], 2, "should be greater than 0, but got -1.0"),
        (["--steps", "0"], 2, "greater than or equal to 1, but got 0"),
        (["--set", "stesp=3"], 2, "has no 'stesp'. Did you mean 'steps'?"),
        (["--set", "l1.lumma=true"], 2, "loss 'l1' has no option 'lumma'. Did you mean 'luma'?"),
        (["--lr", "1", "--set", "lr=2"], 2, "'lr' is given twice: by --lr and by --set lr; omit one"),
        (["--loss", "l1x"], 2, "there is no objective or loss 'l1x'. Did you mean 'l1'?"),
        (
            ["--batch-size", "3", "--devices", "2"],
            2,
            "cannot be divided evenly among 2 devices; use --batch-size 4",
        ),
        (
            ["--batch-size", "7", "--accumulate", "2"],
            2,
            "evenly among 1 devices in 2 parts; use --batch-size 8",
        ),
        (["--nodes", "2"], 2, "--nodes 2 needs NODE_RANK, MASTER_ADDR, MASTER_PORT in the environment"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml: cannot read the configuration: No such file"),
        (["--data", "nowhere"], 2, "nowhere: there is no such folder"),
        (["--run", "."], 2, ".: the folder is not empty; pass --resume or another --run"),
        (["--model", "enhancenet:e"], 2, "to start from them, use --model enhancenet --init enhancenet:e"),
        (["--patch-size", "128"], 2, "none of the 4 images has 128 pixels on both sides"),
        (["--model", "srcnn", "--set", "model_options.middle=4"], 2, "option 'middle' of model 'srcnn'"),
        (["--resume"], 2, "config.toml is missing"),
    ],
)
def test_a_request_that_is_wrong_is_answered_in_one_sentence_and_leaves_nothing(
    cli: Cli,
    photos: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    given: list[str],
    code: int,
    sentence: str,
) -> None:
    assert cli(*arguments(photos, "--run", tmp_path / "run", *given)) == code
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert sentence in line
    assert not (tmp_path / "run").exists()


def test_resuming_needs_to_be_told_which_run(cli: Cli, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli("train", "--resume") == 2
    assert "--resume needs --run" in capfd.readouterr().err


def test_a_model_without_parameters_cannot_be_trained(
    cli: Cli, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    args = ["train", "--model", "bicubic", "--loss", "l1", "--data", str(photos), "--patch-size", "32"]
    assert cli(*args, "--run", str(tmp_path / "run")) == 2
    assert "model 'bicubic' has no parameters to train; choose another --model" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
