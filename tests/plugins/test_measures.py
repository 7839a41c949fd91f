"""LPIPS and DISTS are the library's; Lanczos inputs are Pillow's."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import UnknownNameError, UsageError, WeightsError
from restore.interfaces import Options, prepare
from restore.registry import discover


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (2, 1, 3, 40, 48), generator=generator)
    return levels[0] / 255, levels[1] / 255


def metric(name: str) -> Any:
    spec = discover().metrics[name]
    return spec.build(4, spec.options())


@pytest.mark.usefixtures("random_backbones")
def test_lpips_and_dists_are_those_of_torchmetrics() -> None:
    from torchmetrics.functional.image import (
        deep_image_structure_and_texture_similarity,
        learned_perceptual_image_patch_similarity,
    )

    first, second = images()
    lpips = learned_perceptual_image_patch_similarity(first, second, normalize=True).item()
    dists = deep_image_structure_and_texture_similarity(first, second).item()
    assert metric("lpips")(first, second, gray=False) == pytest.approx(lpips, rel=1e-4)
    assert metric("dists")(first, second, gray=False) == pytest.approx(dists, rel=1e-4)
    assert metric("lpips")(first, first, gray=False) == pytest.approx(0, abs=1e-6)
    with pytest.raises(UsageError, match="48x30 pixels is too small for LPIPS"):
        metric("lpips")(first[..., :30, :], second[..., :30, :], gray=False)


@pytest.mark.parametrize("name", ["lpips", "dists"])
@pytest.mark.usefixtures("random_backbones")
def test_as_losses_they_are_the_mean_over_the_batch_and_train_nothing(name: str) -> None:
    spec = discover().losses[name]
    options = spec.options.model_validate({"net": "alex"} if name == "lpips" else {})
    loss = spec.build(options)
    prepare(loss, [])
    first, second = images()
    restored = torch.cat([first, second]).requires_grad_()
    value = loss(restored, torch.cat([second, second]))
    assert value.item() == pytest.approx(metric(name)(first, second, gray=False) / 2, rel=1e-4)
    (gradient,) = torch.autograd.grad(value, restored)
    assert gradient[0].abs().sum() > 0
    assert gradient.isfinite().all()
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}
    with pytest.raises(RuntimeError, match="prepare the loss first"):
        spec.build(options)(restored, restored)


def test_without_a_network_one_sentence_tells_where_to_put_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: Any, **__: Any) -> NoReturn:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"network of LPIPS.*no network.*put its file into"):
        metric("lpips")


def test_without_the_extra_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(UnknownNameError, match=r"pip install 'restorekit\[metrics\]'"):
        metric("lpips")


def test_lanczos_inputs_are_pillows() -> None:
    target, _ = images()
    pixels = (target[0].permute(1, 2, 0) * 255).round().byte().numpy()
    expected = np.asarray(Image.fromarray(pixels).resize((12, 10), Image.Resampling.LANCZOS))
    found = discover().degradations["lanczos"].build(4, Options())(target.double(), torch.Generator()).image
    assert found.dtype == torch.float64
    assert np.array_equal((found[0].permute(1, 2, 0) * 255).round().byte().numpy(), expected)
