"""Train several runs in two connected processes, each at once and resumed after its second step.

`train_in_two` starts this file twice: two processes for each run would spend most of their time importing.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from covering import states, with_covering
from safetensors.torch import load_file
from training_runs import log

from restore.config import TrainingConfig
from restore.registry import Registry, discover
from restore.training import train

__all__ = ["differing", "far_apart", "in_one_process", "rewound", "train_in_two"]

_PATIENCE = 240  # seconds
_PHASES = ("whole", "resumed")

Fields = Mapping[str, Any]
"""The fields of the configuration of a run."""


def train_in_two(runs: Mapping[str, Fields], folder: Path, site: Path) -> dict[str, str]:
    """Train each run in two processes, as ``NUMBER/whole`` and ``NUMBER/resumed`` in `folder`.

    Args:
        runs: name -> settings.
        folder: where to write.
        site: for PYTHONPATH, with the toy plugin.

    Returns:
        Name -> what went wrong.
    """
    ports, listed = _free_ports(len(_PHASES) * len(runs)), list[dict[str, Any]]()
    for number, fields in enumerate(runs.values()):
        place = folder / str(number)
        place.mkdir()
        listed.append({"folder": str(place), "settings": fields, "ports": ports[2 * number : 2 * number + 2]})
    (folder / "runs.json").write_text(json.dumps(listed))
    with ExitStack() as stack:
        ranks = [_started(rank, folder / "runs.json", site) for rank in (0, 1)]
        for process in ranks:
            stack.callback(process.kill)
        for process in ranks:
            _, stderr = process.communicate(timeout=10 * _PATIENCE)
            assert process.returncode == 0, stderr
    errors = {name: folder / str(number) / "error.txt" for number, name in enumerate(runs)}
    return {name: file.read_text() for name, file in errors.items() if file.exists()}


def in_one_process(fields: Fields) -> Fields | None:
    """The settings with which one process computes what two do; ``None`` if there are none.

    Where a result depends on how a batch is divided, it divides the batch into as many parts: the statistics
    of batch normalization, and the random points of the gradient penalty. A running mean of a loss would
    then follow one part after the other, and so would the power iteration of spectral normalization. SOAP
    turns directions without a gradient at random: the smallest rounding leads elsewhere.
    """
    divided = fields["loss"] == "esrgan" or "wgan" in str(fields["adversary"])
    parts = fields["accumulate"] * (2 if divided else 1)
    stateful, spectral = fields["loss"].startswith("stateful"), "unet" in str(fields["adversary"])
    if fields["optimizer"] == "soap" or (stateful and parts > 1) or (spectral and divided):
        return None
    return {**fields, "accumulate": parts, "devices": 1, "nodes": 1}


def differing(run: Path, other: Path) -> list[str]:
    """The files and log lines of two runs that are not equal to the bit."""
    left, right = (dict(states(folder)) for folder in (run, other))
    found = [name for name in sorted(left.keys() | right.keys()) if left.get(name) != right.get(name)]
    timed = {"images_per_second", "eta"}
    logs = [
        [{key: line[key] for key in line if key not in timed} for line in log(folder)]
        for folder in (run, other)
    ]
    return found if logs[0] == logs[1] else [*found, "log.jsonl"]


def far_apart(run: Path, other: Path) -> list[str]:
    """The weights of two runs that differ by more than rounding."""
    left, right = (load_file(folder / "generator.safetensors") for folder in (run, other))
    return [
        f"{name} differs by {(left[name] - right[name]).abs().max():.1e}"
        for name in right
        if not torch.allclose(left[name], right[name], rtol=0, atol=1e-5)
    ]


def rewound(run: Path, copy: Path) -> None:
    """Copy a run as it was at its last checkpoint but one."""
    shutil.copytree(run, copy)
    shutil.rmtree(max((copy / "checkpoints").iterdir(), key=lambda place: place.name))
    for file in copy.glob("*.safetensors"):
        file.unlink()


def _started(rank: int, file: Path, site: Path) -> subprocess.Popen[str]:
    """One of two processes, as torchrun starts it."""
    environment = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "GROUP_WORLD_SIZE": 1,
        "MASTER_ADDR": "127.0.0.1",
        "TORCHELASTIC_RUN_ID": "covering",
        "OMP_NUM_THREADS": 1,
        "PYTHONPATH": site,
    }
    return subprocess.Popen(
        [sys.executable, __file__, str(file)],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _free_ports(count: int) -> Sequence[int]:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.socket()) for _ in range(count)]
        for server in servers:
            server.bind(("127.0.0.1", 0))
        return [int(server.getsockname()[1]) for server in servers]


def _train_both(folder: Path, config: TrainingConfig, ports: Sequence[int], registry: Registry) -> None:
    """Train a run, and resume its copy, in one of the processes."""
    is_first, ready = os.environ["RANK"] == "0", folder / "ready"
    for phase, port in zip(_PHASES, ports, strict=True):
        os.environ["MASTER_PORT"] = str(port)
        try:
            train(config, registry, folder / phase, resume=phase == "resumed")
            if phase == "whole":
                rewound(folder / "whole", folder / "resumed")
        except SystemExit:  # with which the other rank ends
            if is_first:
                raise
        finally:
            if is_first:
                ready.touch()
        deadline = time.monotonic() + _PATIENCE
        while not ready.exists():
            assert time.monotonic() < deadline, "the first process has not copied the run"
            time.sleep(0.005)


def _main(file: str) -> None:
    registry = with_covering(discover())
    for run in json.loads(Path(file).read_text()):
        folder = Path(run["folder"])
        try:
            _train_both(folder, TrainingConfig.model_validate(run["settings"]), run["ports"], registry)
        except Exception:
            (folder / "error.txt").write_text(traceback.format_exc())


if __name__ == "__main__":
    _main(sys.argv[1])
