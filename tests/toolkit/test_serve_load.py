"""`restore serve` with many clients, with clients that go away, and at its end."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from served import BICUBIC, Server, encoded, pixels, posted, problem, started, wait_for


def test_fifty_clients_at_once_all_get_their_own_image(client: httpx.Client, server: Server) -> None:
    def one(seed: int) -> bool:
        with server.client() as own:
            content = encoded(16 + seed, 16, seed)
            answer = own.post("/api/restore", params=BICUBIC, content=content)
            return answer.status_code == 200 and pixels(answer.content).shape[1] == 2 * (16 + seed)

    before = set(server.kept())
    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(50)))
    assert set(server.kept()) <= before, "nothing is left behind"


def test_a_thousand_small_jobs_need_no_more_memory_than_a_few(server: Server) -> None:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("needs the figures of Linux")
    content, local = encoded(16, 16), threading.local()

    def memory() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmRSS" in line)

    def one(_: int) -> int:
        if not hasattr(local, "client"):
            local.client = server.client()
        answer: httpx.Response = local.client.post("/api/restore", params=BICUBIC, content=content)
        return answer.status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(50))) == {200}
        before = memory()
        assert set(pool.map(one, range(1000))) == {200}
    assert memory() - before < 64 * 1024, "KiB"


def test_a_full_queue_answers_429_and_retrying_gets_everything_done(tmp_path: Path) -> None:
    with started(tmp_path, "--queue", 4) as server, server.client() as client:
        image = client.post("/api/images", files={"image": ("a.png", encoded(200, 200))}).json()["id"]
        long = client.post("/api/jobs", json={"image": image, "model": "enhancenet:pat"})
        refused = 0
        jobs = [long.json()["id"]]  # while it runs, others wait
        while len(jobs) < 40:
            answer = client.post("/api/jobs", json={"image": image, "model": "bicubic"})
            if answer.status_code == 429:
                refused += 1
                assert int(answer.headers["retry-after"]) > 0
                time.sleep(0.02)
            else:
                jobs.append(answer.json()["id"])
        assert refused > 0
        assert {server.wait(client, job)["state"] for job in jobs} == {"done"}


def test_a_canceled_job_stops_and_leaves_nothing(client: httpx.Client, server: Server) -> None:
    image = client.post("/api/images", files={"image": ("a.png", encoded(300, 300))}).json()
    before = set(server.kept())
    body = {"image": image["id"], "model": "enhancenet:pat"}
    first, second = (client.post("/api/jobs", json=body).json()["id"] for _ in range(2))
    for job in (second, first):
        assert client.delete(f"/api/jobs/{job}").status_code == 204
        problem(client.get(f"/api/jobs/{job}"), 404)
    job = posted(client, encoded()).json()
    assert server.wait(client, job["id"])["state"] == "done", "the server goes on"
    client.delete(f"/api/jobs/{job['id']}")
    client.delete(f"/api/images/{job['image']}")
    assert set(server.kept()) <= before


def test_a_client_that_goes_away_ends_its_upload_and_its_job(client: httpx.Client, server: Server) -> None:
    before = set(server.kept())
    address = urlsplit(server.address)
    content = encoded(300, 300)
    head = f"POST /api/restore?model=enhancenet:pat HTTP/1.1\r\nHost: {address.netloc}\r\n"
    for body in (content[:1000], content):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + body)
            time.sleep(0.3)
    wait_for(lambda: set(server.kept()) <= before and client.get("/api/health").json()["running"] == 0)


def test_sigterm_ends_streams_and_removes_everything(tmp_path: Path) -> None:
    with started(tmp_path) as server, server.client() as client:
        group = "group-of-this-test-1"
        body = {"model": "enhancenet:pat", "group": group}
        for _ in range(3):
            client.post("/api/jobs", files={"image": ("a.png", encoded(400, 400))}, data=body)
        listening, ended = threading.Event(), threading.Event()

        def listen() -> None:
            with (
                server.client() as other,
                other.stream("GET", "/api/events", params={"group": group}) as stream,
            ):
                for _ in stream.iter_lines():
                    listening.set()
            ended.set()

        threading.Thread(target=listen, daemon=True).start()
        assert listening.wait(30)
        assert server.stop() == 0
        assert ended.wait(10)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a kill that cannot be handled")
def test_the_next_server_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    with started(tmp_path) as server, server.client() as client:
        posted(client, encoded())
        server.stop(signal.SIGKILL)
        (orphan,) = tmp_path.iterdir()
        assert server.kept()
    with started(tmp_path) as server:
        (folder,) = tmp_path.iterdir()
        assert folder != orphan
        assert folder.stat().st_mode & 0o077 == 0, "others cannot read it"
        with started(tmp_path) as second:
            assert len(list(tmp_path.iterdir())) == 2, "a server that runs keeps its folder"
            assert second.process.poll() is None


def test_a_port_that_is_in_use_is_an_error_in_one_sentence(server: Server, tmp_path: Path) -> None:
    port = urlsplit(server.address).port
    with (
        pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{port}"),
        started(tmp_path, "--port", port),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_uploads_and_results_are_removed_after_a_time(tmp_path: Path) -> None:
    with started(tmp_path, "--keep", 0.1) as server, server.client() as client:
        job = posted(client, encoded()).json()["id"]
        server.wait(client, job)
        wait_for(lambda: server.kept() == [])
        problem(client.get(f"/api/jobs/{job}"), 404)
