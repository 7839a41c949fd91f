"""Adversarial losses over logits. Each is the mean over images, positions and scales."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.interfaces import AdversarialLoss, Logits, Options
from restore.logits import input_gradient, scales_of
from restore_adversarial.options import VanillaOptions, WassersteinOptions

__all__ = [
    "Hinge",
    "LeastSquares",
    "RelativisticAverage",
    "Vanilla",
    "Wasserstein",
    "build_hinge",
    "build_lsgan",
    "build_relativistic",
    "build_vanilla",
    "build_wgan",
]


class _OfSingleImages:
    """The loss of an image depends on no other image, and the generator's loss on no target."""

    needs_real = False
    whole_batch = False


class Vanilla(_OfSingleImages):
    """The loss of Goodfellow et al. 2014 with the non-saturating generator; EnhanceNet's Eq. 8 and 9.

    With the sigmoid ``D``: ``-log D(fake)`` for the generator, ``-log D(real) - log(1 - D(fake))`` for the
    discriminator.

    Args:
        real_label: the label of targets, 1 without label smoothing.

    Example:
        >>> loss = Vanilla()
        >>> undecided = torch.zeros(2, 1)
        >>> round(float(loss.generator(undecided, None)), 4)  # log 2
        0.6931
    """

    def __init__(self, real_label: float = 1.0) -> None:
        self.real_label = real_label

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:  # noqa: ARG002 - the protocol's
        """``-log D(fake)``."""
        return _mean(lambda logits: F.softplus(-logits), fake)

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """``-log D(real) - log(1 - D(fake))``, with the smoothed label as cross entropy."""
        return _mean(self._of_real, real) + _mean(F.softplus, fake)

    def _of_real(self, logits: Tensor) -> Tensor:
        # Cross entropy with label y: y * softplus(-x) + (1 - y) * softplus(x) = softplus(-x) + (1 - y) * x.
        loss = F.softplus(-logits)
        return loss if self.real_label == 1 else loss + (1 - self.real_label) * logits


class Hinge(_OfSingleImages):
    """The hinge loss of Lim and Ye 2017 and Miyato et al. 2018, Eq. 16 and 17."""

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:  # noqa: ARG002 - the protocol's
        """``-fake``."""
        return -_mean(lambda logits: logits, fake)

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """``max(0, 1 - real) + max(0, 1 + fake)``."""
        return _mean(lambda logits: F.relu(1 - logits), real) + _mean(lambda logits: F.relu(1 + logits), fake)


class LeastSquares(_OfSingleImages):
    """Least squares (Mao et al. 2017), Eq. 9: the labels are 0 and 1, and the generator aims at 1."""

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:  # noqa: ARG002 - the protocol's
        """``(fake - 1)^2 / 2``."""
        return _mean(lambda logits: (logits - 1).square(), fake) / 2

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """``(real - 1)^2 / 2 + fake^2 / 2``."""
        of_real = _mean(lambda logits: (logits - 1).square(), real)
        return (of_real + _mean(torch.square, fake)) / 2


class Wasserstein(_OfSingleImages):
    """The Wasserstein distance (Arjovsky et al. 2017) with the gradient penalty of Gulrajani et al. 2017.

    Args:
        gradient_penalty: weight of the penalty, lambda in Eq. 3 of the latter; 0: none.
    """

    def __init__(self, gradient_penalty: float = 10.0) -> None:
        self.gradient_penalty = gradient_penalty

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:  # noqa: ARG002 - the protocol's
        """``-fake``."""
        return -_mean(lambda logits: logits, fake)

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """``fake - real``."""
        return _mean(lambda logits: logits, fake) - _mean(lambda logits: logits, real)


class WassersteinWithPenalty(Wasserstein):
    """`Wasserstein` whose weight of the gradient penalty is above 0."""

    def penalty(
        self,
        discriminator: Callable[[Tensor], Logits],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """``lambda (||grad D(x)|| - 1)^2`` at one random point x between each target and its restoration."""
        share = torch.rand(len(real), 1, 1, 1, generator=generator, device=generator.device).to(real)
        gradient = input_gradient(discriminator, torch.lerp(fake, real, share))
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return self.gradient_penalty * (norms - 1).square().mean()


class RelativisticAverage:
    """The relativistic average loss (Jolicoeur-Martineau 2018), as ESRGAN uses it (Eq. 1 and 2).

    An image is compared with the mean of the others' kind: ``D(x) = sigmoid(C(x) - mean C(y))``. Means are
    over the whole batch, for each scale of the logits.

    Example:
        >>> loss = RelativisticAverage()
        >>> fake, real = torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]])
        >>> bool(loss.generator(fake, real) > loss.discriminator(fake, real))  # real ones score higher
        True
    """

    needs_real = True
    whole_batch = True

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:
        """``-log(1 - D(real)) - log D(fake)``."""
        if real is None:
            raise ValueError("the relativistic loss needs the logits of the targets")
        return self.discriminator(real, fake)  # the roles are exchanged

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        """``-log D(real) - log(1 - D(fake))``."""
        terms = [
            F.softplus(of_fake.mean() - of_real).mean() + F.softplus(of_fake - of_real.mean()).mean()
            for of_fake, of_real in zip(scales_of(fake), scales_of(real), strict=True)
        ]
        return torch.stack(terms).mean()


def build_vanilla(options: VanillaOptions) -> AdversarialLoss:
    """Cross entropy."""
    return Vanilla(options.real_label)


def build_hinge(options: Options) -> AdversarialLoss:  # noqa: ARG001 - it has none
    """Hinge."""
    return Hinge()


def build_lsgan(options: Options) -> AdversarialLoss:  # noqa: ARG001 - it has none
    """Least squares."""
    return LeastSquares()


def build_wgan(options: WassersteinOptions) -> AdversarialLoss:
    """Wasserstein, with its penalty unless that weighs nothing."""
    kind = WassersteinWithPenalty if options.gradient_penalty else Wasserstein
    return kind(options.gradient_penalty)


def build_relativistic(options: Options) -> AdversarialLoss:  # noqa: ARG001 - it has none
    """Relativistic average."""
    return RelativisticAverage()


def _mean(function: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    """Mean of `function` over each scale, then over the scales, which count equally."""
    scales = [function(scale).mean() for scale in scales_of(logits)]
    return scales[0] if len(scales) == 1 else torch.stack(scales).mean()
