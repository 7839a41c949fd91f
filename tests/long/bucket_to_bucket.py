"""Restore pictures from one bucket into another on two workers, one of which is killed on the way.

::

    python tests/long/bucket_to_bucket.py --pictures 2000

The buckets are those of moto's server in this process. Afterwards every result has to be there, equal to the
byte to the one that is made from a file on disk, and the same command has to find nothing to do.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import numpy as np
from distributed import Client
from killing import must
from moto.server import ThreadedMotoServer
from PIL import Image
from workers import two_workers

import restore
from restore.batch import Job, Naming, Outcome, Output, run_all
from restore.batch.cluster import ClusterExecutor
from restore.batch.skipping import Results
from restore.batch.stores import plan_stores
from restore.cluster import connect
from restore.inference import Restorer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=2000)
    count = parser.parse_args().pictures
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "OMP_NUM_THREADS": "1",
    }
    store = fsspec.filesystem("s3", use_listings_cache=False)
    for bucket in ("from", "into"):
        store.mkdir(bucket)
    for index in range(count):
        store.pipe_file(f"from/{index % 10}/{index:06}.png", _picture(index))
    sys.stderr.write(f"{count} pictures are in the bucket\n")
    with (
        TemporaryDirectory() as folder,
        two_workers() as cluster,
    ):
        _check(store, count, str(cluster.scheduler_address), Path(folder))
    server.stop()
    return 0


def _check(store: Any, count: int, address: str, folder: Path) -> None:
    restorer = restore.load("bicubic", device="cpu")
    begin = time.monotonic()
    first = _run(restorer, address, kill_after=count // 3)
    seconds = time.monotonic() - begin
    must(sum(first.values()) == count and set(first) <= {"done", "skipped"}, f"not all are done: {first}")
    must(len(store.find("into")) == count + 1, "there are other objects than results and one record")
    for index in range(0, count, max(count // 20, 1)):
        source = folder / f"{index:06}.png"
        source.write_bytes(_picture(index))
        list(run_all([Job(source, folder / "out" / source.name)], restorer))
        same = (
            store.cat_file(f"into/{index % 10}/{source.name}") == (folder / "out" / source.name).read_bytes()
        )
        must(same, f"the result of {source.name} differs")
    again = _run(restorer, address)
    must(again == {"skipped": count}, f"something was done again: {again}")
    sys.stderr.write(f"{count} pictures in {seconds:.0f} s, {count / seconds:.1f} per second: {first}\n")


def _run(restorer: Restorer, address: str, kill_after: int | None = None) -> dict[str, int]:
    """How many pictures had which outcome."""
    counts: dict[str, int] = {}

    def see(outcome: Outcome) -> None:
        must(outcome.error is None, str(outcome.error))
        counts[outcome.status] = counts.get(outcome.status, 0) + 1

    plan = plan_stores(["s3://from"], "s3://into", Naming("_x4"), recursive=True)
    jobs = []
    for item in plan.items(Results(restorer, Output(), "skip"), "skip"):
        see(item) if isinstance(item, Outcome) else jobs.append(item)
    with connect(address) as cluster:
        for outcome in plan.recorded(run_all(jobs, restorer, executor=ClusterExecutor(cluster, "cpu"))):
            see(outcome)
            if sum(counts.values()) == kill_after:
                with Client(address, set_as_default=False) as client:
                    os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
    return counts


def _picture(seed: int) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
