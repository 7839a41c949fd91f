"""The objectives of ESRGAN and Real-ESRGAN have the terms and weights of the papers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from restore.interfaces import ObjectiveSpec, prepare
from restore.registry import discover
from restore.sharpening import SharpenedTarget
from restore.training.objective import Objective
from restore_adversarial.plugin import restore_objectives

ESRGAN, REAL_ESRGAN = restore_objectives()
REGISTRY = discover()
BEFORE_RELU = {"relu": False, "normalize": False, "distance": "l1"}


def weights(spec: ObjectiveSpec) -> dict[str, float]:
    return {term.label: term.weight for term in spec.terms}


def options(spec: ObjectiveSpec, label: str) -> dict[str, Any]:
    return next(dict(term.options) for term in spec.terms if term.label == label)


def test_esrgan_is_equation_3_of_the_paper() -> None:
    assert weights(ESRGAN) == {"l1": 1e-2, "perceptual": 1.0}
    assert options(ESRGAN, "perceptual") == {"layers": {"conv5_4": 1.0}, **BEFORE_RELU}
    (adversary,) = ESRGAN.adversaries
    assert (adversary.discriminator, adversary.loss, adversary.weight) == ("vgg", "relativistic", 5e-3)
    assert ESRGAN.patch_size == 128


def test_real_esrgan_weighs_its_terms_as_section_4_1_does() -> None:
    assert weights(REAL_ESRGAN) == {"l1": 1.0, "perceptual": 1.0}
    layers = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
    assert options(REAL_ESRGAN, "perceptual") == {"layers": layers, **BEFORE_RELU, "sharpen": True}
    (adversary,) = REAL_ESRGAN.adversaries
    assert (adversary.discriminator, adversary.loss, adversary.weight) == ("unet", "vanilla", 0.1)
    assert REAL_ESRGAN.patch_size == 256


def test_real_esrgan_sharpens_the_target_of_both_terms_and_of_no_adversary() -> None:
    objective = Objective(REAL_ESRGAN, REGISTRY)
    assert all(isinstance(loss, SharpenedTarget) for loss in objective.losses)
    assert not any(isinstance(loss, SharpenedTarget) for loss in Objective(ESRGAN, REGISTRY).losses)


@pytest.mark.parametrize("spec", [ESRGAN, REAL_ESRGAN], ids=lambda spec: spec.name)
@pytest.mark.usefixtures("vgg19")
def test_the_terms_are_finite_and_pass_gradients(spec: ObjectiveSpec) -> None:
    objective = Objective(spec, REGISTRY)
    target = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    restored = target.flip(-1).requires_grad_()
    prepare(objective, [target[0]])
    terms = objective(restored, target)
    assert list(terms) == ["l1", "perceptual"]
    for value in terms.values():
        (gradient,) = torch.autograd.grad(value, restored, retain_graph=True)
        assert value.isfinite()
        assert gradient.abs().sum() > 0
