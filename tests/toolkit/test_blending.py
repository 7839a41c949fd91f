"""`restore blend`: the mean of weights of one network, as a file like those of a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restore.checkpoint import LoadedModel, WeightsCard, blend, load_model, read_card, save_weights, sha256
from restore.cli import main
from restore.errors import UsageError, WeightsError
from restore.registry import Registry, discover


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def srcnn(folder: Path, registry: Registry, name: str, value: float, scale: int = 4) -> LoadedModel:
    """A file whose every weight is `value`, loaded."""
    module = registry.models["srcnn"].build(scale, registry.models["srcnn"].options())
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, value)
    card = WeightsCard(
        model="srcnn", scale=scale, objective=name, steps=int(10 * value), metrics={"psnr": 30.0}
    )
    save_weights(folder / f"{name}.safetensors", module, card)
    return load_model(f"srcnn:{folder / name}.safetensors", registry)


def values(file: Path) -> set[float]:
    return {value for tensor in load_file(file).values() for value in tensor.flatten().tolist()}


@pytest.mark.parametrize(
    ("shares", "expected"), [((), 2.0), ((1, 3), 2.5), ((0.5, 0.5), 2.0), ((-1, 2), 5.0), ((0, 1), 3.0)]
)
def test_the_mean_is_by_shares_of_any_sum(
    tmp_path: Path, registry: Registry, shares: tuple[float, ...], expected: float
) -> None:
    models = [srcnn(tmp_path, registry, "one", 1.0), srcnn(tmp_path, registry, "two", 3.0)]
    blend(models, tmp_path / "mean.safetensors", shares=shares)
    assert values(tmp_path / "mean.safetensors") == {expected}


def test_the_file_is_used_like_that_of_a_training_and_tells_what_it_is_made_of(
    tmp_path: Path, registry: Registry
) -> None:
    one, two = srcnn(tmp_path, registry, "one", 1.0), srcnn(tmp_path, registry, "two", 3.0)
    blend([one, two], tmp_path / "mean.safetensors", shares=[1, 3])
    loaded = load_model(f"srcnn:{tmp_path / 'mean.safetensors'}", registry)
    image = torch.rand(1, 3, 5, 6)
    assert loaded.module(image).shape == (1, 3, 20, 24)
    card = read_card(tmp_path / "mean.safetensors")
    assert (card.objective, card.steps, card.metrics) == ("one+two", 30, {})
    assert card.blend == {one.digest: 0.25, two.digest: 0.75}


def test_half_precision_is_half_the_size_and_loads(tmp_path: Path, registry: Registry) -> None:
    whole = srcnn(tmp_path, registry, "one", 0.1)
    blend([whole], tmp_path / "half.safetensors", half=True)
    size = (tmp_path / "half.safetensors").stat().st_size
    assert size == pytest.approx((tmp_path / "one.safetensors").stat().st_size / 2, rel=0.02)
    assert {t.dtype for t in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    loaded = load_model(f"srcnn:{tmp_path / 'half.safetensors'}", registry)
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}


def test_values_that_half_precision_cannot_hold_are_refused_and_nothing_is_written(
    tmp_path: Path, registry: Registry
) -> None:
    large = srcnn(tmp_path, registry, "large", 1e5)
    with pytest.raises(WeightsError, match=r"too large for torch\.float16; omit `half`"):
        blend([large], tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ([1], "1 shares for 2 models"),
        ([1, -1], "the sum 0.0"),
        ([1, float("nan")], "the sum nan"),
        ([1, float("inf")], "the sum inf"),
    ],
)
def test_shares_that_make_no_mean_are_refused(
    tmp_path: Path, registry: Registry, shares: list[float], reason: str
) -> None:
    models = [srcnn(tmp_path, registry, "one", 1.0), srcnn(tmp_path, registry, "two", 3.0)]
    with pytest.raises(UsageError, match=reason):
        blend(models, tmp_path / "mean.safetensors", shares=shares)


def test_networks_that_differ_are_refused(tmp_path: Path, registry: Registry) -> None:
    models = [srcnn(tmp_path, registry, "one", 1.0), srcnn(tmp_path, registry, "two", 3.0, scale=2)]
    with pytest.raises(UsageError, match="not the same network"):
        blend(models, tmp_path / "mean.safetensors")


def test_a_model_without_weights_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="'bicubic' has no weights that 'restore train' wrote"):
        blend([load_model("bicubic", registry)], tmp_path / "mean.safetensors")


def test_the_command_tells_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mixed.safetensors"
    words = ["enhancenet:e", "enhancenet:pat", "--share", "0.75", "--share", "0.25", "-o", str(out), "--json"]
    assert run(words, capsys)[0] == 0
    words[-1] = "--half"
    whole = out.stat().st_size
    code, text, _ = run(words, capsys)
    assert code == 0
    assert out.stat().st_size < 0.51 * whole
    assert sha256(out) in text


def test_the_commands_row_is_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "copy.safetensors"
    row = json.loads(run(["srcnn", "-o", str(out), "--json"], capsys)[1])
    assert row["sha256"] == sha256(out)
    assert (row["model"], row["scale"], row["shares"]) == ("srcnn", 4, [1.0])
    assert row["bytes"] == out.stat().st_size


def test_another_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = run(["srcnn", "-o", str(tmp_path / "copy.pth")], capsys)
    assert code == 2
    assert "copy.safetensors" in said


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    """Exit code, stdout and stderr of ``restore blend``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["restore", "blend", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
    said = capsys.readouterr()
    return stopped.value.code or 0, said.out, said.err
