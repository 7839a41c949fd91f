"""Which process this is, by what torchrun, SLURM or the user put into the environment."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from restore.errors import UsageError
from restore.training.launch import LaunchEnvironment, find_launch, is_other_rank, reported_once

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Sets variables; those of the machine that runs the tests are forgotten."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "MASTER_")) or name.endswith("RANK"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)

    def change(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return change


TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "LOCAL_WORLD_SIZE": 4,
    "GROUP_WORLD_SIZE": 2,
    "WORLD_SIZE": 8,
    "RANK": 5,
    "LOCAL_RANK": 1,
    "GROUP_RANK": 1,
}
SLURM = {
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": 8,
    "SLURM_NTASKS_PER_NODE": 4,
    "SLURM_NNODES": 2,
    "SLURM_PROCID": 5,
    "SLURM_LOCALID": 1,
    "SLURM_NODEID": 1,
}
BY_HAND = {"NODE_RANK": 1, "LOCAL_RANK": 1, "MASTER_ADDR": "first", "MASTER_PORT": 29500}


def numbers(world: LaunchEnvironment) -> tuple[int, int, int, int, int]:
    return world.devices, world.nodes, world.size, world.rank, world.local_rank


def test_without_a_word_there_is_one_process(environment: Environment) -> None:
    assert numbers(find_launch()) == (1, 1, 1, 0, 0)
    assert numbers(find_launch(devices=3)) == (3, 1, 3, 0, 0)
    assert not is_other_rank()


@pytest.mark.parametrize("variables", [TORCHRUN, SLURM])
def test_a_launcher_says_all_numbers_and_the_user_may_repeat_them(
    environment: Environment, variables: dict[str, object]
) -> None:
    environment(**variables)
    assert numbers(find_launch()) == numbers(find_launch(4, 2)) == (4, 2, 8, 5, 1)
    assert is_other_rank()


def test_processes_that_the_user_starts_on_each_machine_are_counted_through(environment: Environment) -> None:
    environment(**BY_HAND)
    assert numbers(find_launch(devices=4, nodes=2)) == (4, 2, 8, 5, 1)
    environment(LOCAL_RANK=0)
    assert is_other_rank(), "the first process of the second machine does not lead"


@pytest.mark.parametrize("variables", [TORCHRUN, SLURM])
def test_fabric_is_told_the_same(environment: Environment, variables: dict[str, object]) -> None:
    environment(**variables)
    told = find_launch().environment
    numbers = told.world_size(), told.global_rank(), told.local_rank(), told.node_rank()
    assert numbers == (8, 5, 1, 1)


@pytest.mark.parametrize(
    ("variables", "devices", "nodes", "sentence"),
    [
        (
            TORCHRUN,
            8,
            None,
            "`devices=8` `nodes=2` is not what torchrun started",
        ),
        (TORCHRUN, None, 1, "`devices=4` `nodes=1` is not what torchrun started"),
        (SLURM, 8, 1, "is not what srun started, which is `devices=4` `nodes=2`; omit both"),
        (TORCHRUN | {"WORLD_SIZE": 6}, None, None, "6 processes on 2 machines, 4 of them on this one"),
        (
            TORCHRUN | {"RANK": "x"},
            None,
            None,
            "the environment variable RANK is 'x', not a whole number",
        ),
        ({"SLURM_NTASKS": 2, "SLURM_JOB_NAME": "train"}, None, None, "pass --ntasks-per-node"),
        ({}, 1, 2, "`nodes=2` needs NODE_RANK, MASTER_ADDR, MASTER_PORT in the environment"),
        ({"NODE_RANK": 1, "MASTER_ADDR": "first"}, 1, 2, "`nodes=2` needs MASTER_PORT in the environment"),
        (BY_HAND | {"NODE_RANK": 2}, 2, 2, "NODE_RANK is 2 in the environment, but `nodes` is 2"),
        (BY_HAND, None, None, "NODE_RANK is 1 in the environment, but `nodes` is 1"),
        ({"LOCAL_RANK": 1}, None, None, "LOCAL_RANK is 1 in the environment, but `devices` is 1"),
    ],
)
def test_what_contradicts_or_is_missing_is_refused(
    environment: Environment,
    variables: dict[str, object],
    devices: int | None,
    nodes: int | None,
    sentence: str,
) -> None:
    environment(**variables)
    with pytest.raises(UsageError) as caught:
        find_launch(devices, nodes)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"SLURM_NTASKS": 1, "SLURM_JOB_NAME": "train"}, id="one task, which starts the others"),
        pytest.param({"SLURM_NTASKS": 4, "SLURM_JOB_NAME": "interactive"}, id="a shell in an allocation"),
    ],
)
def test_slurm_without_tasks_to_share_is_no_launcher(
    environment: Environment, variables: dict[str, object]
) -> None:
    environment(**variables)
    assert numbers(find_launch(devices=2)) == (2, 1, 2, 0, 0)


@pytest.mark.parametrize(
    ("variables", "silent"),
    [
        pytest.param(TORCHRUN, True, id="the second process of a machine"),
        pytest.param(TORCHRUN | {"LOCAL_RANK": 0}, False, id="the first process of a machine"),
        pytest.param({"LOCAL_RANK": 1}, False, id="one that this program started"),
    ],
)
def test_what_all_processes_of_a_machine_meet_is_said_by_the_first(
    environment: Environment, variables: dict[str, object], silent: bool
) -> None:
    environment(**variables)
    with pytest.raises((SystemExit, UsageError)) as caught, reported_once():
        raise UsageError("no")
    assert isinstance(caught.value, SystemExit) == silent
    assert not isinstance(caught.value, SystemExit) or caught.value.code == UsageError.exit_code
