"""A plugin for tests of training: a gated discriminator, a model with dropout, losses that fail."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.distributed
from torch import Tensor, nn

from restore.hookspecs import hookimpl
from restore.interfaces import (
    AdversarialLossSpec,
    Adversary,
    AugmentationSpec,
    DiscriminatorSpec,
    Logits,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    Options,
    Pair,
    ScheduleSpec,
    Scores,
    SetMetricSpec,
    Term,
)

CONTRACT = 2


class NotANumber(nn.Module):
    """The mean difference, but not a number in chosen calls, counted from 0."""

    def __init__(self, calls: Collection[int] = range(1000)) -> None:
        super().__init__()
        self.bad = calls
        self.calls = 0

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        factor = math.nan if self.calls - 1 in self.bad else 1.0
        return (restored - target).abs().mean() * factor


class Elsewhere(nn.Module):
    """The mean difference, but not a number in the second process."""

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        second = torch.distributed.is_initialized() and torch.distributed.get_rank() == 1
        return (restored - target).abs().mean() * (math.nan if second else 1.0)


class Noisy(nn.Module):
    """Draws from the global random generator while it learns, as dropout does."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, degraded: Tensor) -> Tensor:
        x = nn.functional.dropout(self.conv(degraded), 0.3, self.training)
        return nn.functional.interpolate(x, scale_factor=self.scale)


class WhileReal:
    """Open while the discriminator takes targets for restored images."""

    def is_open(self, scores: Scores | None) -> bool:
        return scores is None or scores.real < 0.5


def make_discriminator(size: int, options: Options) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, 4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(size * size // 4, 1)
    )


class Untrainable(nn.Module):
    """A discriminator whose scores are finite and whose gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None] + self.weight.sqrt()


class Learned(nn.Module):
    """The mean difference with a weight that is trained: ``l1 exp(-s) + s`` (Kendall, Gal, Cipolla 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(()))

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return (restored - target).abs().mean() * torch.exp(-self.log_weight) + self.log_weight


class Stepped(nn.Module):
    """The mean difference, times a factor that falls with the steps."""

    def forward(self, restored: Tensor, target: Tensor, *, step: int) -> Tensor:
        return (restored - target).abs().mean() / (1 + step)


class Small(nn.Module):
    """The mean square of the features of the generator's first layer."""

    generator_layers = ("head",)

    def forward(self, restored: Tensor, *, features: dict[str, Tensor]) -> Tensor:
        return features["head"].square().mean() + 0 * restored.mean()


class LikeTheInput(nn.Module):
    """The mean difference from the input, by the mean of the pixels."""

    def forward(self, restored: Tensor, *, degraded: Tensor) -> Tensor:
        scale = restored.shape[-1] // degraded.shape[-1]
        return (nn.functional.avg_pool2d(restored, scale) - degraded).abs().mean()


