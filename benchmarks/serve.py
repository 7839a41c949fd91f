"""Compare `restore serve` with the same work in process: latency of one image, and throughput of a folder.

::

    python benchmarks/serve.py photos/
    python benchmarks/serve.py photos/ --model bicubic --clients 8 --json

The server runs in a process of its own, as users run it. Both sides are measured in turns, so that other load
on the machine affects both.
"""

from __future__ import annotations

import itertools
import json as jsonlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
import typer
from PIL import Image, ImageOps

from restore.allocator import keep_memory
from restore.batch import Job, run_all
from restore.errors import DataError, RestoreError
from restore.images import is_image_name
from restore.inference import AnyRestorer, load
from restore.report import plain_table


@contextmanager
def server(model: str, device: str, content: bytes) -> Iterator[httpx.Client]:
    """Start a server, and restore one image so that the model is loaded."""
    command = [sys.executable, "-m", "restore", "serve", "--port", "0", "--device", device]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - itself
        try:
            found = None
            for line in process.stderr or ():
                if found := re.search(r"ready at (http://\S+)/;", line):
                    break
            if found is None:
                raise RestoreError("the server did not start", hint="run 'restore serve'")
            with httpx.Client(base_url=found[1], timeout=600, params={"model": model}) as client:
                post(client, content)
                yield client
        finally:
            process.terminate()


def square(file: Path, side: int) -> bytes:
    """The center of an image, resized: the bytes of a PNG file."""
    buffer = BytesIO()
    with Image.open(file) as image:
        ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def post(client: httpx.Client, content: bytes) -> None:
    """Have one image restored, and wait while the server is busy."""
    while (
        answer := client.post("/api/restore", content=content)
    ).status_code == httpx.codes.TOO_MANY_REQUESTS:
        time.sleep(float(answer.headers["retry-after"]))
    answer.raise_for_status()


def run(restorer: AnyRestorer, files: list[Path]) -> None:
    """Restore files in process: load, restore and encode, as `restore upscale` does."""
    with TemporaryDirectory() as folder:
        for outcome in run_all([Job(file, Path(folder) / file.name) for file in files], restorer):
            if outcome.status == "failed":
                raise DataError(outcome.reason, path=str(outcome.source), hint="leave it out")


def latencies(client: httpx.Client, restorer: AnyRestorer, content: bytes, runs: int) -> tuple[float, float]:
    """Median seconds for one image through the server, and in process."""
    served, direct = [], []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        file.write_bytes(content)
        run(restorer, [file])
        for _ in range(runs):
            begin = time.perf_counter()
            post(client, content)
            between = time.perf_counter()
            run(restorer, [file])
            served.append(between - begin)
            direct.append(time.perf_counter() - between)
    return median(served), median(direct)


def throughputs(
    client: httpx.Client, restorer: AnyRestorer, files: list[Path], clients: int, runs: int
) -> tuple[float, float]:
    """Median images per second through the server with several clients, and of a batch in process."""
    contents = [file.read_bytes() for file in files]
    served, direct = [], []
    for _ in range(runs):
        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(post, itertools.repeat(client), contents))
        between = time.perf_counter()
        run(restorer, files)
        served.append(len(files) / (between - begin))
        direct.append(len(files) / (time.perf_counter() - between))
    return median(served), median(direct)


def main(
    folder: Annotated[Path, typer.Argument(help="Images of the throughput.")],
    *,
    model: Annotated[str, typer.Option(help="Model of both.")] = "enhancenet",
    side: Annotated[int, typer.Option(min=8, help="Side of the image whose latency is measured.")] = 256,
    clients: Annotated[int, typer.Option(min=1, help="Clients at the same time.")] = 8,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions, of which the median is printed.")] = 5,
    device: Annotated[str, typer.Option(help="Device of both.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print latency and throughput through the server and in process."""
    files = sorted(file for file in folder.iterdir() if is_image_name(file)) if folder.is_dir() else []
    if not files:
        raise DataError("there is no image", path=folder, hint="give a folder of images")
    keep_memory()  # as both commands do
    restorer = load(model, device=device)
    content = square(files[0], side)
    with server(model, device, content) as client:
        latency = latencies(client, restorer, content, runs)
        throughput = throughputs(client, restorer, files, clients, runs)
    found = {
        "latency_ms": 1000 * latency[0],
        "latency_in_process_ms": 1000 * latency[1],
        "latency_difference_ms": 1000 * (latency[0] - latency[1]),
        "images_per_second": throughput[0],
        "images_per_second_in_process": throughput[1],
        "throughput_ratio": throughput[0] / throughput[1],
    }
    if json:
        typer.echo(jsonlib.dumps(found))
        return
    typer.echo(f"{model}, {len(files)} images, {clients} clients, median of {runs} runs\n")
    rows = [
        [f"latency of {side}x{side} (ms)", *(f"{1000 * value:.1f}" for value in latency)],
        ["images per second", *(f"{value:.2f}" for value in throughput)],
    ]
    rows[0].append(f"+{found['latency_difference_ms']:.1f} ms")
    rows[1].append(f"ratio {found['throughput_ratio']:.2f}")
    typer.echo(plain_table(["", "server", "in process", "difference"], rows))


if __name__ == "__main__":
    try:
        typer.run(main)
    except RestoreError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(problem.exit_code)
