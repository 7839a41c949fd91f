"""The perceptual and the texture loss are those of the equations, on features with a mean of one."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from restore.errors import OptionsError, UsageError, WeightsError
from restore.interfaces import Options, notes_of, parse, prepare
from restore.sharpening import gaussian_blur, unsharp_mask
from restore_enhancenet.losses import (
    PerceptualLoss,
    TextureLoss,
    build_perceptual,
    build_texture,
    gram_matrices,
)
from restore_enhancenet.options import LAYERS, PerceptualOptions, TextureOptions
from restore_enhancenet.vgg import Vgg19, before_relu

RandomVgg19 = Callable[..., Path]

CONVOLUTIONS = [layer for layer in LAYERS if layer.startswith("conv")]


def images(count: int = 2, height: int = 40, width: int = 56, seed: int = 0) -> Tensor:
    """Float64, so that what is compared differs by rounding of the last digits only."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64)


SAMPLES = list(images(5, 32, 32, seed=1).float())


def ready(loss: nn.Module) -> nn.Module:
    prepare(loss, SAMPLES)
    return loss.double()


def reference_features(file: Path, image: Tensor) -> dict[str, Tensor]:
    """By torchvision's own network, then divided by the mean of each filter over the samples."""
    from torchvision.models import vgg19

    with torch.device("meta"):
        network = vgg19(weights=None).features
    tensors = {name.removeprefix("features."): tensor.float() for name, tensor in load_file(file).items()}
    network.load_state_dict(tensors, assign=True)
    network.double()
    batch = torch.cat([torch.stack(SAMPLES).double(), image])
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, found, names, factor = (batch - mean) / spread, {}, iter(LAYERS), torch.ones(1)
    with torch.no_grad():
        for layer in network:
            x = layer(x) if not isinstance(layer, nn.ReLU) else x.relu()
            if isinstance(layer, nn.ReLU):
                factor = x[: len(SAMPLES)].mean((0, 2, 3)).view(1, -1, 1, 1)
                factor[factor < 0.01 * factor.mean()] = factor.mean()
            if not isinstance(layer, nn.Conv2d):
                found[next(names)] = x[len(SAMPLES) :] / factor
    return found


# The network ------------------------------------------------------------------------------------------


def test_features_are_those_of_torchvision_divided_by_the_mean_of_each_filter(vgg19: Path) -> None:
    network = Vgg19()
    network.load(LAYERS, SAMPLES)
    image = images(2, 32, 32)
    found, expected = network.double()(image, LAYERS), reference_features(vgg19, image)
    assert list(found) == list(LAYERS)
    for layer in LAYERS:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-4, atol=1e-4)


def test_every_filter_has_a_mean_of_one_over_the_samples() -> None:
    network = Vgg19()
    network.load(LAYERS, SAMPLES)
    features = network(torch.stack(SAMPLES), CONVOLUTIONS)
    for layer in CONVOLUTIONS:
        mean = features[layer].mean((0, 2, 3))
        fires = mean > 0.01
        assert fires.float().mean() > 0.5
        torch.testing.assert_close(mean[fires], torch.ones_like(mean[fires]), rtol=1e-3, atol=0)


def test_filters_that_hardly_fire_are_not_blown_up(random_vgg19: RandomVgg19, tmp_path: Path) -> None:
    file = random_vgg19(tmp_path / "dead.safetensors", "conv1_2")
    tensors = load_file(file)
    tensors["features.0.bias"][3] = -60000
    torch.save(tensors, tmp_path / "dead.pth")
    network = Vgg19(tmp_path / "dead.pth")
    network.load(["conv1_2"], SAMPLES)
    means = network.get_buffer("conv1_1_mean")
    assert means.min() > 0.01 * means.mean()
    features = network(images().float(), ["conv1_1", "conv1_2"])
    assert features["conv1_1"][:, 3].abs().max() == 0
    assert features["conv1_2"].isfinite().all()


