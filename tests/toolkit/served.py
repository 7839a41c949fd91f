"""A real server process for tests, and what its tests ask of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

__all__ = ["BICUBIC", "Server", "encoded", "pixels", "posted", "problem", "started", "wait_for"]

BICUBIC = {"model": "bicubic", "scale": "2"}
"""A job that takes no time."""


@dataclass
class Server:
    """A server process, and where it listens and keeps its files."""

    process: subprocess.Popen[str]
    address: str
    folder: Path
    messages: list[str]

    def client(self, **settings: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=120, **settings)

    def kept(self) -> list[Path]:
        """Uploads and results; of finished requests nothing else is there."""
        return [path for path in self.folder.glob("restore-serve-*/*") if path.name != "lock"]

    def wait(self, client: httpx.Client, job: str) -> dict[str, Any]:
        """The job when it has ended."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
            if found["state"] not in ("queued", "running"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"job {job} does not end")

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(60)


LIMITED = """
import sys
from pathlib import Path
from restore.registry import discover
from restore.serve import Address, Limits, RestorerCache, PrivateFolder, Service, serve

limits = Limits(**{name: float(value) for name, value in (given.split("=") for given in sys.argv[2:])})
with PrivateFolder(Path(sys.argv[1])) as folder:
    service = Service(RestorerCache(discover(), {"device": "cpu"}), folder, limits)
    serve(service, Address(port=0), lambda page: print(f"ready at {page};", file=sys.stderr, flush=True))
"""
"""A server with limits that the command has no options for."""


@contextmanager
def started(folder: Path, *options: object, **limits: float) -> Iterator[Server]:
    """Start `restore serve` with files below `folder`; fail if it prints a traceback.

    With `limits`, the server is started from Python instead.
    """
    command = ["-m", "restore", "serve", "--port", "0", "--device", "cpu", "--folder", str(folder)]
    if limits:
        command = ["-c", LIMITED, str(folder), *(f"{name}={value}" for name, value in limits.items())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RESTORE_DISABLE_PLUGINS": "spandrel"}
    process = subprocess.Popen(
        [sys.executable, *command, *map(str, options)], stderr=subprocess.PIPE, text=True, env=environment
    )
    messages: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            messages.append(line)
            if found := re.search(r"ready at (http://\S+)/;", line):
                break
        else:
            raise AssertionError(f"the server did not start: {messages}")
        rest = threading.Thread(target=lambda: messages.extend(process.stderr or ()), daemon=True)
        rest.start()
        yield Server(process, found[1], folder, messages)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    rest.join(10)
    assert "Traceback" not in "".join(messages), "".join(messages)


def encoded(width: int = 24, height: int = 16, seed: int = 0, kind: str = "PNG", **settings: Any) -> bytes:
    """The bytes of an image file of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **settings)
    return buffer.getvalue()


def posted(client: httpx.Client, content: bytes, name: str = "a.png", **fields: str) -> httpx.Response:
    """The answer to an image that is to be enlarged twice."""
    return client.post("/api/jobs", files={"image": (name, content)}, data=BICUBIC | fields)


def problem(answer: httpx.Response, status: int) -> str:
    """The sentence of an answer that refuses a request."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    return str(document["detail"])


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def pixels(content: bytes) -> Any:
    """The pixels of an image file as an array."""
    with Image.open(BytesIO(content)) as image:
        return np.array(image)
