"""The bridge to the community's models: small networks of several architectures, saved here."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import restore_baselines.plugin
import restore_spandrel.plugin
from restore.checkpoint import load_model
from restore.cli import main
from restore.errors import UnknownNameError, UsageError, WeightsError
from restore.inference import load
from restore.registry import Plugin, PluginStatus, Registry, build
from restore.testing import examine, measured_halo, opened_checks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.DAT import DAT
    from spandrel.architectures.DnCNN import DnCNN
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.HAT import HAT
    from spandrel.architectures.SPAN import SPAN
    from spandrel.architectures.SwinIR import SwinIR

BOX = [Plugin("baselines", restore_baselines.plugin), Plugin("spandrel", restore_spandrel.plugin)]
WINDOWS = {"embed_dim": 16, "num_heads": [2], "upscale": 2, "img_size": 16}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "esrgan": lambda: ESRGAN(num_filters=4, num_blocks=1, scale=4),
    "compact": lambda: Compact(num_feat=8, num_conv=3, upscale=2),
    "span": lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2),
    "dncnn": lambda: DnCNN(in_nc=3, out_nc=3, nc=8, nb=8, act_mode="R"),
    "swinir": lambda: SwinIR(
        **WINDOWS, depths=[2], window_size=4, upsampler="pixelshuffle", mlp_ratio=2.0, resi_connection="1conv"
    ),
    "dat": lambda: DAT(**WINDOWS, depth=[1], split_size=[4, 8], expansion_factor=2.0),
    "hat": lambda: HAT(
        **WINDOWS, depths=[1], window_size=8, upsampler="pixelshuffle", compress_ratio=4, squeeze_factor=2
    ),
}
EXACT = {"esrgan": (4, 19), "compact": (2, 5), "span": (2, 21), "dncnn": (1, 8)}
"""Scale and halo of those that are convolutions only."""
OVERLAPPED = {"swinir": 2, "dat": 2, "hat": 2}


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = build(BOX)
    assert not made.problems
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each architecture, as its authors publish it."""
    folder = tmp_path_factory.mktemp("community")
    found = {}
    for name, make in NETWORKS.items():
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            state = {key: tensor.clone().contiguous() for key, tensor in make().state_dict().items()}
        found[name] = folder / f"{name}.safetensors"
        save_file(state, found[name])
    return found


def test_scale_and_halo_are_those_of_the_file(registry: Registry, files: dict[str, Path]) -> None:
    found = {name: load_model(f"spandrel:{files[name]}", registry) for name in EXACT}
    assert {name: (model.scale, model.halo) for name, model in found.items()} == EXACT
    assert all(len(model.digest) == 64 for model in found.values())


@pytest.mark.parametrize("name", ["compact", "dncnn"])
def test_the_halo_is_that_which_gradients_tell(name: str, registry: Registry, files: dict[str, Path]) -> None:
    model = load_model(f"spandrel:{files[name]}", registry)
    assert model.halo is not None
    assert measured_halo(model.module, model.scale, 2 * model.halo + 7) == model.halo


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_keeps_the_contract(name: str, registry: Registry, files: dict[str, Path]) -> None:
    checks = opened_checks(registry.models["spandrel"], files[name])
    assert [finding for finding in examine(checks) if not finding.passed] == []


@pytest.mark.parametrize("name", OVERLAPPED)
def test_windows_of_attention_are_overlapped_which_is_said(
    name: str, registry: Registry, files: dict[str, Path]
) -> None:
    restorer = load(f"spandrel:{files[name]}", registry=registry, device="cpu", precision="fp32", tile=24)
    assert (restorer.model.halo, restorer.margin, restorer.scale) == (None, 32, OVERLAPPED[name])
    (note,) = restorer.notes
    assert "tiles that overlap by 32 pixels" in note
    assert "`tile='off'` works on the whole image" in note
    image = torch.rand(1, 3, 70, 100, generator=torch.Generator().manual_seed(1))
    tiled = restorer.restore(image)
    restorer.tile = "off"
    assert restorer.notes == ()
    whole = restorer.restore(image)
    assert 0 < (tiled - whole).abs().mean() < 0.05