class Untouched(Sequence[Tensor]):
    """Samples that nobody may look at."""

    def __getitem__(self, index: Any) -> NoReturn:
        raise AssertionError("measured again")

    def __len__(self) -> int:
        return 5


def test_means_are_measured_once_for_losses_that_share_and_come_back_from_a_checkpoint() -> None:
    network = Vgg19()
    network.load(["pool2"], SAMPLES)
    network.load(["conv1_1"], Untouched())
    again = Vgg19()
    again.load_state_dict(network.state_dict())
    again.load(["pool2"], Untouched())
    image = images().float()
    assert torch.equal(again(image, ["pool2"])["pool2"], network(image, ["pool2"])["pool2"])
    assert set(network.state_dict()) == {f"{layer}_mean" for layer in CONVOLUTIONS}


def test_means_are_cached_for_the_same_images_and_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def mean(samples: Sequence[Tensor]) -> Tensor:
        network = Vgg19()
        network.load(["conv2_1"], samples)
        return network.get_buffer("conv2_1_mean")

    measured = mean(SAMPLES)
    (file,) = (tmp_path / "restore" / "vgg19-means").iterdir()
    save_file({name: 2 * values for name, values in load_file(file).items()}, file)
    assert torch.equal(mean(SAMPLES), 2 * measured), "the cached means are used"
    other = mean(SAMPLES[:3])
    assert not torch.equal(other, measured)
    assert not torch.equal(other, 2 * measured)
    file.write_bytes(b"damaged")
    assert torch.equal(mean(SAMPLES), measured), "means from a damaged file are computed again"


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert ready(build_texture(TextureOptions()))(images(), images(seed=2)) > 0
    assert (tmp_path / "file").read_bytes() == b""


def test_building_a_loss_reads_nothing_and_using_it_unprepared_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESTORE_VGG19", "nowhere.safetensors")
    loss = build_perceptual(PerceptualOptions())
    with pytest.raises(RuntimeError, match="prepare the loss first"):
        loss(images().float(), images().float())
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors: cannot read the VGG-19 weights"):
        prepare(loss, SAMPLES)


def test_images_that_are_too_small_for_the_deepest_layer_are_refused() -> None:
    loss = ready(build_perceptual(PerceptualOptions()))
    small = images(1, 31, 40)
    with pytest.raises(UsageError, match="40x31 pixels are too small for VGG-19's pool5, which needs 32"):
        loss(small, small)


def test_without_normalization_features_are_those_of_torchvision_before_and_after_the_relu(
    vgg19: Path,
) -> None:
    from torchvision.models import vgg19 as torchvision_vgg19

    with torch.device("meta"):
        reference = torchvision_vgg19(weights=None).features
    tensors = {name.removeprefix("features."): tensor.float() for name, tensor in load_file(vgg19).items()}
    reference.load_state_dict(tensors, assign=True)
    image = images(1, 32, 32)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, expected, names = (image - mean.view(1, 3, 1, 1)) / spread.view(1, 3, 1, 1), [], iter(LAYERS)
    with torch.no_grad():
        for layer in reference.double():
            x = layer(x) if not isinstance(layer, nn.ReLU) else x.relu()
            if isinstance(layer, nn.Conv2d):
                expected.append((before_relu(f"conv{next_of(names)}"), x))
            elif isinstance(layer, nn.ReLU):
                expected.append((expected[-1][0].removesuffix("_before_relu"), x))
            else:
                expected.append((next(names), x))
    network = Vgg19(normalize=False)
    network.load(LAYERS, Untouched())
    wanted = [name for name, _ in expected]
    found = network.double()(image, wanted)
    assert list(found) == wanted
    for name, features in expected:
        torch.testing.assert_close(found[name], features, rtol=1e-5, atol=1e-6)


def next_of(names: Iterator[str]) -> str:
    return next(names).removeprefix("conv")


