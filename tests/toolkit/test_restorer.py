"""One loaded model restores images of any kind and size."""

from __future__ import annotations

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import restore
from restore.checkpoint import LoadedModel, WeightsCard, load_model, save_weights
from restore.errors import ImageError, RestoreError, UnknownNameError, UsageError, WeightsError
from restore.images import Photo, read
from restore.inference import Restorer, devices
from restore.inference.tiles import TileSize
from restore.registry import Registry, discover


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def fresh(registry: Registry, name: str, scale: int) -> LoadedModel:
    """A model with random weights: what they are does not matter for how tiles are cut."""
    spec = registry.models[name]
    options = spec.options()
    torch.manual_seed(0)
    return LoadedModel.built(name, spec, scale, options, spec.build(scale, options))


@pytest.mark.parametrize("name", ["bicubic", "srcnn", "enhancenet"])
def test_a_tiled_result_equals_the_whole_to_rounding(registry: Registry, name: str) -> None:
    image = torch.rand(1, 3, 70, 53)
    model = fresh(registry, name, 4)
    whole = Restorer(model, device="cpu", precision="fp32", tile="off").restore(image)
    for tile in (16, 37):
        tiled = Restorer(model, device="cpu", precision="fp32", tile=tile).restore(image)
        assert (tiled - whole).abs().max() <= 2e-6


@pytest.mark.parametrize("tile", ["off", 16])
def test_a_self_ensemble_is_the_mean_of_eight_views(registry: Registry, tile: TileSize) -> None:
    model, image = fresh(registry, "enhancenet", 4), torch.rand(2, 3, 20, 27)
    each = []
    with torch.inference_mode():
        for turns in range(4):
            for axes in ((), (-2,)):
                restored = model.module(image.rot90(turns, (-2, -1)).flip(axes))
                each.append(restored.flip(axes).rot90(-turns, (-2, -1)))
    expected = torch.stack(each).mean(0).clamp(0, 1)
    assert (each[0].clamp(0, 1) - expected).abs().max() > 0.01
    restorer = Restorer(model, device="cpu", precision="fp32", tile=tile, self_ensemble=True)
    torch.testing.assert_close(restorer.restore(image), expected, rtol=0, atol=5e-6)
    assert restorer.settings == {"self_ensemble": "on"}


def test_every_tensor_comes_back_as_it_was_given() -> None:
    restorer = restore.load("bicubic", scale=2, device="cpu")
    for dtype in (torch.float32, torch.float64):
        single = torch.rand(3, 5, 6, dtype=dtype)
        assert restorer.upscale(single).shape == (3, 10, 12)
        assert restorer.upscale(single).dtype == dtype
    assert restorer.upscale(torch.rand(2, 3, 5, 6)).shape == (2, 3, 10, 12)


def test_results_stay_in_range() -> None:
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    restored = restore.load("bicubic", scale=4, device="cpu").restore(edge)
    assert restored.min() == 0
    assert restored.max() == 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"])
def test_a_pil_image_of_any_mode_is_enlarged(mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)).convert(mode)
    enlarged = restore.load("bicubic", scale=3, device="cpu").upscale(image)
    assert enlarged.size == (27, 18)
    if mode in ("L", "RGB", "RGBA", "LA"):
        assert enlarged.mode == mode


def test_progress_rises_to_the_whole() -> None:
    seen: list[float] = []
    restore.load("bicubic", scale=2, device="cpu", tile=8).restore(torch.rand(1, 3, 20, 30), seen.append)
    assert len(seen) == 12
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 3, 0, 8)])
def test_a_tensor_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)"):
        restore.load("bicubic", device="cpu").restore(torch.zeros(shape))


