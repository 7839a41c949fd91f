"""Networks of spandrel's architectures are trained, new or from files, and saved as spandrel reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import restore_spandrel.opening
from restore.checkpoint import LoadedModel, inspect_weights, load_model, read_card
from restore.config import TrainingConfig
from restore.errors import OptionsError, UsageError, WeightsError
from restore.inference.engines import compared, run_onnx
from restore.inference.onnx_graph import to_onnx
from restore.registry import discover
from restore.testing import examine, model_checks, options_checks
from restore.training import train
from restore.training.setup import set_up
from restore_spandrel.architectures import ARCHITECTURES
from restore_spandrel.network import Network
from restore_spandrel.plugin import restore_models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spandrel import ModelLoader
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.FFTformer import FFTformer

REGISTRY = discover()
SPECS = {spec.name: spec for spec in restore_models()}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "compact": {"num_feat": 8, "num_conv": 2},
    "span": {"feature_channels": 8},
    "esrgan": {"num_filters": 4, "num_blocks": 1},
    "plksr": {"dim": 8, "n_blocks": 1, "kernel_size": 5, "split_ratio": 0.25},
    "mosr": {"n_block": 1, "dim": 8, "kernel_size": 3},
    "safmn": {"dim": 8, "n_blocks": 1},
    "rcan": {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 16},
    "omnisr": {"num_feat": 16, "res_num": 1, "window_size": 4},
    "ditn": {"dim": 12, "ITL_blocks": 1, "SAL_blocks": 1},
    "swinir": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 4},
    "hat": {"embed_dim": 12, "depths": [1], "num_heads": [2], "window_size": 8, "compress_ratio": 3,
            "squeeze_factor": 3},
    "dat": {"embed_dim": 16, "depth": [2], "num_heads": [2], "split_size": [4, 8]},
    "atd": {"embed_dim": 16, "depths": [2], "num_heads": [2], "window_size": 4, "num_tokens": 8,
            "reducted_dim": 4},
    "rgt": {"embed_dim": 16, "depth": [2], "num_heads": [2]},
    "scunet": {"dim": 64, "config": [1, 1, 1, 1, 1, 1, 1]},
    "nafnet": {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1], "dec_blk_nums": [1]},
}  # fmt: skip


def fresh(name: str, scale: int, **options: Any) -> nn.Module:
    spec = SPECS[f"spandrel.{name}"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = spec.build(scale, spec.options.model_validate({**SMALL[name], **options}))
    return network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_trains_and_spandrel_reads_it_back(name: str, tmp_path: Path) -> None:
    scale = 2 if 2 in ARCHITECTURES[name].scales else 1
    network = fresh(name, scale).train()
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    network(image).square().mean().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sum(parameter.grad is not None for parameter in trained) == len(trained)
    assert any(parameter.grad.any() for parameter in trained if parameter.grad is not None)
    state = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    descriptor = ModelLoader(device="cpu").load_from_file(tmp_path / "a.safetensors")
    assert descriptor.scale == scale
    before = image.clone()
    with torch.inference_mode():
        assert torch.equal(Network.of(descriptor).eval()(image), network.eval()(image))
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", ["compact", "esrgan", "span", "safmn"])
def test_a_new_network_keeps_the_contract(name: str) -> None:
    spec = SPECS[f"spandrel.{name}"]
    checks = model_checks(spec, scale=2, options=spec.options.model_validate(SMALL[name]))
    found = list(examine(checks + options_checks(spec)))
    assert [finding for finding in found if not finding.passed or finding.note] == []


@pytest.mark.parametrize("name", ["span", "safmn"])
def test_layers_that_are_exported_in_another_form_give_the_same_graph(name: str) -> None:
    spec, options = SPECS[f"spandrel.{name}"], SMALL[name]
    model = LoadedModel.built(spec.name, spec, 2, spec.options.model_validate(options), fresh(name, 2).eval())
    assert compared(model, run_onnx(to_onnx(model)), [(1, 1), (1, 7), (7, 1), (33, 47), (64, 48)]) < 1e-4


def test_options_that_the_weights_do_not_show_are_refused() -> None:
    with pytest.raises(OptionsError, match=r"num_heads = .*spandrel recognizes"):
        fresh("dat", 2, depth=[1], num_heads=[3])
    with pytest.raises(OptionsError, match=r"'spandrel\.swinir' cannot be built with these options"):
        fresh("swinir", 2, depths=[2, 2])


# Training -----------------------------------------------------------------------------------------------

Configure = Callable[..., TrainingConfig]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A Compact network as somebody publishes it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = Compact(num_feat=8, num_conv=2, upscale=2).state_dict()
    save_file(dict(state), tmp_path / "2x-tiny-compact.safetensors")
    return tmp_path / "2x-tiny-compact.safetensors"


@pytest.fixture
def settings(photos: Path) -> Configure:
    def make(**changes: Any) -> TrainingConfig:
        small = {"steps": 2, "batch_size": 2, "patch_size": 16, "workers": 0, "device": "cpu", "scale": 2}
        given = {"loss": "l1", "data": [photos], "lr": 1e-3, **small, **changes}
        return TrainingConfig.model_validate(given)

    return make


def test_a_stopped_run_of_a_file_ends_with_the_same_bytes_which_spandrel_reads(
    settings: Configure, file: Path, tmp_path: Path, photos: Path
) -> None:
    config = settings(model=f"spandrel:{file}", steps=3, schedule="constant", warmup=0, val=[photos / "deep"])
    whole = train(config, REGISTRY, tmp_path / "whole")
    assert [name.split()[-1] for name in whole.metrics] == ["psnr"]
    train(config.model_copy(update={"steps": 2}), REGISTRY, tmp_path / "parts")
    parts = train(config, REGISTRY, tmp_path / "parts", resume=True)
    before, expected, found = load_file(file), load_file(whole.weights), load_file(parts.weights)
    assert before.keys() == expected.keys()
    assert any(not torch.equal(before[name], expected[name]) for name in before)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert read_card(whole.weights).model == "spandrel"
    descriptor = ModelLoader(device="cpu").load_from_file(whole.weights)
    assert (descriptor.architecture.id, descriptor.scale) == ("Compact", 2)


def test_two_processes_train_a_network_with_parameters_that_it_does_not_use_as_one_does(
    settings: Configure, tmp_path: Path, photos: Path
) -> None:
    file = tmp_path / "fftformer.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FFTformer(dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)
    same = {"degradation": "noise", "scale": 1, "steps": 3, "batch_size": 4, "precision": "fp32"}
    one = train(settings(model=f"spandrel:{file}", warmup=0, **same), REGISTRY, tmp_path / "one")
    given = {"model": f"spandrel:{file}", "data": photos, "run": tmp_path / "two", "devices": 2, "loss": "l1"}
    given |= {"patch-size": 16, "lr": 1e-3, **same}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    flags += [part for each in ("workers=0", "device='cpu'", "warmup=0") for part in ("--set", each)]
    done = subprocess.run(
        [sys.executable, "-m", "restore", "train", *flags],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    before, expected, found = map(load_file, (file, one.weights, tmp_path / "two" / "generator.safetensors"))
    assert all(torch.allclose(found[name], expected[name], rtol=0, atol=1e-5) for name in expected)
    equal = {name for name in before if torch.equal(found[name], before[name])}
    assert "reduce_chan_level2.weight" in equal
    assert len(equal) < len(before) / 2


def test_weights_of_a_file_start_a_new_network_of_its_architecture(settings: Configure, file: Path) -> None:
    options = {"num_feat": 8, "num_conv": 2}
    setup = set_up(
        settings(model="spandrel.compact", init=f"spandrel:{file}", model_options=options), REGISTRY
    )
    network = setup.generator()
    assert setup.start.note == ""
    for name, tensor in load_file(file).items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_weights_that_do_not_fit_are_refused_unless_a_part_is_wanted(settings: Configure, file: Path) -> None:
    config = settings(
        model="spandrel.compact", init=f"spandrel:{file}", model_options={"num_feat": 8, "num_conv": 3}
    )
    with pytest.raises(UsageError, match=r"9 of 14 tensors.*take over those that fit with `init_partial`"):
        set_up(config, REGISTRY)
    setup = set_up(config.model_copy(update={"init_partial": True}), REGISTRY)
    assert "9 of 14 tensors of spandrel:" in setup.start.note
    assert "fit: body.0.weight, body.0.bias, body.1.weight" in setup.start.note
    assert "new: " in setup.start.note
    assert torch.equal(setup.generator().state_dict()["body.0.weight"], load_file(file)["body.0.weight"])
    with pytest.raises(UsageError, match=r"0 of 14 tensors.*choose other weights"):
        set_up(config.model_copy(update={"init": "srcnn:mse", "init_partial": True}), REGISTRY)
    with pytest.raises(UsageError, match=r"`init=bicubic\+srcnn:mse`.*0 of 14 tensors.*choose other weights"):
        set_up(config.model_copy(update={"init": "bicubic+srcnn:mse", "init_partial": True}), REGISTRY)


def test_a_model_of_files_needs_one_and_the_scale_of_the_file(settings: Configure, file: Path) -> None:
    with pytest.raises(UsageError, match="is built from a file; use `model=spandrel:FILE`"):
        set_up(settings(model="spandrel"), REGISTRY)
    with pytest.raises(UsageError, match="the weights are for 2x, not for 4x"):
        set_up(settings(model=f"spandrel:{file}", scale=4), REGISTRY)
    with pytest.raises(WeightsError, match="there is no such weights file"):
        set_up(settings(model="spandrel:gone.pth"), REGISTRY)


def test_an_architecture_that_cannot_be_trained_is_refused(
    settings: Configure, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_spandrel.opening, "NOT_TRAINED", ("Compact",))
    with pytest.raises(UsageError, match="a network of the architecture Compact cannot be trained"):
        set_up(settings(model=f"spandrel:{file}"), REGISTRY)


# Weights files ------------------------------------------------------------------------------------------


def test_the_network_of_a_file_is_described(file: Path) -> None:
    found = inspect_weights(file, REGISTRY).to_json()
    assert (found["model"], found["architecture"], found["size"]) == ("spandrel", "Compact", ["8nf", "2nc"])
    assert (found["scale"], found["parameters"], found["trainable"]) == (2, 2292, True)
    json.dumps(found)


def test_the_raw_network_is_trainable_and_has_the_names_of_the_file(file: Path) -> None:
    opened = restore_spandrel.opening.open_file(file)
    assert opened.trainable is not None
    assert opened.trainable.state_dict().keys() == opened.module.state_dict().keys() == load_file(file).keys()
    assert all(parameter.requires_grad for parameter in opened.trainable.parameters())


def test_a_file_that_no_model_reads_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="spandrel does not know the architecture"):
        inspect_weights(tmp_path / "a.safetensors", REGISTRY)


def test_the_weights_of_a_run_are_described_with_its_training(settings: Configure, tmp_path: Path) -> None:
    options = {"num_feat": 8, "num_conv": 2}
    run = train(settings(model="spandrel.compact", model_options=options), REGISTRY, tmp_path / "run")
    found = inspect_weights(run.weights, REGISTRY).to_json()
    assert (found["model"], found["objective"], found["steps"]) == ("spandrel.compact", "l1", 2)
    assert found["options"] == options
    assert load_model(f"spandrel:{run.weights}", REGISTRY).architecture == "Compact"


def test_a_part_of_included_weights_is_that_of_the_scale_of_the_run(settings: Configure) -> None:
    config = settings(
        model="enhancenet",
        scale=2,
        init="enhancenet:e",
        init_partial=True,
        model_options={"blocks": 12},
        patch_size=32,
    )
    setup, wanted = set_up(config, REGISTRY), load_model("enhancenet:e", REGISTRY, 2).module.state_dict()
    network = setup.generator().state_dict()
    assert all(torch.equal(network[name], wanted[name]) for name in wanted)
