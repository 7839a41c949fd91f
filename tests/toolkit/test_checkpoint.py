"""Checkpoints are written whole, and a damaged one is passed over; equal weights are equal bytes."""

from __future__ import annotations

import math
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restore.checkpoint import (
    Checkpoint,
    WeightsCard,
    latest_checkpoint,
    load_model,
    read_card,
    save_checkpoint,
    save_weights,
)
from restore.checkpoint.tensors import save_tensors
from restore.checkpoint.weights import as_metadata
from restore.errors import TrainingError, WeightsError
from restore.registry import Registry


def checkpoint(step: int) -> Checkpoint:
    tensors: dict[str, Tensor] = {
        "weight": torch.full((3, 2), step + 0.1),
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "count": torch.tensor(step),
        "last": torch.rand(1, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    return Checkpoint(step, {"generator": tensors}, {"scores": [0.1, None], "step": step})


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = checkpoint(7)
    save_checkpoint(tmp_path, saved)
    loaded, damaged = latest_checkpoint(tmp_path)
    assert not damaged
    assert (loaded.step, loaded.state) == (7, saved.state)
    for name, tensor in saved.tensors["generator"].items():
        assert loaded.tensors["generator"][name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors["generator"][name], tensor)


def test_the_last_two_are_kept_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (0, 99_999_999, 100_000_000, 100_000_001):
        save_checkpoint(tmp_path, checkpoint(step))
    assert latest_checkpoint(tmp_path)[0].step == 100_000_001
    assert sorted(place.name for place in tmp_path.iterdir()) == ["100000000", "100000001"]


def flip_a_bit(place: Path) -> None:
    content = bytearray((place / "generator.safetensors").read_bytes())
    content[-1] ^= 1
    (place / "generator.safetensors").write_bytes(content)


def cut_short(place: Path) -> None:
    content = (place / "state.json").read_bytes()
    (place / "state.json").write_bytes(content[:-1])


def remove_a_file(place: Path) -> None:
    (place / "generator.safetensors").unlink()


def remove_the_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()


def empty_the_manifest(place: Path) -> None:
    (place / "manifest.json").write_bytes(b"")


DAMAGES = [flip_a_bit, cut_short, remove_a_file, remove_the_manifest, empty_the_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_and_named(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    save_checkpoint(tmp_path, checkpoint(1))
    damage(save_checkpoint(tmp_path, checkpoint(2)))
    loaded, damaged = latest_checkpoint(tmp_path)
    assert loaded.step == 1
    (sentence,) = damaged
    assert str(tmp_path / "00000002") in sentence
    assert "damaged" in sentence
    assert "\n" not in sentence


def test_a_run_without_a_whole_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        latest_checkpoint(tmp_path / "missing")
    flip_a_bit(save_checkpoint(tmp_path, checkpoint(2)))
    with pytest.raises(TrainingError, match=r"no whole checkpoint .*00000002' is damaged"):
        latest_checkpoint(tmp_path)


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(tmp_path: Path) -> None:
    flip_a_bit(save_checkpoint(tmp_path, checkpoint(2)))
    save_checkpoint(tmp_path, checkpoint(2))
    assert latest_checkpoint(tmp_path)[1] == []


def test_what_a_kill_left_is_no_checkpoint_and_goes_with_the_next_one(tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path, checkpoint(1))
    shutil.copytree(whole, tmp_path / ".restore-killed")
    assert latest_checkpoint(tmp_path)[0].step == 1
    save_checkpoint(tmp_path, checkpoint(2))
    assert sorted(place.name for place in tmp_path.iterdir()) == ["00000001", "00000002"]


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(1))
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_checkpoint(tmp_path, checkpoint(2))
    assert [place.name for place in tmp_path.iterdir()] == ["00000001"]
    assert latest_checkpoint(tmp_path)[0].step == 1


CARD = WeightsCard(
    model="m", scale=2, options={"b": 1, "a": 2}, metrics={"set psnr": 30.5}, versions={"x": "1"}
)


def test_weights_say_what_they_are_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
    for name in ("one", "two"):
        save_weights(tmp_path / name, network, CARD)
    assert read_card(tmp_path / "one") == CARD
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_full_disk_leaves_the_earlier_weights(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(file, nn.Conv2d(3, 3, 1), CARD)
    before = file.read_bytes()
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_weights(file, nn.Conv2d(3, 3, 1), CARD)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_card_of_an_earlier_version_still_loads() -> None:
    card = WeightsCard.model_validate_json('{"model": "m", "scale": 2, "figures": {"psnr": 30.0}}')
    assert card.metrics == {"psnr": 30.0}


def test_a_file_that_holds_no_weights_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    for content in (b"", b"not tensors at all"):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match="cannot read the weights") as caught:
            read_card(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("again", [False, True], ids=["a new step", "a step that was saved before"])
def test_a_kill_at_any_moment_of_saving_leaves_a_whole_checkpoint(tmp_path: Path, again: bool) -> None:
    moments, step = 0, 2 if again else 3
    while True:
        folder = tmp_path / str(moments)
        for known in (1, 2):
            save_checkpoint(folder, checkpoint(known))
        done = killed_while_saving(folder, checkpoint(step), moments)
        found, damaged = latest_checkpoint(folder)
        assert found.step in ({1, 2} if again else {2, 3})
        assert damaged == []
        assert found.tensors["generator"]["count"] == found.step
        save_checkpoint(folder, checkpoint(4))
        assert [place.name for place in folder.glob(".*")] == [], "what a kill left goes with the next one"
        if done:
            break
        moments += 1
    assert moments > 8, "there are several files, each written under another name and renamed"


def killed_while_saving(folder: Path, content: Checkpoint, moment: int) -> bool:
    """Save in a process that is killed before it changes the disk once more; whether it came to its end."""
    changes = {"open", "os.mkdir", "os.chmod", "os.rename", "os.remove", "os.rmdir", "tempfile.mkstemp"}
    process = os.fork()
    if process == 0:
        left = [moment]

        def count(event: str, _: Any) -> None:
            if event in changes:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(count)
        save_checkpoint(folder, content)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return status == 0


@pytest.mark.parametrize("options", [{"width": 100_000}, {"width": 8, "blocks": 10**7}])
def test_a_file_whose_options_describe_a_far_larger_network_is_refused_without_building_it(
    toys: Registry, tmp_path: Path, options: dict[str, int]
) -> None:
    file = tmp_path / "small.safetensors"
    card = WeightsCard(model="enhancenet", scale=4, options=options)
    save_weights(file, nn.Conv2d(3, 8, 3), card)
    with pytest.raises(WeightsError, match="describe a network that is much larger than its tensors"):
        load_model(f"enhancenet:{file}", toys)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensor: tensor * math.nan, "has values that are not finite"),
        (lambda tensor: tensor.int(), "not a floating type"),
    ],
)
def test_weights_that_are_no_finite_floats_are_refused(
    toys: Registry, tmp_path: Path, change: Callable[[Tensor], Tensor], sentence: str
) -> None:
    file = tmp_path / "odd.safetensors"
    module = toys.models["srcnn"].build(4, toys.models["srcnn"].options())
    state = module.state_dict()
    name = next(iter(state))
    card = WeightsCard(model="srcnn", scale=4)
    save_tensors(file, state | {name: change(state[name])}, as_metadata(card))
    with pytest.raises(WeightsError, match=sentence):
        load_model(f"srcnn:{file}", toys)