def test_weights_are_found_by_their_path_and_say_their_scale(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    model = fresh(registry, "srcnn", 3)
    save_weights(file, model.module, WeightsCard(model="srcnn", scale=3))
    loaded = load_model(f"srcnn:{file}", registry)
    assert loaded.scale == 3
    image = torch.rand(1, 3, 6, 7)
    assert torch.equal(loaded.module(image), model.module(image))
    with pytest.raises(UsageError, match="are for 3x, not for 4x; set `scale` to 3"):
        load_model(f"srcnn:{file}", registry, 4)
    with pytest.raises(WeightsError, match="are for model 'srcnn', not for 'enhancenet'"):
        load_model(f"enhancenet:{file}", registry)


def test_wrong_references_are_answered_with_what_there_is(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'enhancenet'"):
        load_model("enhancnet", registry)
    with pytest.raises(
        UsageError, match="it can be trained for the scales 2, 3, 4, 8, and has weights for 2, 4"
    ):
        load_model("enhancenet", registry, 5)
    with pytest.raises(UsageError, match="has no weights 'x' for 4x"):
        load_model("enhancenet:x", registry, 4)
    with pytest.raises(UsageError, match="has no weights for 8x"):
        load_model("enhancenet", registry, 8)
    with pytest.raises(WeightsError, match="there is no such weights file"):
        load_model(f"enhancenet:{tmp_path}/none.safetensors", registry)
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 100)
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_model(f"enhancenet:{tmp_path}/junk.safetensors", registry)


@pytest.mark.parametrize(
    ("device", "problem"), [("gpu", "there is no device 'gpu'"), ("xpu", "no usable 'xpu'")]
)
def test_a_device_that_is_not_there_is_refused(device: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        restore.load("bicubic", device=device)


@pytest.mark.parametrize("tile", [0, -3])
def test_a_tile_below_one_pixel_is_refused(tile: TileSize) -> None:
    with pytest.raises(UsageError, match="is too small"):
        restore.load("bicubic", tile=tile)


def astronaut(size: int = 96) -> torch.Tensor:
    """Part of a photograph, ``(1, 3, size, size)``."""
    file = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
    return read(file).color[..., :size, 40 : 40 + size].contiguous()


def test_half_precision_is_seen_in_no_pixel_of_a_photograph() -> None:
    """The enlargement stays float32: only what the network adds is rounded."""
    image = astronaut()
    exact, half = (
        restore.load("enhancenet:e", device="cpu", precision=precision).restore(image)
        for precision in ("fp32", "bf16")
    )
    levels = (half - exact).abs() * 255
    assert levels.max() > 0
    assert (levels <= 2).float().mean() >= 0.999
    noise = (half - exact).square().mean()
    assert noise < 10 ** (-50 / 10)  # beside the 25 to 35 dB that separate a result from its target: nothing


def test_the_fused_network_equals_the_plain_one(registry: Registry) -> None:
    model = load_model("enhancenet:e", registry)
    image = astronaut(40)
    with torch.inference_mode():
        plain = model.module(image).clamp(0, 1)
    fused = Restorer(model, device="cpu", precision="fp32").restore(image)
    torch.testing.assert_close(fused, plain, rtol=0, atol=2e-6)


def test_several_threads_share_one_restorer() -> None:
    restorer = restore.load("enhancenet:e", device="cpu", tile=24)
    images = [astronaut(48), astronaut(48).flip(-1)]
    alone = [restorer.restore(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(restorer.restore, images * 4))
    for index, restored in enumerate(together):
        assert torch.equal(restored, alone[index % 2])


@pytest.mark.parametrize("gray", [False, True])
def test_a_photo_of_eight_bits_becomes_levels(*, gray: bool) -> None:
    restorer = restore.load("enhancenet:e", device="cpu", tile=20)
    color = astronaut(32)
    color = color.mean(1, keepdim=True).expand(1, 3, 32, 32) if gray else color
    photo = restorer.upscale(Photo(color, gray=gray))
    exact = restorer.restore(color)
    exact = exact.mean(1, keepdim=True).expand_as(exact) if gray else exact
    assert photo.color.dtype == torch.uint8
    assert photo.color.shape == (1, 3, 128, 128)
    assert (photo.color - exact * 255).abs().max() <= 0.5 + 1e-3


def test_sixteen_bits_stay_more_than_levels() -> None:
    photo = restore.load("bicubic", device="cpu").upscale(Photo(astronaut(16), gray=True, bits=16))
    assert photo.color.dtype == torch.float32


def test_what_is_not_finite_never_becomes_a_level(registry: Registry) -> None:
    model = fresh(registry, "enhancenet", 2)
    with torch.no_grad():
        list(model.module.parameters())[-1].fill_(torch.nan)
    for image in (
        Photo(astronaut(16)),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
    ):
        with pytest.raises(ImageError, match="NaN or infinite; set `precision` to 'fp32'"):
            Restorer(model, device="cpu").upscale(image)


def test_tiles_grow_with_the_memory() -> None:
    cpu = torch.device("cpu")
    sides = [devices.tile_side(cpu, 384, free=free) for free in (2**28, 2**30, 2**40)]
    assert sides == sorted(sides)
    assert 384 * sides[0] ** 2 <= 32 * 2**20
    assert 384 * sides[-1] ** 2 <= 96 * 2**20
    # A network that needs more for each pixel gets smaller tiles.
    assert devices.tile_side(cpu, 10**12) == 1


def test_the_available_memory_is_a_part_of_the_machine_s() -> None:
    available = devices.available_memory()
    assert available is not None
    assert 2**24 < available < 2**50


# Scales and kinds of images in Python


@pytest.mark.parametrize(("scale", "size"), [(2, (40, 32)), (2.5, (50, 40)), (4, (80, 64)), (None, (80, 64))])
def test_a_scale_that_the_model_lacks_is_reduced_in_python_too(
    scale: float | None, size: tuple[int, int]
) -> None:
    restorer = restore.load("srcnn", scale=scale, device="cpu")
    assert restorer.scale == 4
    assert restorer.upscale(Image.new("RGB", (20, 16))).size == size
    assert restorer.upscale(torch.rand(3, 16, 20)).shape[1:] == (size[1], size[0])
    assert bool(restorer.notes) == (scale in (2, 2.5))


@pytest.mark.parametrize("scale", [0, 0.5, float("nan"), float("inf"), 8])
def test_a_scale_beyond_the_model_is_refused_in_python_too(scale: float) -> None:
    with pytest.raises(UsageError, match="cannot work at scale"):
        restore.load("srcnn", scale=scale, device="cpu")


@pytest.mark.parametrize("order", "<>")
def test_an_array_of_any_byte_order_that_is_read_only_is_taken_without_a_warning(order: str) -> None:
    array = np.full((6, 9, 3), 32896).astype(f"{order}u2")
    array.flags.writeable = False
    restorer = restore.load("bicubic", scale=2, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = restorer.upscale(array)
    assert result.dtype == np.uint16
    assert (result == 32896).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1), (6, 9, 2), (6, 9, 3), (6, 9, 4)])
def test_an_array_keeps_its_type_and_channels(dtype: type[np.number[Any]], shape: tuple[int, ...]) -> None:
    full = {"uint8": 255, "uint16": 65535}.get(np.dtype(dtype).name, 1)
    array: NDArray[Any] = np.full(shape, full * 0.5).astype(dtype)
    enlarged = restore.load("bicubic", scale=2, device="cpu").upscale(array)
    assert enlarged.dtype == dtype
    assert enlarged.shape == (12, 18, *shape[2:])
    assert abs(enlarged.astype(float) - array.flat[0]).max() <= full * 1e-2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_tensor_of_levels_comes_back_as_levels(dtype: torch.dtype) -> None:
    image = torch.full((3, 5, 6), 200).to(dtype)
    enlarged = restore.load("bicubic", scale=2, device="cpu").upscale(image)
    assert enlarged.dtype == dtype
    assert (enlarged.int() - 200).abs().max() <= 1


def test_a_path_gives_a_pil_image_and_bytes_give_bytes_of_the_same_format(tmp_path: Path) -> None:
    restorer = restore.load("bicubic", scale=2, device="cpu")
    for name, form in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP")):
        Image.new("RGB", (9, 6), (200, 100, 50)).save(tmp_path / name)
        assert restorer.upscale(tmp_path / name).size == (18, 12)
        assert restorer.upscale(str(tmp_path / name)).size == (18, 12)
        assert restorer.upscale(PurePosixPath(tmp_path, name)).size == (18, 12)
        with Image.open(BytesIO(restorer.upscale((tmp_path / name).read_bytes()))) as image:
            assert (image.format, image.size) == (form, (18, 12))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (None, "cannot restore a NoneType; pass a path"),
        ([1, 2], "cannot restore a list"),
        (np.zeros((2, 3, 4, 5)), r"an array of shape \(2, 3, 4, 5\) is not an image"),
        (np.zeros((2, 3), np.int64), "have no known range"),
        (np.zeros((2, 3), np.longdouble), "have no known range"),
        (np.full((2, 3), 255.0), "one is 255; divide by 255"),
        (torch.full((3, 2, 2), 255.0), "one is 255; divide by 255"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "have no known range"),
        (torch.zeros(3, 2, 2, dtype=torch.float8_e4m3fn), "have no known range"),
        (np.full((2, 3), np.nan), "one is not a number"),
        (torch.full((3, 2, 2), torch.nan), "one is not a number"),
        (np.linspace(-1, 1, 6).reshape(2, 3), r"one is -1; if they run from -1 to 1, pass \(x \+ 1\) / 2"),
        (torch.zeros(3, 2, 2).to_sparse(), "a sparse tensor has no pixels"),
        (torch.zeros(3, 2, 2, device="meta"), "a meta tensor has no pixels"),
        (torch.zeros(2, 2, 3), r"a tensor of shape \(2, 2, 3\) is not an image; pass \(3, H, W\)"),
        (torch.zeros(2, 2), r"a tensor of shape \(2, 2\) is not an image"),
        (b"not an image", "not an image"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(image: Any, words: str) -> None:
    with pytest.raises(RestoreError, match=words) as caught:
        restore.load("bicubic", device="cpu").upscale(image)
    assert "\n" not in str(caught.value)


def test_the_package_says_its_version() -> None:
    assert restore.__version__ == version("restorekit")


# Tiles that are not used


def test_a_tile_that_is_ignored_is_noted(registry: Registry) -> None:
    model = replace(fresh(registry, "bicubic", 2), halo=None)
    assert "`tile` is ignored" in Restorer(model, device="cpu", tile=8).notes[0]
    assert Restorer(model, device="cpu").notes == ()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"scale": "2"}, "cannot work at scale 2; set `scale` to a finite number"),
        ({"engine": "tensorflow"}, "no `engine` 'tensorflow'; use one of torch, openvino, onnxruntime"),
        ({"alpha": "nearest"}, "no `alpha` 'nearest'"),
        ({"tile": "large"}, "no tile size 'large'"),
        ({"tile": True}, "no tile size True"),
        ({"device": None}, "no device 'None'"),
        ({"reference": 3}, "3 is not the name of a model"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_sentence(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)):
        restore.load(**{"reference": "bicubic", "device": "cpu", **options})


def test_bytes_that_are_no_image_are_refused_without_the_name_of_a_file() -> None:
    for content in (b"", b"abc", b"no image at all"):
        with pytest.raises(ImageError) as caught:
            restore.load("bicubic", device="cpu").upscale(content)
        assert caught.value.path is None
        assert "unpack" not in str(caught.value)