class Conditional(nn.Module):
    """A logit for each pixel of the image beside its enlarged input, and a layer that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 1, 3, padding=1)
        self.unused = nn.Linear(1, 1)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        logits: Tensor = self.conv(torch.cat([images, condition], 1))
        return logits


class ColorDistance:
    """The Frechet distance between the mean colors of results and targets, as independent normal variables.

    Source: Dowson, Landau, "The Frechet distance between multivariate normal distributions", 1982.
    """

    def __init__(self) -> None:
        self.results: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, restored: Tensor, target: Tensor, *, gray: bool) -> None:
        for kept, image in ((self.results, restored), (self.targets, target)):
            kept.append(image.double().mean((0, 2, 3)) * 255)

    def compute(self) -> float:
        first, second = torch.stack(self.results), torch.stack(self.targets)
        means = (first.mean(0) - second.mean(0)).square().sum()
        deviations = (first.std(0, correction=0) - second.std(0, correction=0)).square().sum()
        return float(means + deviations)


class Always:
    """Open in every step."""

    def is_open(self, scores: Scores | None) -> bool:
        return True


@hookimpl
def restore_models() -> list[ModelSpec]:
    return [
        ModelSpec("noisy", "Dropout", build=lambda scale, _: Noisy(scale), halo=lambda scale, options: 1),
        ModelSpec(
            "shrunk", "As small as its input", lambda *_: nn.Conv2d(3, 3, 1), halo=lambda scale, options: 0
        ),
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    return [
        LossSpec("sometimes", "Not a number in the second step", lambda _: NotANumber([1])),
        LossSpec("never", "Never a number", lambda _: NotANumber()),
        LossSpec("elsewhere", "Not a number in the second process", lambda _: Elsewhere()),
        LossSpec("v1.5", "A name with a dot", lambda _: nn.L1Loss()),
        LossSpec("learned", "A weight that is trained", lambda _: Learned()),
        LossSpec(
            "stepped",
            "A factor of the step",
            lambda _: Stepped(),
            inputs=("restored", "target", "step"),
        ),
        LossSpec("small", "Small features", lambda _: Small(), inputs=("restored", "features")),
        LossSpec("like-input", "Near the input", lambda _: LikeTheInput(), inputs=("restored", "degraded")),
        LossSpec("map", "No scalar", lambda _: nn.L1Loss(reduction="none")),
        LossSpec(
            "deaf",
            "Takes no step, though it asks for it",
            lambda _: nn.L1Loss(),
            inputs=("restored", "target", "step"),
        ),
        LossSpec("keys", "A name that a dictionary of modules has for itself", lambda _: nn.L1Loss()),
    ]


def mean(restored: Tensor, target: Tensor, *, gray: bool) -> float:
    return float(restored.mean())


def one(restored: Tensor, target: Tensor, *, gray: bool) -> float:
    return 1.0


@hookimpl
def restore_metrics() -> list[MetricSpec]:
    protocol = "RGB, whole image"
    return [
        MetricSpec("bright", "The mean", lambda scale, _: mean, lambda scale, _: protocol, "higher"),
        MetricSpec("dark", "The mean", lambda scale, _: mean, lambda scale, _: protocol, "lower"),
        MetricSpec("constant", "One", lambda scale, _: one, lambda scale, _: protocol, "higher"),
    ]


@hookimpl
def restore_discriminators() -> list[DiscriminatorSpec]:
    return [
        DiscriminatorSpec("toy", "One convolution", make_discriminator),
        DiscriminatorSpec(
            "conditional", "Sees the input, too", lambda size, _: Conditional(), conditional=True
        ),
        DiscriminatorSpec(
            "flat",
            "Logits without a dimension for channels",
            lambda size, _: nn.Sequential(nn.Conv2d(3, 1, size), nn.Flatten(0)),
        ),
        DiscriminatorSpec("unsuited", "Takes no images", lambda size, _: nn.Linear(3, 1)),
        DiscriminatorSpec("untrainable", "A gradient that is never finite", lambda size, _: Untrainable()),
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    gated = Adversary("toy", 0.1, WhileReal())
    untrainable = Adversary("untrainable", 0.1, Always())
    return [
        ObjectiveSpec("l1-toy", "A gated adversary", (Term("l1"), Term("mse", 0.5)), (gated,)),
        ObjectiveSpec(
            "kinds",
            "Every kind of term",
            (
                Term("l1"),
                Term("l1", 0.5, {"luma": True}, label="luma"),
                Term("learned", 0.1),
                Term("stepped"),
                Term("small", 0.01),
                Term("like-input", 0.2),
            ),
            (
                Adversary("toy", 0.1, loss="relativistic", steps=2),
                Adversary("conditional", 0.1, loss="lsgan", label="seen"),
            ),
        ),
        ObjectiveSpec("l1-broken", "An adversary that cannot be trained", (Term("l1"),), (untrainable,)),
    ]


class Unreduced:
    """Least squares without a mean."""

    needs_real = False
    whole_batch = False

    def generator(self, fake: Logits, real: Logits | None) -> Tensor:
        assert isinstance(fake, Tensor)
        return (fake - 1).square()

    def discriminator(self, fake: Logits, real: Logits) -> Tensor:
        return self.generator(fake, None)


class Cropped:
    """Takes a row off the input."""

    def __call__(self, pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
        return Pair(pair.degraded[:, 1:], pair.target)


@hookimpl
def restore_adversarial_losses() -> list[AdversarialLossSpec]:
    return [AdversarialLossSpec("unreduced", "No scalar", lambda _: Unreduced())]


@hookimpl
def restore_augmentations() -> list[AugmentationSpec]:
    return [AugmentationSpec("cropped", "Another size", lambda _: Cropped())]


@hookimpl
def restore_schedules() -> list[ScheduleSpec]:
    return [ScheduleSpec("rising", "Leaves [0, 1]", lambda _: lambda step, steps: 1.5)]


@hookimpl
def restore_set_metrics() -> list[SetMetricSpec]:
    return [
        SetMetricSpec(
            "color-distance",
            "Frechet distance between mean colors",
            build=lambda scale, options: ColorDistance(),
            protocol=lambda scale, options: "independent normal variables, levels of 255",
            better="lower",
        )
    ]
