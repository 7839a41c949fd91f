"""Other engines and exported files compute what PyTorch computes, at any size."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import onnxruntime
import openvino
import pytest
import torch
from torch import Tensor, nn

import restore
from restore.checkpoint import LoadedModel, load_model
from restore.choices import Engine, GraphFormat
from restore.cli import main
from restore.errors import RestoreError, UsageError
from restore.export import export, graph_format
from restore.inference import Restorer
from restore.inference.engines import engine_network, run_onnx, run_openvino
from restore.inference.onnx_graph import to_onnx
from restore.inference.quantization import calibration, check_rounding
from restore.registry import discover
from restore.resizing import imresize

SIZES = ((1, 1), (1, 7), (7, 1), (2, 3), (33, 47))
OTHERS: list[Engine] = [engine for engine in get_args(Engine) if engine != "torch"]


def small(name: str = "enhancenet", scale: int = 4) -> LoadedModel:
    """A model with random weights."""
    spec = discover().models[name]
    options = spec.options.model_validate({"width": 8, "blocks": 1} if name == "enhancenet" else {})
    torch.manual_seed(0)
    return LoadedModel.built(name, spec, scale, options, spec.build(scale, options))


@pytest.fixture(scope="module", params=["enhancenet", "srcnn", "bicubic"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return small(request.param, 3)


@pytest.mark.parametrize("engine", OTHERS)
def test_an_engine_computes_what_pytorch_computes(model: LoadedModel, engine: Engine) -> None:
    plain = Restorer(model, device="cpu", precision="fp32", tile="off")
    other = Restorer(model, precision="fp32", tile="off", engine=engine)
    for height, width in SIZES:
        image = torch.rand(2, 3, height, width)
        torch.testing.assert_close(other.restore(image), plain.restore(image), rtol=0, atol=5e-6)


def test_an_engine_averages_the_same_views(model: LoadedModel) -> None:
    image = torch.rand(1, 3, 13, 9)
    plain = Restorer(model, device="cpu", precision="fp32", self_ensemble=True)
    other = Restorer(model, precision="fp32", engine="openvino", self_ensemble=True)
    torch.testing.assert_close(other.restore(image), plain.restore(image), rtol=0, atol=5e-6)


@pytest.mark.parametrize("engine", OTHERS)
def test_two_threads_do_not_mix_their_images(engine: Engine) -> None:
    restorer = restore.load("bicubic", scale=2, engine=engine, tile=16)
    images = [torch.rand(1, 3, 40 + index, 50) for index in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(restorer.restore, images * 5))
    for image, result in zip(images * 5, together, strict=True):
        torch.testing.assert_close(result, restorer.restore(image), rtol=0, atol=0)


def test_the_bicubic_part_stays_exact_when_openvino_multiplies_in_bfloat16() -> None:
    model = small()
    nn.init.zeros_(model.module.tail.weight)  # type: ignore[arg-type,union-attr]
    nn.init.zeros_(model.module.tail.bias)  # type: ignore[arg-type,union-attr]
    network = run_openvino(openvino.Core().read_model(to_onnx(model)), torch.bfloat16)
    image = torch.rand(1, 3, 33, 47)
    torch.testing.assert_close(network(image), imresize(image, (132, 188)), rtol=0, atol=1e-6)


def test_only_a_fused_network_is_rounded_by_an_engine() -> None:
    assert Restorer(small("bicubic"), precision="auto", engine="openvino").dtype == torch.float32
    with pytest.raises(UsageError, match="cannot run 'srcnn' in bf16; set `precision` to fp32 or auto"):
        Restorer(small("srcnn"), precision="bf16", engine="openvino")
    for engine in OTHERS:
        with pytest.raises(UsageError, match="cannot run 'enhancenet' in fp16"):
            Restorer(small(), precision="fp16", engine=engine)
    with pytest.raises(UsageError, match="runs on the CPU, not on 'cuda'"):
        Restorer(small(), device="cuda", engine="openvino")


def test_integers_come_near_what_float32_computes_on_photographs_text_and_noise() -> None:
    model = load_model("enhancenet:e", discover())
    exact = Restorer(model, device="cpu", precision="fp32", tile="off")
    rounded = Restorer(model, precision="int8", engine="openvino")
    assert rounded.dtype == torch.int8
    for image in (calibration()[:1, :, 5:40], torch.rand(1, 3, 33, 47)):
        difference = (rounded.restore(image) - exact.restore(image)).abs()
        assert 1e-4 < difference.square().mean().sqrt() < 0.02  # the integers are there, and enough


@pytest.mark.parametrize(("weights", "numbers"), [("noise", (0, 15, 75)), ("jpeg", (10, 50, 95))])
def test_integers_keep_to_the_number_that_a_model_takes(weights: str, numbers: tuple[float, ...]) -> None:
    model = load_model(f"ffdnet:{weights}", discover())
    rounded = engine_network("openvino", model, torch.int8)
    image, results = calibration()[:4, :, :41, :47], []
    for number in numbers:
        given = torch.full((len(image),), float(number))
        with torch.inference_mode():
            exact = model.module(image, given)
        results.append((exact, rounded(image, given)))
    errors = [(exact - found).square().mean().sqrt().item() for exact, found in results]
    changes = [(results[0][index] - results[-1][index]).square().mean().sqrt().item() for index in (0, 1)]
    assert max(errors) < 0.01
    assert changes[1] == pytest.approx(changes[0], rel=0.2)


def test_a_signal_finds_its_stack_after_openvino_and_nncf_have_worked() -> None:
    code = (
        "import faulthandler, signal, subprocess, restore; faulthandler.enable();"
        "signal.signal(signal.SIGUSR1, lambda *_: print('heard'));"
        "[restore.load('srcnn', engine='openvino') for _ in range(3)];"
        "restore.load('enhancenet:e', engine='openvino', precision='int8');"
        "signal.raise_signal(signal.SIGUSR1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_a_network_that_integers_cannot_hold_is_refused() -> None:
    with pytest.raises(RestoreError, match=r"8 bits are too few .* change by 0\.5 on average"):
        check_rounding(lambda tile: tile, lambda tile: tile + 0.5, small())


def test_integers_are_only_for_openvino_and_fused_networks() -> None:
    with pytest.raises(UsageError, match="PyTorch runs no network in int8"):
        Restorer(small(), precision="int8")
    for name, engine in (("enhancenet", "onnxruntime"), ("srcnn", "openvino")):
        with pytest.raises(UsageError, match=f"cannot run '{name}' in int8"):
            Restorer(small(name), precision="int8", engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", get_args(GraphFormat))
def test_an_exported_file_runs_by_itself_and_says_what_it_is(tmp_path: Path, form: GraphFormat) -> None:
    model = replace(small(), digest="a" * 64)
    file = tmp_path / "deep" / ("m.onnx" if form == "onnx" else "m.xml")
    assert export(model, file, form) < 5e-6
    image = torch.rand(1, 3, 5, 9)
    told: dict[str, Any]
    if form == "onnx":
        (name,) = [file.name]
        told = onnxruntime.InferenceSession(str(file)).get_modelmeta().custom_metadata_map
        restored = run_onnx(file)(image)
    else:
        name = "m.bin m.xml"
        graph = openvino.Core().read_model(file)  # which finds m.bin by its name
        told = {
            key: graph.get_rt_info(["restore", key]).value for key in ("model", "scale", "weights_sha256")
        }
        restored = run_openvino(graph, torch.float32)(image)
    assert " ".join(sorted(path.name for path in file.parent.iterdir())) == name
    assert (told["model"], told["scale"], told["weights_sha256"]) == ("enhancenet", "4", "a" * 64)
    with torch.inference_mode():
        torch.testing.assert_close(restored, model.module(image), rtol=0, atol=5e-6)


class DependsOnTheRoom(nn.Module):
    """Computes something else in a graph."""

    def forward(self, image: Tensor) -> Tensor:
        return image + (0.5 if torch.compiler.is_exporting() else 0.0)


class DecidesByTheSize(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image if image.shape[-1] > 15 else image + 1


def wrong(network: nn.Module) -> LoadedModel:
    return replace(small("bicubic", 1), module=network)


@pytest.mark.parametrize("form", get_args(GraphFormat))
def test_a_graph_that_differs_is_refused_and_leaves_nothing(tmp_path: Path, form: GraphFormat) -> None:
    with pytest.raises(
        RestoreError, match=r"differs from PyTorch by 0\.5 on an image of 1x1; set `engine` to torch"
    ):
        export(wrong(DependsOnTheRoom()), tmp_path / "m.xml", form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", OTHERS)
def test_an_engine_whose_graph_differs_is_refused_before_it_works(engine: Engine) -> None:
    with pytest.raises(RestoreError, match=r"differs from PyTorch by 0\.5 on an image of 33x47; set"):
        Restorer(wrong(DependsOnTheRoom()), engine=engine)


def test_a_network_that_decides_by_the_size_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'bicubic' cannot become a graph for any size of image") as caught:
        export(wrong(DecidesByTheSize()), tmp_path / "m.onnx", "onnx")
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openvino", "onnxruntime", "onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_libraries")
def test_a_missing_library_is_named_with_its_extra(tmp_path: Path) -> None:
    for engine, extra in (("openvino", "openvino"), ("onnxruntime", "onnx")):
        with pytest.raises(UsageError, match=rf"needs {engine}; run: pip install .restorekit\[{extra}\]"):
            Restorer(small(), engine=engine)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"needs onnx; run: pip install 'restorekit\[onnx\]'"):
        to_onnx(small())
    assert list(tmp_path.iterdir()) == []


def test_the_format_follows_from_the_suffix_and_must_not_contradict_it() -> None:
    assert graph_format(None, None) == "onnx"
    assert graph_format(None, "openvino") == "openvino"
    assert graph_format(Path("a.xml"), None) == "openvino"
    assert graph_format(Path("a.onnx"), "onnx") == "onnx"
    for file, form in (("a.xml", "onnx"), ("a.pt", None), ("a", "openvino")):
        with pytest.raises(UsageError, match=r"use the suffix \.onnx for onnx, \.xml for openvino"):
            graph_format(Path(file), form)  # type: ignore[arg-type]


def test_the_command_tells_the_largest_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["restore", "export", "bicubic", "--scale", "2"])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert (caught.value.code, captured.err) == (0, "")
    assert captured.out.startswith("bicubic_x2.onnx  2x  differs from PyTorch by at most ")
    assert [file.name for file in tmp_path.iterdir()] == ["bicubic_x2.onnx"]
