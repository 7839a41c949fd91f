"""Rows of an evaluation: means, protocols, metrics and costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import restore
import restore.images
from restore.errors import DataError, UnknownNameError, UsageError
from restore.evaluation import (
    Dataset,
    Meter,
    Result,
    Row,
    check_meters,
    cost,
    dataset,
    default_metrics,
    evaluate,
    meters,
    multiply_adds,
    parameters,
    peak_memory,
    set_meters,
)
from restore.evaluation.restoring import settings
from restore.registry import Registry, discover
from restore.report import evaluation_table


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def bicubic_row(registry: Registry, data: Dataset) -> Row:
    used = meters(["psnr", "ssim"], registry, data.scale)
    return evaluate(restore.load("bicubic", scale=data.scale, device="cpu"), data, used)


def test_a_row_holds_each_image_and_their_means(registry: Registry, targets: Path) -> None:
    row = bicubic_row(registry, dataset(targets, registry, 4))
    assert [image.name for image in row.images] == ["a.png", "b.png", "gray.png"]
    assert [image.size for image in row.images] == [(60, 48), (56, 44), (60, 48)]
    assert row.means["psnr"] == pytest.approx(np.mean([image.values["psnr"] for image in row.images]))
    assert row.seconds > 0
    assert "MATLAB bicubic 1/4" in row.protocol["inputs"]
    assert "4 px shaved" in row.protocol["psnr"]


def test_given_inputs_are_used_instead_of_made_ones(
    registry: Registry, targets: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for pair in dataset(targets, registry, 4).pairs():
        pixels = (pair.degraded[0].permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(inputs / pair.name)
    made = bicubic_row(registry, dataset(targets, registry, 4))
    given = bicubic_row(registry, dataset(targets, registry, 4, degraded=inputs))
    assert given.means["psnr"] == pytest.approx(made.means["psnr"], abs=1e-9)
    Image.new("RGB", (15, 12)).save(inputs / "a.png")
    other = bicubic_row(registry, dataset(targets, registry, 4, degraded=inputs))
    assert other.means["psnr"] < given.means["psnr"] - 1


def test_a_missing_or_wrong_degraded_image_is_named(
    registry: Registry, targets: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    data = dataset(targets, registry, 4, degraded=inputs)
    with pytest.raises(DataError, match=r"no degraded image .*a\.png"):
        bicubic_row(registry, data).complete()
    Image.new("RGB", (16, 12)).save(inputs / "a.png")
    with pytest.raises(DataError, match="has 16x12 pixels, but at scale 4 its target needs 15x12"):
        bicubic_row(registry, data).complete()


def test_a_row_with_failures_names_the_first_image(registry: Registry, targets: Path) -> None:
    data = dataset(targets, registry, 4)
    with pytest.raises(DataError, match=r"^a\.png: .*are too few for NIQE") as caught:
        evaluate(restore.load("bicubic", device="cpu"), data, meters(["niqe"], registry, 4)).complete()
    assert caught.value.path == "a.png"


def test_the_older_release_is_another_protocol_and_another_table(registry: Registry, targets: Path) -> None:
    rows = [
        bicubic_row(registry, dataset(targets, registry, 4, options={"release": release}))
        for release in ("current", "older")
    ]
    used = tuple(meters(["psnr", "ssim"], registry, 4))
    assert evaluation_table(Result(tuple(rows), used, "bicubic")).count("psnr (dB)") == 2
    assert evaluation_table(Result((rows[0], rows[0]), used, "bicubic")).count("psnr (dB)") == 1


def test_a_loss_is_a_metric_on_the_8_bit_result(registry: Registry, targets: Path) -> None:
    (meter,) = meters(["l1"], registry, 4)
    target = torch.full((1, 3, 16, 16), 100 / 255)
    assert meter.measure(target + 2.3 / 255, target, gray=False) == pytest.approx(2 / 255, abs=1e-6)
    assert meter.better == "lower"


def test_the_protocol_of_a_prepared_loss_names_its_targets(registry: Registry, targets: Path) -> None:
    options = {"texture": {"layers": "conv1_1:1"}}
    (meter,) = meters(["texture"], registry, 4, options=options, targets=[targets])
    assert "VGG-19 weights other than torchvision's [SHA-256 " in meter.protocol
    assert "prepared on 2 targets [" in meter.protocol  # of 48x60 and 48x60; the third is smaller
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert meter.measure(image.flip(-1), image, gray=False) > 0


def test_an_unknown_metric_is_answered_with_metrics_and_losses(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'texture'\? Known: .*psnr.*texture"):
        meters(["textur"], registry, 4)


def test_operations_and_memory_are_counted() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert parameters(convolution) == 3 * 8 * 9 + 8
    assert multiply_adds(convolution, 1) == 3 * 8 * 9

    def restores(image: torch.Tensor) -> None:
        first = torch.ones(1000)
        second = first + 1  # 8,000 bytes are alive here
        del first, second
        torch.ones(500)

    fake: Any = SimpleNamespace(engine="torch", device=torch.device("cpu"), restore=restores)
    assert peak_memory(fake, torch.rand(1, 3, 4, 4)) == 8000
    fake.engine = "openvino"
    assert peak_memory(fake, torch.rand(1, 3, 4, 4)) is None


def test_enhancenet_has_the_documented_parameters_and_multiply_adds() -> None:
    network = restore.load("enhancenet", scale=4, device="cpu").model.module
    assert parameters(network) == 852_867
    # 1,728 + 20 * 36,864 at the input's size, 36,864 at twice it, 2 * 36,864 + 1,728 at four times it
    convolutions = (1728 + 20 * 36864 + 4 * 36864 + 16 * (2 * 36864 + 1728)) / 16
    assert multiply_adds(network, 4) == pytest.approx(convolutions, rel=1e-3)  # and the bicubic enlargement


def test_a_self_ensemble_counts_eight_times_and_is_named() -> None:
    one, mean = (
        restore.load("srcnn", scale=2, device="cpu", precision="fp32", self_ensemble=on)
        for on in (False, True)
    )
    image = torch.rand(1, 3, 8, 8)
    assert cost(mean, image).multiply_adds == pytest.approx(8 * (cost(one, image).multiply_adds or 0))
    assert settings(mean) == settings(one) | {"self_ensemble": "on"}
    chooser = restore.load("auto", scale=4, device="cpu", self_ensemble=True)
    assert settings(chooser)["self_ensemble"] == "on"


def test_means_are_over_the_images_that_all_models_restored(registry: Registry, targets: Path) -> None:
    row = bicubic_row(registry, dataset(targets, registry, 4))
    part = Row("other", row.data, 4, row.images[1:], {"a.png": "too large"}, row.protocol)
    result = Result((row, part), tuple(meters(["psnr", "ssim"], registry, 4)), "bicubic")
    assert result.common(row) == ["b.png", "gray.png"]
    assert result.means(row) == result.means(part) == part.means != row.means
    assert result.differences(part)["psnr"].mean == 0


def test_an_image_that_fails_whatever_it_raises_is_named_and_the_others_are_measured(
    registry: Registry, targets: Path
) -> None:
    (psnr,) = meters(["psnr"], registry, 4)
    calls = iter(range(10))

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        if next(calls) == 0:
            raise MemoryError
        return psnr.measure(restored, target, gray=gray)

    row = evaluate(
        restore.load("bicubic", scale=4, device="cpu"),
        dataset(targets, registry, 4),
        [replace(psnr, measure=measure)],
    )
    assert len(row.images) == 2
    assert list(row.failures.values()) == [
        "there is not enough memory for it; close other programs, or omit it"
    ]


def colored(folder: Path, **levels: int) -> Path:
    """Images of one color each."""
    folder.mkdir()
    for name, level in levels.items():
        Image.new("RGB", (16, 16), (level, 0, 0)).save(folder / f"{name}.png")
    return folder


def color_distance(toys: Registry, inputs: Path, targets: Path) -> Row:
    data = dataset(targets, toys, 1, degraded=inputs)
    used = [*meters(["l1"], toys, 1), *set_meters(["l1", "color-distance"], toys, 1)]
    return evaluate(restore.load("bicubic", scale=1, device="cpu"), data, used)


def test_a_metric_of_a_set_has_one_value_for_all_images(toys: Registry, tmp_path: Path) -> None:
    inputs = colored(tmp_path / "inputs", a=110, b=170)
    row = color_distance(toys, inputs, colored(tmp_path / "targets", a=100, b=140))
    # means of 140 and 120, deviations of 30 and 20
    assert row.means["color-distance"] == pytest.approx(20**2 + 10**2)
    assert all(list(image.values) == ["l1"] for image in row.images)
    result = Result(
        (row, replace(row, model="other")),
        (*meters(["l1"], toys, 1), *set_meters(["color-distance"], toys, 1)),
        "bicubic",
    )
    assert list(result.differences(result.rows[1])) == ["l1"]
    assert f"  {row.means['color-distance']:.4f}  " in evaluation_table(result)


def test_a_value_of_a_set_of_other_images_is_not_compared(toys: Registry, tmp_path: Path) -> None:
    row = color_distance(toys, colored(tmp_path / "i", a=1, b=2), colored(tmp_path / "t", a=1, b=2))
    part = replace(row, model="other", images=row.images[1:], failures={"a.png": "too large"})
    result = Result((row, part), tuple(set_meters(["color-distance"], toys, 1)), "bicubic")
    assert np.isnan(result.means(row)["color-distance"])
    assert result.means(part)["color-distance"] == 0


@pytest.mark.parametrize("broken", ["update", "compute"])
def test_a_metric_of_a_set_that_fails_is_reported_and_the_others_are_measured(
    toys: Registry, targets: Path, broken: str
) -> None:
    (meter,) = set_meters(["color-distance"], toys, 4)

    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    def start() -> Any:
        metric: Any = meter.start()
        setattr(metric, broken, fails)
        return metric

    used = [*meters(["psnr"], toys, 4), replace(meter, start=start)]
    row = evaluate(restore.load("bicubic", scale=4, device="cpu"), dataset(targets, toys, 4), used)
    assert len(row.images) == 3
    assert not row.failures
    assert np.isnan(row.means["color-distance"])
    (sentence,) = Result((row,), tuple(used), "bicubic").failures()
    assert "color-distance: there is not enough memory" in sentence


def test_a_data_set_without_targets_is_measured_by_metrics_that_need_none(
    registry: Registry, targets: Path
) -> None:
    data = dataset(None, registry, 4, degraded=targets)
    seen: list[bool] = []

    def measure(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        assert target is restored
        seen.append(gray)
        return float(restored.shape[-1])

    row = evaluate(restore.load("bicubic", scale=4, device="cpu"), data, [Meter("width", measure, "pixels")])
    assert [image.values["width"] for image in row.images] == [240, 236, 240]
    assert seen == [False, False, True]
    assert row.images[0].target is None
    assert row.images[0].degraded == targets / "a.png"
    assert "without targets" in row.protocol["inputs"]


def test_metrics_that_need_targets_are_refused_without_them(registry: Registry) -> None:
    for name in ("psnr", "l1"):
        with pytest.raises(UsageError, match=f"the metric '{name}' compares with targets.*niqe"):
            check_meters([name], registry, with_targets=False)
    check_meters(default_metrics(registry, with_targets=False), registry, with_targets=False)


def test_a_metric_of_a_set_is_refused_for_one_image(toys: Registry) -> None:
    with pytest.raises(UsageError, match="'color-distance' measures a whole set"):
        check_meters(["color-distance"], toys, with_sets=False)