def test_tiles_of_convolutions_equal_the_whole(registry: Registry, files: dict[str, Path]) -> None:
    image = torch.rand(1, 3, 50, 61, generator=torch.Generator().manual_seed(1))
    tiled, whole = (
        load(f"spandrel:{files['esrgan']}", registry=registry, device="cpu", precision="fp32", tile=tile)
        for tile in (9, "off")
    )
    assert tiled.notes == ()
    torch.testing.assert_close(tiled.restore(image), whole.restore(image), rtol=0, atol=1e-5)


def test_a_network_of_blocks_of_pixels_is_overlapped(registry: Registry, tmp_path: Path) -> None:
    network = ESRGAN(in_nc=12, num_filters=4, num_blocks=1, scale=4, shuffle_factor=2)
    save_file(dict(network.state_dict()), tmp_path / "2x.safetensors")
    model = load_model(f"spandrel:{tmp_path / '2x.safetensors'}", registry)
    assert (model.scale, model.halo, model.overlap) == (2, None, 32)


def test_a_network_that_sees_far_is_overlapped(registry: Registry, tmp_path: Path) -> None:
    save_file(dict(Compact(num_feat=4, num_conv=70, upscale=2).state_dict()), tmp_path / "deep.safetensors")
    model = load_model(f"spandrel:{tmp_path / 'deep.safetensors'}", registry)
    assert (model.halo, model.overlap) == (None, 32)


