"""Chains of models, run-time options, and the numbers that networks take beside the image."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import restore
from restore.batch import Job, run_all
from restore.checkpoint import Chain, LoadedModel, WeightsCard, load_model, save_weights, working_scale
from restore.cli import main
from restore.errors import OptionsError, UsageError
from restore.export import export
from restore.images import read_provenance
from restore.inference import Restorer
from restore.inference.engines import run_onnx
from restore.registry import ModelReference, discover
from restore.testing import measured_halo

REGISTRY = discover()


def saved(folder: Path, name: str, options: Mapping[str, Any], file: str = "weights.safetensors") -> str:
    """A weights file of a small model with random weights; returns its reference."""
    spec = REGISTRY.models[name]
    torch.manual_seed(0)
    scale = spec.scales[0] if spec.scales else 2
    module = spec.build(scale, spec.options.model_validate(dict(options)))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_weights(folder / file, module, WeightsCard(model=name, scale=scale, options=dict(options)))
    return f"{name}:{folder / file}"


@pytest.fixture
def ffdnet(tmp_path: Path) -> str:
    return saved(tmp_path, "ffdnet", {"width": 8, "layers": 4})


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `restore` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["restore", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def parts(text: str) -> list[tuple[str, str]]:
    return [(part.name, part.weights) for part in ModelReference.parse(text).parts]


def test_a_plus_before_a_name_begins_the_next_part() -> None:
    assert parts("ffdnet:jpeg+enhancenet:e") == [("ffdnet", "jpeg"), ("enhancenet", "e")]
    assert parts("dncnn:a/b.safetensors+bicubic") == [("dncnn", "a/b.safetensors"), ("bicubic", "")]
    assert parts("spandrel:x/a+b.pth+bicubic") == [("spandrel", "x/a+b.pth"), ("bicubic", "")]
    assert ModelReference.parse("ffdnet+bicubic").name == "ffdnet+bicubic"
    with pytest.raises(UsageError, match="is not a model"):
        ModelReference.parse("+bicubic")


def test_a_file_with_a_plus_in_its_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my+bicubic").touch()
    assert parts("spandrel:my+bicubic") == [("spandrel", "my+bicubic")]
    assert parts("spandrel:my+bicubic+bicubic") == [("spandrel", "my+bicubic"), ("bicubic", "")]
    reference = saved(tmp_path, "ffdnet", {"width": 8, "layers": 4}, "a+b.safetensors")
    assert load_model(reference, REGISTRY).parts == ()


def test_scales_multiply_and_the_last_part_with_a_choice_makes_up_for_the_rest(ffdnet: str) -> None:
    assert load_model(f"{ffdnet}+bicubic", REGISTRY, 3).scale == 3
    assert load_model(f"bicubic+{ffdnet}", REGISTRY, 3).scale == 3
    assert load_model("bicubic+bicubic", REGISTRY, 8).scale == 8
    assert working_scale("bicubic+srcnn", REGISTRY, 10) == 12
    assert working_scale("bicubic+enhancenet", REGISTRY, 10) == 16
    assert working_scale("bicubic+enhancenet", REGISTRY, 8) == 8, "enhancenet has weights for 2x and 4x"
    with pytest.raises(UsageError, match="works at 16x, not at 6x; set `scale` to 16"):
        load_model("bicubic+enhancenet", REGISTRY, 6)


def chain(ffdnet: str, order: str) -> LoadedModel:
    labels = ModelReference.parse(order.format(ffdnet)).labels
    options = {f"{label}.sigma": 30 for label in labels if label.startswith("ffdnet")}
    return load_model(order.format(ffdnet), REGISTRY, options=options)


@pytest.mark.parametrize(("order", "halo", "stride"), [("{}+bicubic", 9 + 2, 2), ("bicubic+{}", 2 + 3, 1)])
def test_halos_add_up_in_input_pixels(ffdnet: str, order: str, halo: int, stride: int) -> None:
    model = chain(ffdnet, order)
    assert (model.halo, model.stride) == (halo, stride)
    module = model.module.eval()
    module.training = True  # without clamping, which passes no gradient
    measured = measured_halo(module, model.scale, 2 * halo + 9, stride, conditions=1)
    # Rounding up to whole input pixels can add one that is not needed.
    assert halo - 1 <= measured <= halo


@pytest.mark.parametrize("order", ["{}+bicubic", "bicubic+{}", "{0}+{0}"])
def test_tiles_of_a_chain_equal_the_whole(ffdnet: str, order: str) -> None:
    model = chain(ffdnet, order)
    image = torch.rand(1, 3, 61, 47)
    whole = Restorer(model, device="cpu", precision="fp32", tile="off").restore(image)
    for tile in (9, 16):
        tiled = Restorer(model, device="cpu", precision="fp32", tile=tile).restore(image)
        assert (tiled - whole).abs().max() <= 2e-6


def test_a_chain_is_its_parts_with_values_clamped_between_them(ffdnet: str) -> None:
    image = torch.rand(1, 3, 20, 23)
    first = restore.load(ffdnet, options={"sigma": 30}, device="cpu", precision="fp32")
    second = restore.load("bicubic", scale=2, device="cpu", precision="fp32")
    both = restore.load(
        f"{ffdnet}+bicubic", scale=2, options={"ffdnet.sigma": 30}, device="cpu", precision="fp32"
    )
    assert torch.equal(both.restore(image), second.restore(first.restore(image)))


def test_between_parts_values_are_clamped_in_evaluation_only() -> None:
    class Double(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    module = Chain([Double(), Double()])
    assert module.eval()(torch.ones(1, 3, 1, 1)).max() == 2
    assert module.train()(torch.ones(1, 3, 1, 1)).max() == 4


def test_the_same_model_twice_has_numbered_options(ffdnet: str) -> None:
    model = load_model(f"{ffdnet}+{ffdnet}", REGISTRY, options={"ffdnet.sigma": 10, "ffdnet#2.sigma": 20})
    assert model.conditions == {"ffdnet.sigma": 10.0, "ffdnet#2.sigma": 20.0}
    with pytest.raises(UsageError, match=r"'sigma' belongs to none of ffdnet, ffdnet#2; write"):
        load_model(f"{ffdnet}+{ffdnet}", REGISTRY, options={"sigma": 10})


def test_options_that_change_the_parameters_are_refused_in_a_sentence(ffdnet: str) -> None:
    for options in ({"width": 16}, {"layers": 6}, {"width": 1024}):
        with pytest.raises(UsageError, match="cannot be used with another value of `") as caught:
            load_model(ffdnet, REGISTRY, options=options)
        assert str(caught.value).count(";") == 1
    with pytest.raises(OptionsError, match=r"no option 'sigam'\. Did you mean 'sigma'"):
        load_model(ffdnet, REGISTRY, options={"sigam": 3})
    for value in (-1, "much", float("nan"), True):
        with pytest.raises(OptionsError, match="'sigma' of model 'ffdnet' is a number from 0 or auto"):
            load_model(ffdnet, REGISTRY, options={"sigma": value})


def test_options_that_keep_the_parameters_are_used(ffdnet: str) -> None:
    model = load_model(ffdnet, REGISTRY, options={"strength": "quality", "quality": 30, "width": 8})
    assert model.conditions == {"quality": 30.0}
    assert model.changed == {"strength": "quality"}


def test_a_number_changes_the_result_and_is_the_same_for_every_tile(ffdnet: str) -> None:
    image = torch.rand(1, 3, 40, 44)
    results = [
        restore.load(ffdnet, options={"sigma": sigma}, device="cpu", tile=tile, precision="fp32").restore(
            image
        )
        for sigma, tile in ((5, 99), (50, 99), (50, 16))
    ]
    assert not torch.equal(results[0], results[1])
    assert (results[1] - results[2]).abs().max() <= 2e-6


def noisy(sigma: float, side: int = 128) -> Tensor:
    noise = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0.3, 0.7, side).expand(1, 3, side, side)
    return (ramp + noise * sigma / 255).clamp(0, 1)


def test_the_strength_is_estimated_over_the_whole_image(ffdnet: str) -> None:
    restorer = restore.load(ffdnet, device="cpu", precision="fp32", tile=32)
    image = noisy(20)
    sigma = restorer.conditions_of(image)["sigma"]
    assert sigma == pytest.approx(20, rel=0.15)
    given = restore.load(ffdnet, options={"sigma": sigma}, device="cpu", precision="fp32", tile=32)
    assert torch.equal(restorer.restore(image), given.restore(image))
    both = torch.cat([image, noisy(5)])
    assert (restorer.restore(both)[:1] - given.restore(image)).abs().max() <= 2e-6


def test_the_quality_comes_from_the_tables_of_the_file(ffdnet: str, tmp_path: Path) -> None:
    levels = (noisy(5)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jpg", quality=37)
    restorer = restore.load(ffdnet, options={"strength": "quality"}, device="cpu")
    photo = restore.images.read(tmp_path / "a.jpg")
    assert restorer.conditions_of(photo, tmp_path / "a.jpg") == {"quality": 37}


def test_a_batch_records_the_number_and_skips_by_what_was_given(ffdnet: str, tmp_path: Path) -> None:
    Image.fromarray((noisy(20)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / "a.png")
    job = Job(tmp_path / "a.png", tmp_path / "b.png")

    def status(reference: str, **options: Any) -> str:
        restorer = restore.load(reference, options=options, device="cpu")
        return next(iter(run_all([job], restorer, existing="skip"))).status

    assert [status(ffdnet), status(ffdnet)] == ["done", "skipped"]
    made = read_provenance(job.destination)
    assert made is not None
    assert dict(made.settings)["option sigma"] == "auto"
    assert float(dict(made.estimated)["sigma"]) == pytest.approx(20, rel=0.2)
    assert [status(ffdnet, sigma=20), status(ffdnet, sigma=20.0)] == ["done", "skipped"]
    assert status(f"{ffdnet}+bicubic", **{"ffdnet.sigma": 20}) == "done"
    made = read_provenance(job.destination)
    assert made is not None
    assert made.model == "ffdnet:weights.safetensors+bicubic"


def test_an_exported_chain_has_an_input_for_each_number(ffdnet: str, tmp_path: Path) -> None:
    model = load_model(f"{ffdnet}+bicubic", REGISTRY, 2)
    file = tmp_path / "chain.onnx"
    assert export(model, file, "onnx") <= 1e-4
    image, sigma = torch.rand(1, 3, 9, 12), torch.tensor([40.0])
    with torch.inference_mode():
        torch.testing.assert_close(
            run_onnx(file)(image, sigma), model.module(image, sigma), rtol=0, atol=1e-5
        )


def test_the_commands_take_options_of_models(
    ffdnet: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = (noisy(20)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    (tmp_path / "data").mkdir()
    Image.fromarray(levels).save(tmp_path / "data" / "a.png")
    source, out = str(tmp_path / "data" / "a.png"), str(tmp_path / "b.png")
    common = ["--device", "cpu"]
    assert (
        command(monkeypatch, *["upscale", source, "-o", out, "--model", ffdnet, "--set", "sigma=12", *common])
        == 0
    )
    made = read_provenance(Path(out))
    assert made is not None
    assert dict(made.settings)["option sigma"] == "12"
    capsys.readouterr()
    evaluate = ["evaluate", "--model", f"{ffdnet}+bicubic", "--data", str(tmp_path / "data"), "--scale", "2"]
    assert command(monkeypatch, *[*evaluate, "--set", "ffdnet.sigma=3", "--json", *common]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert row["settings"]["sigma"] == "3"
    compare = ["compare", source, "--model", ffdnet, "--model", "dncnn", "-o", str(tmp_path / "c.html")]
    assert command(monkeypatch, *[*compare, "--set", "sigma=3", *common]) == 2  # whose it is, is not said
    assert "use one of the names" in capsys.readouterr().err
    assert command(monkeypatch, *[*compare[:4], *compare[6:], "--set", "sigma=3", *common]) == 0


def test_a_model_that_sees_everything_is_tiled_with_its_overlap_and_a_note() -> None:
    spec = replace(
        REGISTRY.models["bicubic"], halo=lambda scale, options: None, overlap=lambda scale, options: 6
    )
    model = LoadedModel.built("all", spec, 2, spec.options(), spec.build(2, spec.options()))
    restorer = Restorer(model, device="cpu", tile=16)
    assert restorer.margin == 6
    assert "tiles that overlap by 6 pixels" in restorer.notes[0]
    assert LoadedModel.chained("all+all", ("all", "all#2"), (model, model)).overlap == 6 + 3
