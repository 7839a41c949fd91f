"""Kill `restore train` at random moments, resume it, and compare the weights with an undisturbed run.

::

    python tests/long/kill_train.py --rounds 50

Each round trains EnhanceNet-PAT with tiny networks and a random VGG-19, kills the command (SIGKILL) once at
any moment, on average in two of five rounds again while it is resuming, lets it finish, and compares the
weights. No unfinished file may be left. The command is forked from a process that has imported it, so that
the kill hits the run rather than the start of Python.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from killing import must, run_forked
from PIL import Image
from safetensors.torch import save_file

import restore.training  # noqa: F401 - what the children would otherwise import
from restore.files import PREFIX

STEPS = 8
SETTINGS = (
    *(
        "perceptual.layers=pool1:0.2",
        "texture.layers=conv1_1:1e-6",
        "adversary.width=2",
        "adversary.hidden=4",
    ),
    *("model_options.width=4", "model_options.blocks=1", "warmup=2", "log_every=1", "checkpoint_every=1"),
    *("validate_every=2", "workers=1"),
)


@dataclass
class Counts:
    """What the kills hit."""

    kills: int = 0
    resuming: int = 0
    with_leftovers: int = 0
    amid: set[int] = field(default_factory=set)
    """Steps of the newest checkpoint at a kill."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    with TemporaryDirectory() as folder:
        return _rounds(Path(folder), given.rounds, random.Random(given.seed))  # noqa: S311 - no secret


def _rounds(folder: Path, rounds: int, chance: random.Random) -> int:
    _draw(folder)
    os.environ["RESTORE_VGG19"] = str(folder / "vgg.safetensors")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    seconds = [0.0, 0.0]
    for number in range(2):  # the first one also measures the means of VGG-19
        begin = time.perf_counter()
        must(_run(folder, f"whole{number}") == 0, "the undisturbed run failed")
        seconds[number] = time.perf_counter() - begin
    expected, duration = _weights(folder / "runs" / "whole1"), seconds[1]
    must(_weights(folder / "runs" / "whole0") == expected, "two undisturbed runs differ")
    counts = Counts()
    for number in range(rounds):
        run = folder / "runs" / "run"
        while (code := _run(folder, "run", kill_after=chance.uniform(0, duration))) == 0:
            duration *= 0.75  # the machine is faster than it was in the undisturbed run
            shutil.rmtree(run)
        _count(counts, code, run)
        while code and counts.resuming * 5 < (number + 1) * 2 and (run / "config.toml").exists():
            # Mostly within the first third, in which a resumed run loads its checkpoint and rewinds its logs.
            code = _run(folder, "run", resume=True, kill_after=duration * chance.random() / 3)
            _count(counts, code, run)
            counts.resuming += code == -signal.SIGKILL
        resume = (run / "config.toml").exists()
        must(_run(folder, "run", resume=resume) == 0, f"round {number}: the run could not be finished")
        must(_weights(run) == expected, f"round {number}: the weights differ")
        must(not _leftovers(folder), f"round {number}: left behind: {_leftovers(folder)}")
        shutil.rmtree(run)
        sys.stderr.write(f"round {number + 1} of {rounds}: {counts.kills} kills\n")
    sys.stdout.write(
        f"{rounds} of {rounds} runs ended with the weights of an undisturbed one: {counts.kills} kills, "
        f"{counts.resuming} of them while resuming, {counts.with_leftovers} with unfinished files, of which "
        f"none was left; newest checkpoints at a kill: {sorted(counts.amid)}\n"
    )
    return 0


def _count(counts: Counts, code: int, run: Path) -> None:
    must(code in (0, -signal.SIGKILL), f"a run failed with {code}")
    counts.kills += code == -signal.SIGKILL
    counts.with_leftovers += bool(_leftovers(run.parent.parent))
    counts.amid.add(max((int(place.name) for place in (run / "checkpoints").glob("[0-9]*")), default=-1))


def _run(folder: Path, name: str, *, resume: bool = False, kill_after: float | None = None) -> int:
    """The exit code of the command, or minus the signal that ended it."""
    command = ["restore", "train", "--loss", "pat", "--data", str(folder / "photos"), "--steps", str(STEPS)]
    command += ["--val", str(folder / "photos"), "--batch-size", "2", "--patch-size", "32", "--device", "cpu"]
    command += [
        "--precision",
        "fp32",
        "--run",
        str(folder / "runs" / name),
        *(["--resume"] if resume else []),
    ]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    return run_forked(command, kill_after=kill_after, show_errors=False)


def _draw(folder: Path) -> None:
    (folder / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 56, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{seed}.png")
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, (before, after) in ((0, (3, 64)), (2, (64, 64))):
        tensors[f"features.{index}.weight"] = torch.randn(after, before, 3, 3, generator=generator) / 10
        tensors[f"features.{index}.bias"] = torch.rand(after, generator=generator) / 10
    save_file(tensors, folder / "vgg.safetensors")


def _weights(run: Path) -> bytes:
    return (run / "generator.safetensors").read_bytes()


def _leftovers(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in (folder / "runs").rglob(f"{PREFIX}*")]


if __name__ == "__main__":
    sys.exit(main())