# The weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_that_ends_early_serves_the_layers_that_it_has(
    random_vgg19: RandomVgg19, tmp_path: Path, suffix: str
) -> None:
    file = random_vgg19(tmp_path / f"short{suffix}", "conv3_4")
    layers = "pool2:0.2,pool3:0.02"
    ready(build_perceptual(parse(PerceptualOptions, {"vgg": file, "layers": layers}, "loss")))
    with pytest.raises(WeightsError) as caught:
        ready(build_perceptual(PerceptualOptions(vgg=file)))
    message = str(caught.value)
    assert "lack conv4_1, conv4_2, conv4_3, conv4_4, conv5_1, conv5_2, conv5_3, conv5_4" in message
    assert f"perceptual.layers={layers}" in message


def test_an_option_goes_before_the_environment(
    random_vgg19: RandomVgg19, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_VGG19", "nowhere.pth")
    loss = ready(build_texture(TextureOptions(vgg=random_vgg19(tmp_path / "vgg.pth", "conv3_1"))))
    assert loss(images(), images(seed=2)) > 0


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.safetensors"])
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 no archive"])
def test_a_damaged_file_is_named_in_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: cannot read the VGG-19 weights: .") as caught:
        ready(build_texture(TextureOptions(vgg=tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_a_file_that_would_run_code_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"features.0.weight": Evil()}, tmp_path / "vgg.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        ready(build_texture(TextureOptions(vgg=tmp_path / "vgg.pth")))
    assert not (tmp_path / "executed").exists()


def test_a_file_with_other_shapes_is_refused(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(
        WeightsError, match=r"list\.pth: cannot read the VGG-19 weights: it has no named tensors"
    ):
        ready(build_texture(TextureOptions(vgg=tmp_path / "list.pth")))
    torch.save({"features.0.weight": torch.ones(3, 3), "features.0.bias": torch.ones(64)}, tmp_path / "a.pth")
    options = TextureOptions.model_validate({"vgg": tmp_path / "a.pth", "layers": "conv1_1:1"})
    with pytest.raises(WeightsError, match=r"not VGG-19 .*conv1_1 has the shape \(3, 3\)"):
        ready(build_texture(options))


def test_torchvisions_weights_are_taken_from_its_cache(
    random_vgg19: RandomVgg19, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESTORE_VGG19")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    file = random_vgg19(tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth", "conv3_1")
    cached, named = (ready(build_texture(TextureOptions(vgg=vgg))) for vgg in (None, file))
    assert cached(images(), images(seed=2)) == named(images(), images(seed=2)) > 0


def test_without_a_network_the_sentence_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: Any, **kwargs: Any) -> NoReturn:
        raise urllib.error.URLError("no route to host")

    monkeypatch.delenv("RESTORE_VGG19")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(
        WeightsError,
        match=r"cannot download .*vgg19-dcbb9e9d\.pth: .*no route.*set RESTORE_VGG19 to its path",
    ):
        ready(build_texture(TextureOptions()))


# The losses -------------------------------------------------------------------------------------------


def features(loss: PerceptualLoss | TextureLoss, image: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = loss.network(image, loss.layers)
    return found


def test_the_perceptual_loss_is_the_mean_squared_difference_of_features() -> None:
    loss = PerceptualLoss(Vgg19(), {"pool2": 0.2, "pool3": 0.02})
    ready(loss)
    restored, target = images(2, 16, 24), images(2, 16, 24, seed=2)
    of_restored, of_target = features(loss, restored), features(loss, target)
    expected = 0.0
    for layer, weight in (("pool2", 0.2), ("pool3", 0.02)):
        entries = zip(*(found[layer].flatten().tolist() for found in (of_restored, of_target)), strict=True)
        squares = [(a - b) ** 2 for a, b in entries]
        expected += weight * sum(squares) / len(squares)
    assert loss(restored, target).item() == pytest.approx(expected, rel=1e-10)


def test_the_perceptual_loss_of_esrgan_is_the_mean_absolute_difference_before_the_relu() -> None:
    options = {"layers": {"conv1_2": 0.1, "conv2_2": 1.0}, "relu": False, "normalize": False}
    loss = build_perceptual(PerceptualOptions.model_validate({**options, "distance": "l1"}))
    ready(loss)
    assert isinstance(loss, PerceptualLoss)
    restored, target = images(2, 16, 24), images(2, 16, 24, seed=2)
    of_restored, of_target = features(loss, restored), features(loss, target)
    assert min(found.min().item() for found in of_target.values()) < 0
    expected = 0.0
    for layer, weight in (("conv1_2_before_relu", 0.1), ("conv2_2_before_relu", 1.0)):
        entries = zip(*(found[layer].flatten().tolist() for found in (of_restored, of_target)), strict=True)
        distances = [abs(a - b) for a, b in entries]
        expected += weight * sum(distances) / len(distances)
    assert loss(restored, target).item() == pytest.approx(expected, rel=1e-10)


def test_losses_with_other_normalization_do_not_share_a_network() -> None:
    losses = [build_perceptual(PerceptualOptions(normalize=normalize)) for normalize in (True, False)]
    keys = [loss.network.key for loss in losses if isinstance(loss, PerceptualLoss)]
    texture = build_texture(TextureOptions())
    assert isinstance(texture, TextureLoss)
    assert keys == [texture.network.key, ("vgg19", None, False)]


def test_a_sharpened_perceptual_loss_compares_with_the_sharpened_target() -> None:
    plain, sharpened = (
        ready(build_perceptual(parse(PerceptualOptions, {"layers": "pool1:1", "sharpen": sharpen}, "loss")))
        for sharpen in (False, True)
    )
    restored, target = images(1, 48, 40), images(1, 48, 40, seed=2)
    sharp = unsharp_mask(target, lambda image: gaussian_blur(image, 8.0), 0.5, 10.0)
    assert sharpened(restored, target).item() == pytest.approx(plain(restored, sharp).item(), rel=1e-12)
    assert sharpened(sharp, target).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("patch", [4, 16, 128])
def test_the_texture_loss_is_the_mean_squared_difference_of_gram_matrices_of_windows(patch: int) -> None:
    weights = {"conv1_1": 0.3, "conv2_1": 0.7}
    loss = TextureLoss(Vgg19(), weights, patch)
    ready(loss)
    restored, target = images(2, 40, 22), images(2, 40, 22, seed=2)
    of_restored, of_target = features(loss, restored), features(loss, target)
    expected = 0.0
    for layer, weight in weights.items():
        grams = [windowed_grams(found[layer], patch) for found in (of_restored, of_target)]
        differences = [(a - b).square().mean().item() for a, b in zip(*grams, strict=True)]
        expected += weight * sum(differences) / len(differences)
    assert loss(restored, target).item() == pytest.approx(expected, rel=1e-10)


def windowed_grams(maps: Tensor, patch: int) -> list[Tensor]:
    """Eq. 6 and 7 window by window and position by position, on the scale of 16x16 positions."""
    grams = []
    for one in maps:
        high, wide = min(patch, one.shape[1]), min(patch, one.shape[2])
        for top in range(0, one.shape[1] - high + 1, high):
            for left in range(0, one.shape[2] - wide + 1, wide):
                gram = torch.zeros(len(one), len(one), dtype=torch.float64)
                for y in range(top, top + high):
                    for x in range(left, left + wide):
                        gram += torch.outer(one[:, y, x], one[:, y, x])
                grams.append(gram * 256 / (high * wide))
    return grams


def test_a_window_of_16_has_the_gram_matrix_of_the_paper_divided_by_nothing() -> None:
    maps = images(1, 16, 16)
    flat = maps[0].flatten(1)
    torch.testing.assert_close(gram_matrices(maps, 16), (flat @ flat.T)[None])


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda: PerceptualLoss(Vgg19(), {"conv1_1": 1.0, "pool1": 1.0}), id="perceptual"),
        pytest.param(lambda: TextureLoss(Vgg19(), {"conv1_1": 1e-3, "conv1_2": 1e-3}, 4), id="texture"),
    ],
)
def test_the_gradient_is_that_of_finite_differences(loss: Callable[[], nn.Module]) -> None:
    module = ready(loss())
    restored, target = images(1, 6, 5).requires_grad_(), images(1, 6, 5, seed=2)
    assert torch.autograd.gradcheck(lambda image: module(image, target), (restored,), eps=1e-7, atol=1e-4)


def test_gram_matrices_stay_in_float32_where_the_network_runs_in_half_precision() -> None:
    loss = TextureLoss(Vgg19(), {"conv1_1": 1.0})
    prepare(loss, SAMPLES)
    restored, target = images().float(), images(seed=2).float()
    with torch.autocast("cpu", torch.bfloat16):
        halves = loss.network(restored, ["conv1_1"]), loss.network(target, ["conv1_1"])
        inside = loss.compare(*halves)
    assert halves[0]["conv1_1"].dtype == torch.bfloat16
    assert inside.dtype == torch.float32
    outside = loss.compare(*({"conv1_1": half["conv1_1"].float()} for half in halves))
    assert torch.equal(inside, outside)


# Options ----------------------------------------------------------------------------------------------


def test_layers_are_given_as_text_or_as_a_table() -> None:
    expected = {"pool2": 0.2, "pool3": 0.02}
    for given in ("pool2:0.2,pool3:0.02", " pool2 : 0.2 , pool3:2e-2", expected):
        assert parse(PerceptualOptions, {"layers": given}, "loss").layers == expected


@pytest.mark.parametrize(
    ("schema", "values", "sentence"),
    [
        (PerceptualOptions, {"layers": "pol2:1"}, "VGG-19 has no layer 'pol2'. Did you mean 'pool2'?"),
        (PerceptualOptions, {"layers": "pool2"}, "write LAYER:WEIGHT,LAYER:WEIGHT"),
        (PerceptualOptions, {"layers": "pool2:much"}, "option 'layers.pool2'"),
        (PerceptualOptions, {"layers": {"pool2": -1}}, "the weight of 'pool2' has to be a number from 0"),
        (PerceptualOptions, {"layers": {"pool2": "nan"}}, "the weight of 'pool2' has to be a number from 0"),
        (PerceptualOptions, {"layers": {}}, "name at least one layer"),
        (PerceptualOptions, {"layer": "pool2:1"}, "no option 'layer'. Did you mean 'layers'?"),
        (TextureOptions, {"patch": 0}, "option 'patch'"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    schema: type[Options], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        parse(schema, values, "loss 'x'")
    assert sentence in str(caught.value)


def test_weights_other_than_torchvisions_are_noted_with_their_hash(
    random_vgg19: RandomVgg19, tmp_path: Path
) -> None:
    file = random_vgg19(tmp_path / "other.safetensors", "conv3_1")
    loss = build_texture(TextureOptions(vgg=file))
    assert notes_of(loss) == ()
    ready(loss)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert notes_of(loss) == (f"VGG-19 weights other than torchvision's [SHA-256 {digest[:16]}]",)


def test_weights_in_the_cache_of_torchvision_are_noted_unless_they_have_its_hash(
    random_vgg19: RandomVgg19, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESTORE_VGG19")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    random_vgg19(tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth", "conv3_1")
    (note,) = notes_of(ready(build_texture(TextureOptions())))
    assert "other than torchvision's" in note
    known = SimpleNamespace(hexdigest=lambda: "dcbb9e9d" + 56 * "0")
    monkeypatch.setattr(hashlib, "file_digest", lambda file, algorithm: known)
    assert notes_of(ready(build_texture(TextureOptions()))) == ()
