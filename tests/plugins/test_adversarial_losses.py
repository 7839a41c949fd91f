"""Adversarial losses against plain loops over their equations, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from restore.interfaces import AdversarialLoss
from restore_adversarial.losses import (
    Hinge,
    LeastSquares,
    RelativisticAverage,
    Vanilla,
    Wasserstein,
    WassersteinWithPenalty,
)

Loop = Callable[[Sequence[float], Sequence[float]], tuple[float, float]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def vanilla(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    generator = mean([-math.log(sigmoid(x)) for x in fake])
    of_real = mean([-math.log(sigmoid(x)) for x in real])
    return generator, of_real + mean([-math.log(1 - sigmoid(x)) for x in fake])


def smoothed(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    generator, _ = vanilla(fake, real)
    of_real = mean([-0.9 * math.log(sigmoid(x)) - 0.1 * math.log(1 - sigmoid(x)) for x in real])
    return generator, of_real + mean([-math.log(1 - sigmoid(x)) for x in fake])


def hinge(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    return -mean(fake), mean([max(0, 1 - x) for x in real]) + mean([max(0, 1 + x) for x in fake])


def least_squares(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    discriminator = mean([(x - 1) ** 2 for x in real]) / 2 + mean([x**2 for x in fake]) / 2
    return mean([(x - 1) ** 2 for x in fake]) / 2, discriminator


def wasserstein(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    return -mean(fake), mean(fake) - mean(real)


def relativistic(fake: Sequence[float], real: Sequence[float]) -> tuple[float, float]:
    def d(x: float, others: Sequence[float]) -> float:
        return sigmoid(x - mean(others))

    generator = mean([-math.log(1 - d(x, fake)) for x in real]) + mean([-math.log(d(x, real)) for x in fake])
    return generator, mean([-math.log(d(x, fake)) for x in real]) + mean(
        [-math.log(1 - d(x, real)) for x in fake]
    )


CASES: dict[str, tuple[AdversarialLoss, Loop]] = {
    "vanilla": (Vanilla(), vanilla),
    "vanilla with smoothed labels": (Vanilla(0.9), smoothed),
    "hinge": (Hinge(), hinge),
    "least squares": (LeastSquares(), least_squares),
    "wasserstein": (Wasserstein(), wasserstein),
    "relativistic": (RelativisticAverage(), relativistic),
}


def logits(seed: int, *shape: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(3, 1), (2, 1, 4, 5)])
def test_each_loss_equals_a_loop_over_its_equation(name: str, shape: tuple[int, ...]) -> None:
    loss, loop = CASES[name]
    fake, real = logits(1, *shape), logits(2, *shape)
    generator, discriminator = loop(fake.flatten().tolist(), real.flatten().tolist())
    assert float(loss.generator(fake, real)) == pytest.approx(generator, rel=1e-12)
    assert float(loss.discriminator(fake, real)) == pytest.approx(discriminator, rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_scales_count_equally_whatever_their_size(name: str) -> None:
    loss, _ = CASES[name]
    fake, real = (
        [logits(1, 2, 1, 6, 6), logits(3, 2, 1, 3, 3)],
        [logits(2, 2, 1, 6, 6), logits(4, 2, 1, 3, 3)],
    )
    apart = [loss.discriminator(a, b) for a, b in zip(fake, real, strict=True)]
    assert torch.allclose(loss.discriminator(fake, real), torch.stack(apart).mean())
    alone = [loss.generator(a, b) for a, b in zip(fake, real, strict=True)]
    assert torch.allclose(loss.generator(fake, real), torch.stack(alone).mean())


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    loss, _ = CASES[name]
    fake, real = logits(5, 3, 1).requires_grad_(), logits(6, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(loss.generator, (fake, real))
    assert torch.autograd.gradcheck(loss.discriminator, (fake, real))


@pytest.mark.parametrize("name", CASES)
def test_only_a_loss_that_says_so_reads_the_real_logits_for_the_generator(name: str) -> None:
    loss, _ = CASES[name]
    fake = logits(7, 2, 1)
    if loss.needs_real:
        with pytest.raises(ValueError, match="targets"):
            loss.generator(fake, None)
    else:
        assert loss.generator(fake, None) == loss.generator(fake, logits(8, 2, 1))


@pytest.mark.parametrize("name", CASES)
def test_only_a_loss_of_whole_batches_differs_from_the_mean_of_its_parts(name: str) -> None:
    loss, _ = CASES[name]
    fake, real = logits(9, 4, 1), logits(10, 4, 1)
    parts = [loss.discriminator(a, b) for a, b in zip(fake.chunk(2), real.chunk(2), strict=True)]
    equal = torch.allclose(torch.stack(parts).mean(), loss.discriminator(fake, real))
    assert equal is not loss.whole_batch


def test_extreme_logits_stay_finite() -> None:
    for loss, _ in CASES.values():
        fake, real = torch.tensor([[-300.0], [300.0]]), torch.tensor([[300.0], [-300.0]])
        assert loss.generator(fake, real).isfinite()
        assert loss.discriminator(fake, real).isfinite()


class Quadratic(nn.Module):
    """``sum(a x^2)``: its gradient, ``2 a x``, is known."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return self.a * images.square().flatten(1).sum(1, keepdim=True)


def test_the_gradient_penalty_equals_its_equation_at_the_points_that_were_drawn() -> None:
    loss, network = WassersteinWithPenalty(10.0), Quadratic()
    real, fake = logits(11, 3, 3, 4, 4), logits(12, 3, 3, 4, 4)
    penalty = loss.penalty(network, real, fake, torch.Generator().manual_seed(5))
    shares = torch.rand(3, 1, 1, 1, generator=torch.Generator().manual_seed(5)).double()
    norms = [
        float((2 * 0.5 * (share * r + (1 - share) * f)).norm())
        for share, r, f in zip(shares, real, fake, strict=True)
    ]
    assert float(penalty) == pytest.approx(10 * mean([(norm - 1) ** 2 for norm in norms]), rel=1e-12)
    (gradient,) = torch.autograd.grad(penalty, network.a)
    assert float(gradient) == pytest.approx(10 * mean([2 * (n - 1) * n / 0.5 for n in norms]), rel=1e-9)


def test_the_penalty_of_an_image_does_not_depend_on_the_size_of_the_logits() -> None:
    class Repeated(Quadratic):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)[..., None, None].expand(-1, -1, 5, 5)

    loss, real, fake = WassersteinWithPenalty(), logits(13, 2, 3, 4, 4), logits(14, 2, 3, 4, 4)
    single = loss.penalty(Quadratic(), real, fake, torch.Generator().manual_seed(1))
    repeated = loss.penalty(Repeated(), real, fake, torch.Generator().manual_seed(1))
    assert torch.allclose(single, repeated)
