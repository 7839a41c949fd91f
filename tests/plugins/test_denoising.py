"""FFDNet and DnCNN."""

from __future__ import annotations

import torch

from restore.interfaces import ModelSpec
from restore.registry import discover
from restore_denoising.ffdnet import Ffdnet, squares, strength_map, whole

REGISTRY = discover()


def spec(name: str) -> ModelSpec:
    return REGISTRY.models[name]


def test_ffdnet_has_the_papers_size() -> None:
    network = spec("ffdnet").build(1, spec("ffdnet").options())
    assert sum(parameter.numel() for parameter in network.parameters()) == 852_108  # 0.85 million
    assert spec("ffdnet").halo(1, spec("ffdnet").options()) == 25


def test_dncnn_has_the_papers_size() -> None:
    network = spec("dncnn").build(1, spec("dncnn").options())
    assert sum(parameter.numel() for parameter in network.parameters()) == 669_379
    assert spec("dncnn").halo(1, spec("dncnn").options()) == 20


def test_the_noise_that_an_untrained_dncnn_finds_is_small() -> None:
    torch.manual_seed(0)
    network, image = spec("dncnn").build(1, spec("dncnn").options()), torch.rand(2, 3, 32, 32)
    assert 0 < (network.train()(image) - image).square().mean().sqrt() < 0.15


def test_squares_become_channels_and_come_back_at_odd_sizes() -> None:
    for height, width in ((1, 1), (5, 4), (6, 7)):
        image = torch.rand(2, 3, height, width)
        assert squares(image).shape == (2, 12, -(-height // 2), -(-width // 2))
        assert torch.equal(whole(squares(image), image), image)


def test_the_strength_of_each_image_is_a_plane_of_its_own() -> None:
    strength = torch.tensor([0.0, 51.0])
    plane = strength_map(torch.zeros(2, 12, 3, 4), strength, of_quality=False)
    assert plane.shape == (2, 1, 3, 4)
    assert torch.allclose(plane[:, 0, 0, 0], torch.tensor([0.0, 0.2]))
    plane = strength_map(torch.zeros(2, 12, 3, 4), torch.tensor([100.0, 20.0]), of_quality=True)
    assert torch.allclose(plane[:, 0, 2, 3], torch.tensor([0.0, 0.8]))


def test_a_network_without_weights_leaves_the_image_as_it_is() -> None:
    network = Ffdnet(width=8, layers=4)
    torch.nn.init.zeros_(network.tail.weight)
    image = torch.rand(1, 3, 7, 9)
    assert torch.equal(network(image, torch.tensor([25.0])), image)


def test_the_name_of_the_number_follows_the_option() -> None:
    ffdnet = spec("ffdnet")
    assert ffdnet.conditions(ffdnet.options()) == ("sigma",)
    assert ffdnet.conditions(ffdnet.options.model_validate({"strength": "quality"})) == ("quality",)
    assert spec("dncnn").conditions(spec("dncnn").options()) == ()


def test_the_fused_plain_stack_equals_the_plain_one() -> None:
    ffdnet = spec("ffdnet")
    network = ffdnet.build(1, ffdnet.options.model_validate({"form": "plain", "width": 8})).double().eval()
    assert ffdnet.fuse is not None
    image, sigma = torch.rand(2, 3, 9, 12, dtype=torch.float64), torch.tensor([5.0, 50.0])
    with torch.inference_mode():
        torch.testing.assert_close(
            ffdnet.fuse(network, torch.float64)(image, sigma), network(image, sigma), rtol=0, atol=1e-12
        )


def test_batch_normalization_is_folded_with_its_statistics() -> None:
    dncnn = spec("dncnn")
    network = dncnn.build(1, dncnn.options.model_validate({"width": 8, "layers": 5})).double()
    network(torch.rand(4, 3, 12, 12, dtype=torch.float64))  # in training mode: statistics other than 0 and 1
    assert dncnn.fuse is not None
    image = torch.rand(1, 3, 9, 12, dtype=torch.float64)
    with torch.inference_mode():
        expected = network.eval()(image)
        found = dncnn.fuse(network, torch.float64)(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
