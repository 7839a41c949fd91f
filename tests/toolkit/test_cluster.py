"""Batches on a cluster: a scheduler and two workers as processes, which die in all ways that are foreseen."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import pytest
import served
from distributed import Client
from PIL import Image

import restore
from restore.batch import Job, Naming, plan, run_all
from restore.batch.cluster import ClusterExecutor
from restore.checkpoint import WeightsCard, save_weights
from restore.cluster import Cluster, Recipe, Reply, connect, weights_of
from restore.errors import RestoreError, UsageError, WeightsError
from restore.images import read_provenance
from restore.inference import Restorer

HOOK = """
import os, signal, sys, time

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if arguments[0].endswith("deadly.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "slow" in arguments[0].rpartition("/")[2]:
            time.sleep(0.1)

sys.addaudithook(hook)
"""
"""For workers: opening one file kills the process, and opening others takes a while."""

LIMITS = ("--host", "127.0.0.1", "--no-dashboard", "--nthreads", 1, "--memory-limit", 0)
"""Of each worker."""


@dataclass(frozen=True)
class Nodes:
    """A scheduler, and the process that starts its workers and replaces those that end."""

    address: str

    def pids(self) -> set[int]:
        with Client(self.address, set_as_default=False) as client:
            return set(client.run(os.getpid, on_error="ignore").values())

    def tasks(self) -> int:
        with Client(self.address, set_as_default=False) as client:
            return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


def started(file: Path, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *map(str, arguments), "--scheduler-file", str(file)]
    return subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def scheduler(file: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    local = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
    process = started(file, "scheduler", *local, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    wait_for(file.exists)
    return process, str(json.loads(file.read_text())["address"])


wait_for = partial(served.wait_for, seconds=120)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "sitecustomize.py").write_text(HOOK)
    first, address = scheduler(folder / "scheduler.json")
    of_two = ("--nworkers", 2, "--local-directory", folder)
    workers = started(folder / "scheduler.json", "worker", *LIMITS, *of_two, PYTHONPATH=str(folder))
    try:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        yield Nodes(address)
    finally:
        for process in (workers, first):
            process.terminate()
            process.wait(60)


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", (8, 6), (index, 2 * index, 90)).save(folder / f"{name}.png")
    return folder


def statuses(done: Any) -> dict[str, str]:
    return {Path(row["source"]).stem: row["status"] for row in done.rows}


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_results_on_a_cluster_are_equal_to_the_byte_and_failures_name_their_worker(
    tmp_path: Path, nodes: Nodes, upscale: Callable[..., Any]
) -> None:
    folder = pictures(tmp_path / "in", *"abcdef")
    (folder / "f.png").write_bytes(b"no image")
    here = upscale(folder, "--json", "-o", tmp_path / "here", cwd=tmp_path)
    there = upscale("in", "--json", "-o", "there", "--cluster", nodes.address)
    assert (here.returncode, there.returncode) == (1, 1)
    assert statuses(there) == statuses(here) == dict.fromkeys("abcde", "done") | {"f": "failed"}
    assert content(tmp_path / "there") == content(tmp_path / "here")
    (failed,) = [row for row in there.rows if row["status"] == "failed"]
    assert failed["source"] == "in/f.png"
    assert "(on worker tcp://127.0.0.1:" in failed["reason"]
    assert there.stderr.count("in/f.png") == 1
    assert "cluster: 2 workers; dashboard: http://127.0.0.1:" in there.stderr
    again = upscale("in", "--json", "-o", "there", "--cluster", nodes.address)
    assert statuses(again) == dict.fromkeys("abcde", "skipped") | {"f": "failed"}


@pytest.mark.parametrize("number", [1, 2])
def test_pictures_of_a_killed_worker_are_done_elsewhere(
    tmp_path: Path, nodes: Nodes, number: int, upscale: Callable[..., Any]
) -> None:
    folder = pictures(tmp_path / "in", *(f"slow{index}" for index in range(20)))
    victim = sorted(nodes.pids())[0]
    results = tmp_path / "out"

    def kill() -> None:
        wait_for(lambda: results.is_dir() and len(list(results.glob("slow*"))) >= number)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = upscale(folder, "--json", "-o", results, "--cluster", nodes.address)
    killer.join()
    # A result that was written just before its worker was killed is there already.
    assert set(statuses(done).values()) <= {"done", "skipped"}
    assert (done.returncode, len(done.rows), done.stderr.count("\n")) == (0, 20, 1)
    wait_for(lambda: len(nodes.pids()) == 2)
    assert victim not in nodes.pids()
    assert {file.name for file in results.iterdir()} == {file.name for file in folder.iterdir()}


def test_a_picture_that_kills_three_workers_is_given_up_and_the_others_are_done(
    tmp_path: Path, nodes: Nodes, upscale: Callable[..., Any]
) -> None:
    folder = pictures(tmp_path / "in", "a", "b", "deadly", "slow1", "slow2", "slow3")
    done = upscale(folder, "--json", "-o", tmp_path / "out", "--cluster", nodes.address)
    assert done.returncode == 1
    assert {file.stem for file in (tmp_path / "out").glob("*.png")} == {"a", "b", "slow1", "slow2", "slow3"}
    assert len(done.rows) == 6
    (failed,) = [row for row in done.rows if row["status"] == "failed"]
    assert Path(failed["source"]).stem == "deadly"
    assert failed["reason"].startswith("3 workers ended while they worked on it, the last one at tcp://")


def test_a_batch_that_is_closed_leaves_nothing_in_the_scheduler(tmp_path: Path, nodes: Nodes) -> None:
    folder = pictures(tmp_path / "in", *(f"slow{index}" for index in range(9)))
    found = plan([str(folder)], Naming("_x4", tmp_path / "out"))
    with connect(nodes.address) as cluster:
        restorer = restore.load("bicubic", device="cpu")
        outcomes = run_all(found.jobs, restorer, executor=ClusterExecutor(cluster, "cpu"))
        assert next(outcomes).status == "done"
        with pytest.raises(KeyboardInterrupt):
            outcomes.throw(KeyboardInterrupt())  # type: ignore[attr-defined]  # a generator
        wait_for(lambda: nodes.tasks() == 0)
    wait_for(lambda: not list((tmp_path / "out").glob(".restore-*")))


def test_a_few_items_per_worker_are_in_the_scheduler_at_a_time(nodes: Nodes) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(60):
            taken.append(number)
            yield number

    with connect(nodes.address) as cluster:
        most = 0
        for done, _ in enumerate(cluster.map(lambda number, _: 2 * number, items())):
            most = max(most, len(taken) - done)
    assert len(taken) == 60
    assert most <= 2 * 3 + 1, "three for each of two workers, and the next"


def test_an_interrupted_command_ends_with_130_and_leaves_nothing_in_the_scheduler(
    tmp_path: Path, nodes: Nodes
) -> None:
    pictures(tmp_path / "in", *(f"slow{index}" for index in range(60)))
    command = [sys.executable, "-m", "restore", "upscale", "--model", "bicubic", "in", "-o", "out"]
    process = subprocess.Popen(
        [*command, "--cluster", nodes.address], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: bool(list(tmp_path.glob("out/slow*"))) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    wait_for(lambda: nodes.tasks() == 0)
    wait_for(lambda: not list((tmp_path / "out").glob(".restore-*")))
    assert 0 < len(list((tmp_path / "out").glob("slow*"))) < 60


def test_a_worker_with_other_versions_is_refused(
    tmp_path: Path, nodes: Nodes, upscale: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "site" / "restore_other-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: restore-other\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[restore.plugins]\nother = restore_other\n")
    (tmp_path / "site" / "restore_other.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    done = upscale(pictures(tmp_path / "in", "a"), "--cluster", nodes.address)
    assert done.returncode == 1
    assert "has restore-other missing instead of 1.0; install the same versions" in done.stderr
    assert not (tmp_path / "in_x4").exists()


def test_the_death_of_the_scheduler_ends_the_client(tmp_path: Path, upscale: Callable[..., Any]) -> None:
    process, address = scheduler(tmp_path / "scheduler.json")
    killer = threading.Timer(3, process.kill)
    killer.start()
    done = upscale(pictures(tmp_path / "in", "a"), "-o", tmp_path / "out", "--cluster", address)
    process.wait(60)
    assert done.returncode == 1
    assert "no workers yet" in done.stderr
    assert "error: the connection to the scheduler is lost; start the scheduler again" in done.stderr
    assert "Traceback" not in done.stderr
    assert upscale(tmp_path / "in", "-o", tmp_path / "out").returncode == 0


def test_a_scheduler_that_does_not_come_back_costs_no_threads_and_files(tmp_path: Path) -> None:
    process, address = scheduler(tmp_path / "scheduler.json")
    with connect(address, patience=1) as cluster:
        process.kill()
        process.wait(60)
        wait_for(lambda: fails(cluster) == "no scheduler answers")
        before = resources()
        for _ in range(3):
            assert fails(cluster) == "no scheduler answers"
        assert resources() <= before


def fails(cluster: Cluster) -> str:
    with pytest.raises(RestoreError) as raised:
        list(cluster.map(lambda number, _: number, [1]))
    return raised.value.problem.partition(" at ")[0]


def resources() -> int:
    """Threads and open files of this process."""
    gc.collect()
    files = Path("/proc/self/fd")
    return threading.active_count() + (len(list(files.iterdir())) if files.exists() else 0)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("local:0", "'local:0' has no number of workers; set --cluster to local:4"),
        ("somewhere", "'somewhere' is not the address of a scheduler"),
    ],
)
def test_an_address_of_another_form_is_refused(
    tmp_path: Path, upscale: Callable[..., Any], address: str, problem: str
) -> None:
    done = upscale(pictures(tmp_path / "in", "a"), "--cluster", address)
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_scheduler_with_tls_needs_certificates_here(tmp_path: Path, upscale: Callable[..., Any]) -> None:
    done = upscale(pictures(tmp_path / "in", "a"), "--cluster", "tls://127.0.0.1:1")
    assert done.returncode == 1
    assert "error: there are no certificates for tls://127.0.0.1:1; set " in done.stderr


def test_a_worker_here_that_takes_long_to_start_again_is_not_given_up() -> None:
    others = set(multiprocessing.active_children())
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 ms"}), connect("local:1") as cluster:
        (process,) = set(multiprocessing.active_children()) - others
        process.kill()
        wait_for(lambda: cluster.workers == 0)
        wait_for(lambda: cluster.workers == 1)


def test_standard_input_is_refused(tmp_path: Path, upscale: Callable[..., Any]) -> None:
    done = upscale("-", "-o", tmp_path / "a.png", "--cluster", "local:2")
    assert done.returncode == 2
    assert "the workers of a cluster have no standard input and output" in done.stderr


# Evaluation


def values(done: Any) -> list[dict[str, Any]]:
    """The rows of an evaluation without its times."""
    rows = done.rows
    for row in rows:
        for image in row["images"]:
            del image["seconds"]
    return [{key: row[key] for key in ("model", "data", "images", "failures", "protocol")} for row in rows]


def test_an_evaluation_on_a_cluster_gives_the_same_values(
    targets: Path, nodes: Nodes, run: Callable[..., Any]
) -> None:
    (targets / "broken.png").write_bytes(b"no image")
    command = (
        "evaluate",
        "--model",
        "bicubic",
        "--data",
        "targets",
        "--metric",
        "psnr",
        "--metric",
        "l1",
        "--json",
    )
    changed = ("--degradation", "bicubic+jpeg", "--set", "jpeg.quality=40")
    here = run(*command, *changed, cwd=targets.parent)
    there = run(*command, *changed, "--cluster", nodes.address)
    assert (here.returncode, there.returncode) == (1, 1)
    (expected,), (found,) = values(here), values(there)
    reason = found["failures"].pop("broken.png")
    assert reason.startswith(f"{expected['failures'].pop('broken.png')} (on worker tcp://127.0.0.1:")
    assert found == expected
    assert len(found["images"]) == 3


# A server


def test_a_server_restores_on_the_workers_of_a_cluster_and_uses_a_scheduler_that_was_started_again(
    tmp_path: Path,
) -> None:
    image = served.encoded()
    (tmp_path / "a.png").write_bytes(image)
    here = tmp_path / "here.png"
    list(run_all([Job(tmp_path / "a.png", here)], restore.load("bicubic", scale=2, device="cpu")))
    process, address = scheduler(tmp_path / "scheduler.json")
    workers = [
        started(tmp_path / "scheduler.json", "worker", *LIMITS, "--local-directory", tmp_path / "worker")
    ]
    try:
        with served.started(tmp_path / "files", "--cluster", address) as server, server.client() as client:

            def submitted(content: bytes, name: str, **fields: str) -> dict[str, Any]:
                answer = client.post("/api/jobs", files={"image": (name, content)}, data=fields)
                return server.wait(client, answer.json()["id"])

            done = submitted(image, "a.png", model="bicubic", scale="2")
            assert (done["state"], done["model"], done["size"]) == ("done", "bicubic", [48, 32])
            assert client.get(f"/api/jobs/{done['id']}/result").content == here.read_bytes()
            damaged = bytearray(image)
            damaged[len(damaged) // 2 :] = bytes(len(damaged) - len(damaged) // 2)
            failed = submitted(bytes(damaged), "b.png", model="bicubic", scale="2")
            assert (failed["state"], "on worker tcp://127.0.0.1:" in failed["reason"]) == ("failed", True)
            assert str(tmp_path) not in failed["reason"]
            process.kill()
            lost = submitted(image, "c.png", model="bicubic", scale="2")
            assert lost["state"] == "failed"
            assert re.search(
                "the connection to the scheduler is lost|no scheduler answers at", lost["reason"]
            )
            process.wait(60)
            time.sleep(1)  # until the server has noticed
            lost = submitted(image, "c.png", model="bicubic", scale="2")
            assert (lost["state"], "no scheduler answers at" in lost["reason"]) == ("failed", True)
            assert client.get("/api/health").json()["status"] == "ok"

            (tmp_path / "scheduler.json").unlink()
            process, again = scheduler(tmp_path / "scheduler.json", int(address.rpartition(":")[2]))
            assert again == address
            workers.append(
                started(tmp_path / "scheduler.json", "worker", *LIMITS, "--local-directory", tmp_path / "new")
            )
            done = submitted(image, "d.png", model="bicubic", scale="2")
            assert (done["state"], done["reason"]) == ("done", "")
    finally:
        for each in (process, *workers):
            each.kill()
            each.wait(60)


# What workers keep


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """In place of a cluster: this thread, as the only one of a worker."""
    monkeypatch.setattr(
        restore.batch.cluster, "get_worker", lambda: SimpleNamespace(local_directory=tmp_path)
    )

    def results(work: Any, items: Any, contents: Any, _: object) -> Iterator[Any]:
        for item in items:
            sent = pickle.loads(pickle.dumps(work))  # noqa: S301 - made above
            yield item, Reply(sent(item, contents), "here")

    return SimpleNamespace(map=results)


def test_a_worker_sees_that_a_picture_has_changed_between_two_batches(tmp_path: Path, here: Any) -> None:
    source = pictures(tmp_path / "in", "a") / "a.png"
    restorer = restore.load("bicubic", device="cpu")

    def run() -> str:
        jobs = [Job(source, tmp_path / "out" / "a.png")]
        (outcome,) = run_all(jobs, restorer, existing="skip", executor=ClusterExecutor(here, "cpu"))
        return outcome.status

    assert [run(), run()] == ["done", "skipped"]
    Image.new("RGB", (8, 6), (200, 100, 50)).save(source)
    assert [run(), run()] == ["done", "skipped"]


def test_a_worker_removes_folders_that_it_made_and_that_stayed_empty(tmp_path: Path, here: Any) -> None:
    folder = pictures(tmp_path / "in", "a")
    (folder / "b.png").write_bytes(b"no image")
    jobs = [Job(folder / f"{name}.png", tmp_path / "out" / name / f"{name}.png") for name in "ab"]
    outcomes = run_all(jobs, restore.load("bicubic", device="cpu"), executor=ClusterExecutor(here, "cpu"))
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a"]


# What workers load


def test_a_recipe_loads_an_equal_model(tmp_path: Path) -> None:
    restorer = restore.load("bicubic", scale=2.5, device="cpu", precision="fp32", tile=64, self_ensemble=True)
    again = Recipe.of(restorer, "cpu").restorer()
    assert isinstance(again, Restorer)
    assert (again.output_scale, again.precision, again.tile, again.self_ensemble) == (2.5, "fp32", 64, True)
    assert Recipe.of(restorer, "cpu").restorer() is again


def test_weights_in_a_file_reach_a_machine_that_lacks_them(
    tmp_path: Path, toys: restore.registry.Registry
) -> None:
    spec = toys.models["srcnn"]
    file = tmp_path / "mine" / "generator.safetensors"
    save_weights(file, spec.build(4, spec.options()), WeightsCard(model="srcnn", scale=4))
    restorer = restore.load(f"srcnn:{file}", device="cpu", precision="fp32")
    recipe = Recipe.of(restorer, "cpu")
    sent = weights_of(recipe)
    file.unlink()
    with pytest.raises(WeightsError, match="this worker does not have the weights"):
        recipe.restorer()
    again = recipe.restorer(sent)
    assert isinstance(again, Restorer)
    assert again.model.digest == restorer.model.digest
    source = pictures(tmp_path / "in", "a") / "a.png"
    for name, one in (("a", restorer), ("b", again)):
        list(run_all([Job(source, tmp_path / name / "a.png")], one))
    assert content(tmp_path / "a") == content(tmp_path / "b")
    made = read_provenance(tmp_path / "b" / "a.png")
    assert made
    assert made.model == "srcnn:generator.safetensors"
    other = replace(recipe, digest="0" * 64)
    with pytest.raises(WeightsError, match="differ from the client's"):
        other.restorer(sent)


def test_an_error_keeps_its_parts_and_notes_between_processes() -> None:
    error = UsageError("wrong", path="a.png", hint="do it right")
    error.add_note("a traceback")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made above
    assert (str(again), again.__notes__) == ("a.png: wrong; do it right", ["a traceback"])
