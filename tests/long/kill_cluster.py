"""Kill workers of a cluster in the middle of a batch, and compare with an undisturbed batch.

::

    python tests/long/kill_cluster.py --rounds 20

Each round restores the same pictures into an empty folder on two workers, and kills (SIGKILL) one of them
after a random number of results. Then every picture has to be there once, equal to the byte.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from distributed import Client, Nanny, Status
from killing import must
from PIL import Image
from workers import two_workers

import restore
from restore.batch import Naming, plan, run_all
from restore.batch.cluster import ClusterExecutor
from restore.cluster import connect

PICTURES = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311
    with (
        TemporaryDirectory() as folder,
        two_workers() as cluster,
    ):
        return _rounds(Path(folder), given.rounds, chance, str(cluster.scheduler_address))


def _rounds(folder: Path, rounds: int, chance: random.Random, address: str) -> int:
    (folder / "in").mkdir()
    pixels = np.random.default_rng(0)
    for index in range(PICTURES):
        image = Image.fromarray(pixels.integers(0, 256, (160, 160, 3), np.uint8))
        image.save(folder / "in" / f"{index:02}.png")
    restorer = restore.load("bicubic", device="cpu")
    found = plan([str(folder / "in")], Naming("_x4", folder / "expected"))
    must(all(outcome.status == "done" for outcome in run_all(found.jobs, restorer)), "the batch failed")
    expected = _content(folder / "expected")
    for number in range(rounds):
        jobs = plan([str(folder / "in")], Naming("_x4", folder / "out")).jobs
        moment, seen = chance.randrange(PICTURES - 4), []
        with connect(address) as cluster:
            for outcome in run_all(jobs, restorer, existing="skip", executor=ClusterExecutor(cluster, "cpu")):
                must(outcome.error is None, f"round {number}: {outcome.error}")
                seen.append(outcome.source)
                if len(seen) == moment + 1:
                    _kill(address, chance)
        must(
            sorted(map(str, seen)) == sorted(str(job.source) for job in jobs),
            f"round {number}: not once each",
        )
        must(_content(folder / "out") == expected, f"round {number}: the results differ")
        shutil.rmtree(folder / "out")
        sys.stderr.write(f"round {number + 1} of {rounds}: killed after {moment + 1} results\n")
    return 0


def _kill(address: str, chance: random.Random) -> None:
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        # Dask does not start a worker again that ends before its nanny has seen it run.
        while not all(client.run(_runs, nanny=True).values()):
            time.sleep(0.1)
        os.kill(chance.choice(sorted(client.run(os.getpid).values())), signal.SIGKILL)


def _runs(dask_worker: Nanny) -> bool:
    """Whether a nanny has seen its worker run; the name of the argument is Dask's."""
    return dask_worker.process is not None and dask_worker.process.status == Status.running


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.png")}


if __name__ == "__main__":
    sys.exit(main())