def test_the_precision_is_one_that_the_model_can(
    registry: Registry, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = f"spandrel:{files['swinir']}"
    with pytest.raises(UsageError, match="cannot work in fp16; set `precision` to fp32 or auto"):
        load(reference, registry=registry, device="cpu", precision="fp16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert load(reference, registry=registry, device="cpu").dtype == torch.bfloat16


def test_a_pth_file_is_read_as_tensors(registry: Registry, files: dict[str, Path], tmp_path: Path) -> None:
    """Training programs save nested dicts, half precision and prefixes."""
    network = NETWORKS["compact"]()
    file = tmp_path / "net.pth"
    torch.save(
        {"params_ema": {f"module.{key}": value.half() for key, value in network.state_dict().items()}}, file
    )
    model = load_model(f"spandrel:{file}", registry)
    image = torch.rand(1, 3, 9, 7)
    with torch.inference_mode():
        torch.testing.assert_close(model.module(image), network.eval()(image), rtol=0, atol=1e-2)


class Bomb:
    """An object that runs code when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("plain", [True, False], ids=["a pickle", "saved by PyTorch"])
def test_a_file_that_would_run_code_is_refused(
    suffix: str, plain: bool, registry: Registry, tmp_path: Path
) -> None:
    file, trace = tmp_path / f"bad{suffix}", tmp_path / "it-ran"
    content = {"params": {"body.0.weight": torch.zeros(1)}, "bomb": Bomb(trace)}
    if plain:
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    with pytest.raises(WeightsError, match=r"could run code; get the model as \.safetensors"):
        load_model(f"spandrel:{file}", registry)
    assert not trace.exists()


def _damaged(folder: Path) -> Path:
    (folder / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    return folder / "cut.pth"


def _of_nothing_known(folder: Path) -> Path:
    save_file({"a": torch.zeros(1)}, folder / "a.safetensors")
    return folder / "a.safetensors"


def _gray(folder: Path) -> Path:
    state = DnCNN(in_nc=1, out_nc=1, nc=4, nb=8, act_mode="R").state_dict()
    save_file(dict(state), folder / "gray.safetensors")
    return folder / "gray.safetensors"


def _half(folder: Path) -> Path:
    state = dict(Compact(num_feat=4, num_conv=2, upscale=2).state_dict())
    state["body.2.weight"] = torch.zeros(4, 5, 3, 3)
    save_file(state, folder / "half.safetensors")
    return folder / "half.safetensors"


def _many_layers(folder: Path) -> Path:
    state = dict(Compact(num_feat=4, num_conv=2, upscale=2).state_dict())
    state["body.987654321.weight"] = torch.zeros(4)
    save_file(state, folder / "many.safetensors")
    return folder / "many.safetensors"


def _wide(folder: Path) -> Path:
    """A view of one value that claims to be a layer of a billion channels."""
    state = dict(Compact(num_feat=4, num_conv=2, upscale=2).state_dict())
    state["body.0.weight"] = torch.zeros(1).expand(10**9, 3, 3, 3)
    torch.save(state, folder / "wide.pth")
    return folder / "wide.pth"


def _text(folder: Path) -> Path:
    (folder / "readme.txt").write_text("no model")
    return folder / "readme.txt"


def _list(folder: Path) -> Path:
    torch.save([torch.zeros(1)], folder / "list.pth")
    return folder / "list.pth"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_damaged, "cut.pth: cannot read the file: "),
        (_of_nothing_known, "spandrel does not know the architecture; "),
        (_gray, "maps 1 to 1 channels, but images have 3: not supported"),
        (_half, "the file contains no complete model: "),
        (_many_layers, "numbered up to 987654321, but the file contains only "),
        (_wide, "'body.0.weight' claims 27000000000 values, more than the file contains"),
        (_text, "use a file that ends in .safetensors, .pth"),
        (_list, "contains no named tensors"),
        (lambda folder: folder / "gone.pth", "there is no such weights file"),
    ],
)
def test_a_file_without_a_model_for_images_is_refused_in_one_sentence(
    make: Callable[[Path], Path], sentence: str, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError) as caught:
        load_model(f"spandrel:{make(tmp_path)}", registry)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_file_the_error_says_what_to_name(registry: Registry) -> None:
    with pytest.raises(UsageError, match="needs a file; name one: spandrel:FILE"):
        load_model("spandrel", registry)


def test_another_scale_than_that_of_the_file_is_refused(registry: Registry, files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="are for 2x, not for 4x; set `scale` to 2"):
        load_model(f"spandrel:{files['compact']}", registry, 4)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    made = build(BOX)
    assert made.problems == ()
    status = PluginStatus(BOX[1], "unavailable", "install it with: pip install 'restorekit[spandrel]'")
    assert status in made.plugins
    with pytest.raises(UnknownNameError, match=r"install it with: pip install 'restorekit\[spandrel\]'"):
        load_model("spandrel:4x.pth", made)


Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def restore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["restore", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, *capsys.readouterr()

    return run


def test_a_photo_is_enlarged_by_a_file_of_the_community(
    restore: Command, files: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files["esrgan"].parent)
    result = tmp_path / "large.png"
    code, _, said = restore(
        "upscale", photos / "a.png", "--model", "spandrel:esrgan.safetensors", "-o", result, "--device", "cpu"
    )
    assert (code, said) == (0, "")
    with Image.open(result) as image:
        assert image.size == (256, 192)
    _, _, said = restore(
        "upscale", photos / "a.png", "--model", "spandrel:swinir.safetensors", "-o", result, "--device", "cpu"
    )
    assert said.startswith("note: spandrel:swinir.safetensors: large images are cut into tiles that overlap")


def test_a_file_is_evaluated_like_the_other_models(
    restore: Command, files: dict[str, Path], photos: Path
) -> None:
    (photos / "tiny.png").unlink()
    models = ["--model", "bicubic", "--model", f"spandrel:{files['compact']}"]
    code, out, _ = restore("evaluate", *models, "--data", photos, "--scale", 2, "--device", "cpu")
    assert code == 0
    assert "spandrel" in out
