"""The contract of metrics, degradations and published tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.errors import OptionsError
from restore.interfaces import (
    DegradationSpec,
    Degraded,
    MetricSpec,
    Options,
    PublishedTable,
    SetMetricSpec,
    parse,
)
from restore.registry import ModelReference, Registry
from restore.resizing import quantize
from restore.testing.check import Check, check, expect, sample

__all__ = ["degradation_checks", "metric_checks", "set_metric_checks", "table_checks"]

_SET = 8  # images


def metric_checks(spec: MetricSpec, *, scale: int = 4, options: Options | None = None) -> list[Check]:
    """The claims about a metric.

    >>> from restore.registry import discover
    >>> for check in metric_checks(discover().metrics["psnr"]):
    ...     print(check)
    metric psnr: metric prefers the target
    metric psnr: metric says its protocol
    """
    chosen = spec.options() if options is None else options
    claims = (_metric_prefers_the_target, _metric_says_its_protocol)
    return [check(f"metric {spec.name}", claim, spec, scale, chosen) for claim in claims]


def set_metric_checks(spec: SetMetricSpec, *, scale: int = 4, options: Options | None = None) -> list[Check]:
    """The claims about a metric of whole sets."""
    chosen = spec.options() if options is None else options
    claims = (
        _set_metric_prefers_the_targets,
        _set_metric_measures_each_set_by_itself,
        _set_metric_ignores_the_order,
        _metric_says_its_protocol,
    )
    return [check(f"set metric {spec.name}", claim, spec, scale, chosen) for claim in claims]


def degradation_checks(
    spec: DegradationSpec, *, scale: int = 4, options: Options | None = None
) -> list[Check]:
    """The claims about a degradation.

    >>> from restore.registry import discover
    >>> for check in degradation_checks(discover().degradations["bicubic"]):
    ...     print(check)
    degradation bicubic 4x: degrades to the contract
    degradation bicubic 4x: repeats with its generator
    degradation bicubic 4x: leaves its target alone
    """
    if scale > 1 and not spec.resizes:
        return []
    chosen = spec.options() if options is None else options
    claims = (_degrades_to_the_contract, _repeats_with_its_generator, _leaves_its_target_alone)
    return [check(f"degradation {spec.name} {scale}x", claim, spec, scale, chosen) for claim in claims]


def table_checks(spec: PublishedTable, registry: Registry) -> list[Check]:
    """The claims about a published table.

    >>> from restore.registry import discover
    >>> registry = discover()
    >>> for check in table_checks(registry.tables["enhancenet.table3"], registry):
    ...     print(check)
    table enhancenet.table3: table names exist
    table enhancenet.table3: table options are valid
    table enhancenet.table3: table says its source
    """
    claims = (_table_names_exist, _table_options_are_valid, _table_says_its_source)
    return [check(f"table {spec.name}", claim, spec, registry) for claim in claims]


def _table_names_exist(spec: PublishedTable, registry: Registry) -> None:
    expect(spec.metric in registry.metrics, f"there is no metric '{spec.metric}'")
    for method in spec.columns:
        here = method.degradation in registry.degradations
        expect(here, f"'{method.title}': there is no degradation '{method.degradation}'")
        if method.model is not None:
            name = ModelReference.parse(method.model).name
            expect(name in registry.models, f"'{method.title}': there is no model '{name}'")
            works = registry.models[name].supports(spec.scale)
            expect(works, f"'{method.title}': '{name}' cannot work at scale {spec.scale}")


def _table_options_are_valid(spec: PublishedTable, registry: Registry) -> None:
    try:
        if spec.metric in registry.metrics:
            parse(registry.metrics[spec.metric].options, spec.metric_options, f"metric '{spec.metric}'")
        for method in spec.columns:
            if method.degradation in registry.degradations:
                schema = registry.degradations[method.degradation].options
                parse(schema, method.degradation_options, f"degradation '{method.degradation}'")
    except OptionsError as error:
        expect(False, str(error))


def _table_says_its_source(spec: PublishedTable, registry: Registry) -> None:  # noqa: ARG001
    expect(spec.rows, "the table has no rows: name the data sets")
    expect(spec.protocol.strip(), "the protocol is empty: say how the paper measured")
    expect(spec.reference.strip(), "the reference is empty: say where the values were published")


def _metric_prefers_the_target(spec: MetricSpec, scale: int, options: Options) -> None:
    side = 64 if spec.needs_target else 224  # statistics of a single image need room
    metric, target = spec.build(scale, options), sample(side, side)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    little, much = ((target + size * noise).clamp(0, 1) for size in (0.02, 0.2))
    near, far = metric(little, target, gray=False), metric(much, target, gray=False)
    if not spec.needs_target:
        expect(
            near == metric(little, much, gray=False), "needs_target is false, but it depends on the target"
        )
        return
    right = near > far if spec.better == "higher" else near < far
    expect(right, f"{near:.4g} with little noise and {far:.4g} with much, but better is {spec.better}")


def _metric_says_its_protocol(spec: MetricSpec | SetMetricSpec, scale: int, options: Options) -> None:
    expect(spec.protocol(scale, options).strip(), "the protocol is empty: say all that changes the figure")


def _set_metric_prefers_the_targets(spec: SetMetricSpec, scale: int, options: Options) -> None:
    targets = _set_of_targets()
    if not spec.needs_target:
        others = list(reversed(targets))
        same = _value(spec, scale, options, targets, targets) == _value(spec, scale, options, targets, others)
        expect(same, "needs_target is false, but it depends on the targets")
        return
    near, far = (_value(spec, scale, options, _with_noise(targets, size), targets) for size in (0.02, 0.2))
    right = near > far if spec.better == "higher" else near < far
    expect(right, f"{near:.4g} with little noise and {far:.4g} with much, but better is {spec.better}")


def _set_metric_measures_each_set_by_itself(spec: SetMetricSpec, scale: int, options: Options) -> None:
    targets = _set_of_targets()
    results = _with_noise(targets, 0.1)
    first = _value(spec, scale, options, results, targets)
    second = _value(spec, scale, options, results, targets)
    expect(
        math.isclose(first, second, rel_tol=1e-6),
        f"the same set gave {first:.6g} and then {second:.6g}: `build` must return a new measurement",
    )


def _set_metric_ignores_the_order(spec: SetMetricSpec, scale: int, options: Options) -> None:
    targets = _set_of_targets()
    results = _with_noise(targets, 0.1)
    first = _value(spec, scale, options, results, targets)
    second = _value(spec, scale, options, results[::-1], targets[::-1])
    expect(
        math.isclose(first, second, rel_tol=1e-3, abs_tol=1e-6),
        f"{first:.6g}, and {second:.6g} in reverse order: the order of the images must not matter",
    )


def _set_of_targets() -> list[Tensor]:
    """Images of 64x64 pixels with different content; statistics of features need several."""
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.rand(1, 3, 8, 8, generator=generator) for _ in range(_SET)]
    return [quantize(F.interpolate(image, scale_factor=8, mode="bilinear")) for image in coarse]


def _with_noise(images: Sequence[Tensor], size: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    noise = (size * torch.randn(image.shape, generator=generator) for image in images)
    return [quantize(image + added) for image, added in zip(images, noise, strict=True)]


def _value(
    spec: SetMetricSpec, scale: int, options: Options, results: Sequence[Tensor], targets: Sequence[Tensor]
) -> float:
    metric = spec.build(scale, options)
    for result, target in zip(results, targets, strict=True):
        metric.update(result, target, gray=False)
    return metric.compute()


def _degrades_to_the_contract(spec: DegradationSpec, scale: int, options: Options) -> None:
    degrade = spec.build(scale, options)
    degraded = degrade(sample(12 * scale, 16 * scale, batch=2), torch.Generator().manual_seed(7))
    expect(
        isinstance(degraded, Degraded),
        f"it returned a {type(degraded).__name__}: return Degraded(image, parameters)",
    )
    image, parameters = degraded
    expect(tuple(image.shape) == (2, 3, 12, 16), f"expected (2, 3, 12, 16), got {tuple(image.shape)}")
    inside = image.min() >= 0 and image.max() <= 1
    expect(inside, f"values from {image.min():.3g} to {image.max():.3g}, expected 0 to 1")
    expect(len(parameters) == 2, f"two images have {len(parameters)} sets of parameters: give each its own")


def _repeats_with_its_generator(spec: DegradationSpec, scale: int, options: Options) -> None:
    degrade, target = spec.build(scale, options), sample(8 * scale, 8 * scale)
    first, second = (degrade(target, torch.Generator().manual_seed(7)) for _ in range(2))
    expect(
        torch.equal(first.image, second.image) and first.parameters == second.parameters,
        "one generator gave two results: draw from the given one only",
    )


def _leaves_its_target_alone(spec: DegradationSpec, scale: int, options: Options) -> None:
    target = sample(8 * scale, 8 * scale)
    before = target.clone()
    spec.build(scale, options)(target, torch.Generator().manual_seed(7))
    expect(torch.equal(target, before), "it changed its target: work on a copy")
