"""Each contract check detects its fault: one broken entry per check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import (
    DegradationSpec,
    Degraded,
    DiscriminatorSpec,
    LossSpec,
    Method,
    MetricSpec,
    ModelSpec,
    Options,
    PublishedTable,
    SetMetricSpec,
)
from restore.registry import discover
from restore.testing import (
    Check,
    ContractError,
    degradation_checks,
    discriminator_checks,
    loss_checks,
    measured_halo,
    metric_checks,
    model_checks,
    set_metric_checks,
    table_checks,
)


class Conv(nn.Module):
    """A 2x model of one 3x3 convolution, with a halo of one input pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return restored


class Shrinks(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-1]


class ForgetsDtype(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class MixesTheBatch(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean()


class ChangesItsInput(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.5) if not x.requires_grad else x)


class Rolls(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class HasAnUnusedLayer(Conv):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(1, 1)


class HidesItsState(Conv):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.rand(())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.hidden


class LooksEverywhere(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean((-1, -2), keepdim=True)


def model(network: Callable[[], nn.Module], halo: int | None = 1) -> ModelSpec:
    return ModelSpec("m", "a model", build=lambda scale, options: network(), halo=lambda scale, options: halo)


def failures(checks: list[Check]) -> list[str]:
    failed = []
    for check in checks:
        try:
            check()
        except ContractError:
            failed.append(check.name.partition(": ")[2])
    return failed


class Merges(nn.Module):
    """Convolves squares of 2x2 pixels: a stride of 2, and a halo of 3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pixel_unshuffle(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"), 2)
        restored: Tensor = F.pixel_shuffle(self.conv(x), 2)[..., :height, :width]
        return restored


class Brightens(nn.Module):
    """Adds a number that is given for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        restored: Tensor = self.conv(x)
        return restored + gain.to(x)[:, None, None, None]


class IgnoresItsNumber(Brightens):
    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        return super().forward(x, torch.zeros_like(gain))


def merging(stride: int, halo: int = 3) -> ModelSpec:
    return replace(model(Merges, halo), scales=(1,), stride=lambda scale, options: stride)


def conditional(network: Callable[[], nn.Module]) -> ModelSpec:
    return replace(model(network), scales=(1,), conditions=lambda options: ("gain",))


def test_a_model_with_a_stride_passes_every_check() -> None:
    assert failures(model_checks(merging(2), scale=1)) == []


def test_a_missing_stride_and_a_halo_of_one_position_are_found() -> None:
    assert "tiles equal the whole" in failures(model_checks(merging(1), scale=1))
    assert "halo is exact" in failures(model_checks(merging(2, halo=2), scale=1))


def test_a_model_with_a_condition_passes_every_check() -> None:
    assert failures(model_checks(conditional(Brightens), scale=1)) == []


def test_a_condition_without_effect_or_with_the_name_of_an_option_is_found() -> None:
    assert failures(model_checks(conditional(IgnoresItsNumber), scale=1)) == ["depends on its conditions"]

    class Gain(Options):
        gain: float = 1.0

    checks = model_checks(replace(conditional(Brightens), options=Gain), scale=1)
    assert failures(checks) == ["depends on its conditions"]


def test_an_overlap_beside_a_halo_is_found() -> None:
    spec = replace(model(Conv), overlap=lambda scale, options: 8)
    assert failures(model_checks(spec, scale=2)) == ["tiles equal the whole"]
    everywhere = replace(model(LooksEverywhere, None), overlap=lambda scale, options: 8)
    assert failures(model_checks(everywhere, scale=2)) == []


def test_a_valid_model_passes_every_check() -> None:
    assert failures(model_checks(model(Conv), scale=2)) == []


@pytest.mark.parametrize(
    ("network", "claim"),
    [
        (ForgetsDtype, "keeps dtype"),
        (MixesTheBatch, "treats images of a batch alike"),
        (ChangesItsInput, "leaves its input alone"),
        (Rolls, "is deterministic"),
        (HasAnUnusedLayer, "passes gradients"),
        (HidesItsState, "saves and loads"),
        (LooksEverywhere, "halo is exact"),
        (LooksEverywhere, "tiles equal the whole"),
    ],
)
def test_each_fault_is_detected_by_its_check(network: Callable[[], nn.Module], claim: str) -> None:
    assert claim in failures(model_checks(model(network), scale=2))


def test_a_wrong_output_size_is_reported_with_the_right_one() -> None:
    check = model_checks(model(Shrinks), scale=2)[0]
    with pytest.raises(ContractError, match=r"input of 1x1 became \(1, 3, 2, 1\), expected \(1, 3, 2, 2\)"):
        check()


@pytest.mark.parametrize(
    ("halo", "problem"), [(0, "the borders of tiles would be visible"), (2, "larger than needed")]
)
def test_a_halo_that_is_too_small_or_too_large_is_detected(halo: int, problem: str) -> None:
    check = next(c for c in model_checks(model(Conv, halo), scale=2) if c.name.endswith("halo is exact"))
    with pytest.raises(ContractError, match=problem):
        check()


def test_tiles_of_a_model_without_a_halo_are_not_checked() -> None:
    assert failures(model_checks(model(LooksEverywhere, None), scale=2)) == []


def test_the_halo_of_two_convolutions_is_measured_as_two() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
    assert measured_halo(network, scale=1, size=11) == 2


class Pairwise(nn.Module):
    """A loss that calls a function."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, restored: Tensor, target: Tensor) -> Any:
        return self.function(restored, target)


@pytest.mark.parametrize(
    ("function", "claim"),
    [
        (lambda a, b: (a - b).square(), "loss is a scalar"),
        (lambda a, b: -F.mse_loss(a, b), "loss is least at the target"),
        (lambda a, b: F.mse_loss(a.detach(), b) + 0 * a.sum(), "loss passes gradients"),
    ],
)
def test_a_broken_loss_is_detected(function: Callable[[Tensor, Tensor], Any], claim: str) -> None:
    spec = LossSpec("l", "a loss", build=lambda options: Pairwise(function))
    found = []
    for check in loss_checks(spec):
        try:
            check()
        except (ContractError, RuntimeError):
            found.append(check.name.partition(": ")[2])
    assert claim in found


class Edges:
    """A network that computes differences between neighboring pixels."""

    key = "edges"

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        return {"edges": images.diff(dim=-1)}


class ComparesEdges(nn.Module):
    """A loss that divides by a measured mean."""

    network = Edges()
    layers = ("edges",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(torch.nan))

    def prepare(self, samples: Sequence[Tensor]) -> None:
        if self.get_buffer("mean").isnan():
            self.get_buffer("mean").copy_(torch.stack(list(samples)).mean())

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return self.compare(*(self.network(image, self.layers) for image in (restored, target)))

    def compare(self, restored: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        return F.mse_loss(restored["edges"], target["edges"]) / self.get_buffer("mean")


class ComparesSomethingElse(ComparesEdges):
    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        return 2 * super().forward(restored, target)


class MeasuresAgain(ComparesEdges):
    def prepare(self, samples: Sequence[Tensor]) -> None:
        self.get_buffer("mean").copy_(torch.stack(list(samples)).mean())


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (ComparesEdges, []),
        (ComparesSomethingElse, ["loss gives the same from shared features"]),
        (MeasuresAgain, ["loss keeps what it measured"]),
    ],
)
def test_a_loss_that_shares_features_or_measures_images_is_checked(
    loss: type[ComparesEdges], found: list[str]
) -> None:
    assert failures(loss_checks(LossSpec("l", "a loss", build=lambda options: loss()))) == found


def test_a_discriminator_that_returns_images_is_refused() -> None:
    spec = DiscriminatorSpec("d", "a discriminator", build=lambda size, options: nn.Conv2d(3, 3, 3))
    assert "gives logits" in failures(discriminator_checks(spec, target_size=16))


def test_a_metric_that_prefers_noise_is_refused() -> None:
    def noise(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        return float((restored - target).square().mean())

    spec = MetricSpec(
        "m", "a metric", build=lambda scale, o: noise, protocol=lambda scale, o: "", better="higher"
    )
    assert failures(metric_checks(spec)) == ["metric prefers the target", "metric says its protocol"]


class SetError:
    """The mean squared error of a set."""

    def __init__(self) -> None:
        self.errors: list[float] = []

    def update(self, restored: Tensor, target: Tensor, *, gray: bool) -> None:
        self.errors.append(float((restored - target).square().mean()))

    def compute(self) -> float:
        return sum(self.errors) / len(self.errors)


class LastError(SetError):
    def compute(self) -> float:
        return self.errors[-1]


def set_metric(
    build: Callable[[], SetError], better: Literal["higher", "lower"] = "lower", **changes: Any
) -> SetMetricSpec:
    return SetMetricSpec(
        "m", "a metric", lambda scale, o: build(), lambda scale, o: "mean", better, **changes
    )


def test_a_valid_metric_of_sets_passes_every_check() -> None:
    assert failures(set_metric_checks(set_metric(SetError))) == []


def test_each_fault_of_a_metric_of_sets_is_found_by_its_check() -> None:
    assert failures(set_metric_checks(set_metric(SetError, "higher"))) == ["set metric prefers the targets"]
    assert failures(set_metric_checks(set_metric(LastError))) == ["set metric ignores the order"]
    shared = SetError()
    assert "set metric measures each set by itself" in failures(set_metric_checks(set_metric(lambda: shared)))
    without = set_metric(SetError, needs_target=False)
    assert failures(set_metric_checks(without)) == ["set metric prefers the targets"]


def test_a_degradation_that_ignores_its_generator_is_refused() -> None:
    def degrade(target: Tensor, _: torch.Generator) -> Degraded:
        return Degraded(target[..., ::4, ::4] + torch.rand(()), ({},) * len(target))

    spec = DegradationSpec(
        "d", "a degradation", build=lambda scale, o: degrade, protocol=lambda scale, o: "any"
    )
    assert failures(degradation_checks(spec)) == ["degrades to the contract", "repeats with its generator"]


def test_a_table_that_names_missing_entries_is_refused() -> None:
    def table(method: Method, reference: str = "a paper") -> PublishedTable:
        return PublishedTable("t", "a table", (method,), {"Set5": (1.0,)}, "psnr", 4, "luma", reference)

    registry = discover()
    assert failures(table_checks(table(Method("A", "bicubic")), registry)) == []
    for wrong in (Method("A", "nobody"), Method("A", degradation="none")):
        assert failures(table_checks(table(wrong), registry)) == ["table names exist"]
    assert failures(table_checks(table(Method("A"), " "), registry)) == ["table says its source"]


def test_a_table_whose_options_do_not_exist_is_refused() -> None:
    def claims(method: Method, **options: Any) -> list[str]:
        spec = PublishedTable(
            "t", "a table", (method,), {"Set5": (1.0,)}, "psnr", 4, "luma", "a paper", **options
        )
        return failures(table_checks(spec, discover()))

    older = Method("A", degradation_options={"release": "older"})
    assert claims(older, metric_options={"channels": "rgb"}) == []
    assert claims(older, metric_options={"channel": "rgb"}) == ["table options are valid"]
    assert claims(Method("A", degradation_options={"releas": 1})) == ["table options are valid"]
