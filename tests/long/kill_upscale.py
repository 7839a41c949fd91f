"""Kill `restore upscale` at random times, run it again, and compare with an undisturbed batch.

::

    python tests/long/kill_upscale.py --rounds 100

Each round starts with an empty output folder, kills (SIGKILL) the command one to three times, lets it finish,
and compares every file. Half of the rounds use --strip, so that the record file identifies the results.
The command is forked from a process that has imported it, so that kills do not hit the start of Python.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from killing import must, run_forked
from PIL import Image

from restore.batch.records import RECORD
from restore.inference import load

IMAGES = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    load("bicubic", device="cpu")  # import everything before forking
    chance = random.Random(given.seed)  # noqa: S311
    with TemporaryDirectory() as folder:
        return _rounds(Path(folder), given.rounds, chance)


def _rounds(folder: Path, rounds: int, chance: random.Random) -> int:
    _draw(folder / "in")
    undisturbed: dict[bool, dict[str, bytes]] = {}
    seconds: dict[bool, float] = {}
    for strip in (False, True):
        begin = time.perf_counter()
        must(_run(folder, "expected", strip=strip) == 0, "the undisturbed batch failed")
        seconds[strip] = (
            time.perf_counter() - begin
        )  # the second batch is faster, because everything is imported
        undisturbed[strip] = _content(folder / "expected")
        must(len(undisturbed[strip]) == IMAGES + strip, "the undisturbed batch is incomplete")
        _remove(folder / "expected")
    kills = amid = left_behind = 0
    for number in range(rounds):
        strip = bool(number % 2)
        wanted = kills + chance.randint(1, 3)
        while kills < wanted:
            code = _run(folder, "out", strip=strip, kill_after=chance.uniform(0, seconds[strip]))
            must(code in (0, -signal.SIGKILL), f"round {number}: the batch failed with {code}")
            if code == 0:
                seconds[strip] *= 0.9  # the machine is faster than before
                _remove(folder / "out")
                continue
            seconds[strip] *= 1.03
            found = _content(folder / "out")
            kills += 1
            amid += 0 < sum(name.endswith(".png") and name[0] != "." for name in found) < IMAGES
            left_behind += any(name.startswith(".restore-") for name in found)
        must(_run(folder, "out", strip=strip) == 0, f"round {number}: the batch could not be finished")
        must(_same(_content(folder / "out"), undisturbed[strip]), f"round {number}: the results differ")
        before = _dates(folder / "out")
        must(_run(folder, "out", strip=strip) == 0, f"round {number}: the batch could not be repeated")
        must(_dates(folder / "out") == before, f"round {number}: finished results were made again")
        _remove(folder / "out")
        sys.stderr.write(f"round {number + 1} of {rounds}: {kills} kills\n")
    sys.stdout.write(
        f"{rounds} of {rounds} rounds ended as an undisturbed batch: {kills} kills, {amid} of them with some "
        f"of {IMAGES} images finished, {left_behind} of them with temporary files, which were all removed\n"
    )
    return 0


def _run(folder: Path, out: str, *, strip: bool, kill_after: float | None = None) -> int:
    """Return the exit code of the command, or minus the signal that killed it."""
    command = ["restore", "upscale", str(folder / "in"), "-o", str(folder / out), "--model", "bicubic"]
    command += ["--device", "cpu", *(["--strip"] if strip else [])]
    return run_forked(command, kill_after=kill_after)


def _draw(folder: Path) -> None:
    folder.mkdir()
    for seed in range(IMAGES):
        pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


def _dates(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def _same(found: dict[str, bytes], expected: dict[str, bytes]) -> bool:
    """Compare all files except the record, whose order and repetitions depend on the kills."""
    return found.keys() == expected.keys() and all(
        found[name] == expected[name] for name in expected if name != RECORD
    )


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
