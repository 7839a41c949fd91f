"""SRCNN, bicubic and the pixel losses are those of the literature."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import nn

from restore.interfaces import Metric, parse
from restore.registry import discover
from restore.resizing import imresize
from restore_baselines.losses import PixelLoss
from restore_baselines.luma import luma
from restore_baselines.models import Bicubic, Srcnn
from restore_baselines.options import SrcnnOptions


@pytest.mark.parametrize(("middle", "weights"), [(1, 8_032), (3, 24_416), (5, 57_184)])
def test_srcnn_has_the_weights_of_the_paper(middle: Literal[1, 3, 5], weights: int) -> None:
    network = Srcnn(4, middle)
    counted = sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert counted == weights


def test_srcnn_changes_luma_and_leaves_chroma_bicubic() -> None:
    image = torch.rand(1, 3, 8, 9, dtype=torch.float64)
    network = Srcnn(3).double()
    restored, bicubic = network(image), imresize(image, (24, 27))
    change = restored - bicubic
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(change[:, 0], change[:, 1])
    torch.testing.assert_close(change[:, 0], change[:, 2])
    torch.testing.assert_close(luma(restored) - luma(bicubic), change[:, :1])


def test_srcnn_reads_luma_only() -> None:
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    gray = luma(image).expand(-1, 3, -1, -1)
    network = Srcnn(2).double()
    change, change_of_gray = (network(x) - imresize(x, (16, 16)) for x in (image, gray))
    torch.testing.assert_close(change, change_of_gray)


@pytest.mark.parametrize("middle", [1, 3, 5])
def test_srcnn_begins_close_to_bicubic_and_every_filter_answers(middle: Literal[1, 3, 5]) -> None:
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    image = 0.2 + 0.6 * imresize(coarse, (64, 64))  # changes as slowly as a photograph
    network = Srcnn(4, middle)
    answers = list[torch.Tensor]()
    for layer in (network.extract, network.map):
        layer.register_forward_hook(lambda *given: answers.append((given[2] > 0).float().mean((0, 2, 3))))
    change = network(image) - imresize(image, (256, 256))
    assert 0 < change.abs().mean() < 0.02
    assert [len(share) for share in answers] == [64, 32]
    for share in answers:
        assert share[0] == 1, "the luma passes"
        assert share.min() > 0.01
        assert share[1:].max() < 0.99


def test_the_paper_initialization_has_its_deviation() -> None:
    torch.manual_seed(0)
    weights = Srcnn(4, paper_initialization=True).map.weight
    assert weights.std().item() == pytest.approx(0.001, rel=0.02)


def test_bicubic_at_scale_one_changes_nothing() -> None:
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(Bicubic(1)(image), image)


def test_pixel_losses_equal_their_definitions() -> None:
    restored, target = torch.rand(2, 2, 3, 4, 5, dtype=torch.float64).unbind()
    squared = sum((a - b) ** 2 for a, b in zip(restored.flatten(), target.flatten(), strict=True))
    absolute = sum(abs(a - b) for a, b in zip(restored.flatten(), target.flatten(), strict=True))
    torch.testing.assert_close(PixelLoss(2)(restored, target), squared / restored.numel())
    torch.testing.assert_close(PixelLoss(1)(restored, target), absolute / restored.numel())


def test_a_loss_on_luma_does_not_see_chroma() -> None:
    target = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    shift = torch.tensor([0.114, 0.0, -0.299], dtype=torch.float64).view(1, 3, 1, 1)
    assert PixelLoss(2, on_luma=True)(target + shift, target).item() < 1e-20
    assert PixelLoss(2)(target + shift, target).item() > 0.01


def test_weights_with_the_older_spelling_of_an_option_load() -> None:
    assert parse(SrcnnOptions, {"initialisation": "paper"}, "model 'srcnn'").initialization == "paper"


def metric(name: str, scale: int, **options: object) -> Metric:
    spec = discover().metrics[name]
    return spec.build(scale, spec.options.model_validate(options))


def test_psnr_over_rgb_is_the_mean_over_all_channels_of_the_whole_image() -> None:
    target = torch.full((1, 3, 16, 16), 100 / 255)
    restored = target.clone()
    restored[:, 0] += 6 / 255
    expected = 10 * math.log10(255**2 * 3 / 6**2)
    assert metric("psnr", 1, channels="rgb")(restored, target, gray=False) == pytest.approx(expected)
    assert metric("psnr", 1)(restored, target, gray=False) != pytest.approx(expected, abs=1)


def test_the_border_is_as_wide_as_the_scale_unless_it_is_given() -> None:
    target = torch.full((1, 3, 32, 32), 0.5)
    restored = target.clone()
    restored[..., 0, :] = 0.9  # the first row
    wrong = [metric("psnr", scale)(restored, target, gray=False) for scale in (1, 2)]
    assert [math.isinf(value) for value in wrong] == [False, True]
    assert math.isinf(metric("psnr", 1, border=1)(restored, target, gray=False))
    assert not math.isinf(metric("psnr", 4, border=0)(restored, target, gray=False))
    spec = discover().metrics["psnr"]
    assert "RGB, 0 px shaved" in spec.protocol(1, spec.options.model_validate({"channels": "rgb"}))
    assert "4 px shaved" in spec.protocol(4, spec.options())


def test_ssim_over_rgb_is_the_mean_of_the_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(1, 3, 24, 24, generator=generator) for _ in range(2))
    pairs = [(first[:, [k] * 3], second[:, [k] * 3]) for k in range(3)]
    measure = metric("ssim", 1, channels="rgb")
    each = [measure(one, other, gray=True) for one, other in pairs]
    assert measure(first, second, gray=False) == pytest.approx(sum(each) / 3)
