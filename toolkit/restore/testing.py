"""The contract as checks that a plugin's author runs over their own entries.

With pytest, in the plugin's own tests::

    from restore.testing import model_checks
    from my_plugin.plugin import restore_models

    @pytest.mark.parametrize("check", model_checks(restore_models()[0], scale=4), ids=str)
    def test_contract(check):
        check()

A check raises `ContractError`, which says what was expected, what was found and what to do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from restore.interfaces import (
    DegradationSpec,
    DiscriminatorSpec,
    FeatureLoss,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    Options,
    parse,
    prepare,
)
from restore.registry import Registry
from restore.tiling import map_tiles

__all__ = [
    "Check",
    "ContractError",
    "degradation_checks",
    "discriminator_checks",
    "loss_checks",
    "measured_halo",
    "metric_checks",
    "model_checks",
    "objective_checks",
]

SIZES = ((1, 1), (1, 7), (7, 1), (33, 47))
"""Heights and widths that a model has to accept, the awkward ones first."""


class ContractError(AssertionError):
    """An entry does not keep the contract."""


@dataclass(frozen=True)
class Check:
    """One claim about one entry: call it to see whether it holds."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Raises `ContractError` when the claim does not hold."""
        self.run()

    def __str__(self) -> str:
        return self.name


def model_checks(spec: ModelSpec, *, scale: int, options: Options | None = None) -> list[Check]:
    """The claims about a model at one scale.

    Args:
        spec: the entry.
        scale: one that it supports.
        options: of the model; its defaults when left out.
    """
    chosen = spec.options() if options is None else options
    claims = (
        _keeps_shape,
        _keeps_dtype,
        _treats_images_of_a_batch_alike,
        _leaves_its_input_alone,
        _is_deterministic,
        _runs_on_every_device,
        _passes_gradients,
        _saves_and_loads,
        _halo_is_exact,
        _tiles_equal_the_whole,
    )
    return [_check(f"{spec.name} {scale}x", claim, spec, scale, chosen) for claim in claims]


def loss_checks(spec: LossSpec, *, options: Options | None = None, size: int = 64) -> list[Check]:
    """The claims about a loss, on images of `size` pixels."""
    chosen = spec.options() if options is None else options
    claims = (
        _loss_is_a_scalar,
        _loss_is_least_at_the_target,
        _loss_passes_gradients,
        _loss_gives_the_same_from_shared_features,
        _loss_keeps_what_it_measured,
    )
    return [_check(f"loss {spec.name}", claim, spec, chosen, size) for claim in claims]


def discriminator_checks(
    spec: DiscriminatorSpec, *, options: Options | None = None, target_size: int = 128
) -> list[Check]:
    """The claims about a discriminator for targets of `target_size` pixels."""
    chosen = spec.options() if options is None else options
    claims = (_gives_logits, _discriminator_passes_gradients)
    return [_check(f"discriminator {spec.name}", claim, spec, chosen, target_size) for claim in claims]


def objective_checks(spec: ObjectiveSpec, registry: Registry) -> list[Check]:
    """The claim about an objective: all that it names is there."""
    return [_check(f"objective {spec.name}", _names_exist, spec, registry)]


def metric_checks(spec: MetricSpec, *, scale: int = 4, options: Options | None = None) -> list[Check]:
    """The claims about a metric."""
    chosen = spec.options() if options is None else options
    claims = (_metric_prefers_the_target, _metric_says_its_protocol)
    return [_check(f"metric {spec.name}", claim, spec, scale, chosen) for claim in claims]


def degradation_checks(
    spec: DegradationSpec, *, scale: int = 4, options: Options | None = None
) -> list[Check]:
    """The claims about a degradation."""
    chosen = spec.options() if options is None else options
    claims = (_degrades_to_the_contract, _repeats_with_its_generator)
    return [_check(f"degradation {spec.name} {scale}x", claim, spec, scale, chosen) for claim in claims]


def measured_halo(module: nn.Module, scale: int, size: int) -> int:
    """How far, in input pixels, an input is from an output pixel that it influences.

    Measured by gradients in float64 on positive weights, where nothing cancels and no unit is dead, for
    the output pixels that lie in the middle pixel of an input of `size` x `size`. The weights of `module`
    are overwritten.
    """
    _make_positive(module)
    image = (0.6 + 0.3 * _image(size, size, dtype=torch.float64)).requires_grad_()
    middle = size // 2
    cell = slice(middle * scale, (middle + 1) * scale)
    patch = module(image)[..., cell, cell]
    # Uneven weights, so that two phases cannot cancel each other by symmetry.
    weights = 0.5 + _image(scale, scale, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((patch * weights).sum(), image)
    touched = gradient[0].abs().sum(0).nonzero()
    return int((touched - middle).abs().max())


def _check(subject: str, claim: Callable[..., None], *arguments: object) -> Check:
    name = claim.__name__.strip("_").replace("_", " ")
    return Check(f"{subject}: {name}", partial(claim, *arguments))


def _expect(condition: object, problem: str) -> None:
    if not condition:
        raise ContractError(problem)


def _image(height: int, width: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """A repeatable image, smooth with some noise."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64).to(dtype)


def _build(spec: ModelSpec, scale: int, options: Options) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return spec.build(scale, options).eval()


def _keeps_shape(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options)
    for height, width in SIZES:
        with torch.inference_mode():
            restored = module(_image(height, width))
        wanted = (1, 3, height * scale, width * scale)
        _expect(
            tuple(restored.shape) == wanted,
            f"an input of {height}x{width} became {tuple(restored.shape)}, expected {wanted}: pad inside the "
            f"model and crop its result where it needs multiples",
        )


def _keeps_dtype(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options)
    for dtype in (torch.float32, torch.float64):
        with torch.inference_mode():
            restored = module.to(dtype)(_image(5, 6, dtype=dtype))
        _expect(restored.dtype == dtype, f"{dtype} became {restored.dtype}: return the dtype of the input")


def _treats_images_of_a_batch_alike(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options).double()
    batch = _image(9, 11, batch=3, dtype=torch.float64)
    with torch.inference_mode():
        together = module(batch)
        apart = torch.cat([module(image[None]) for image in batch])
    difference = (together - apart).abs().max().item()
    _expect(difference < 1e-9, f"an image differs by {difference:.2g} when others are in its batch")


def _leaves_its_input_alone(spec: ModelSpec, scale: int, options: Options) -> None:
    image = _image(5, 6)
    before = image.clone()
    with torch.inference_mode():
        _build(spec, scale, options)(image)
    _expect(torch.equal(image, before), "the model changed its input: work on a copy")


def _is_deterministic(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options), _image(9, 11)
    with torch.inference_mode():
        first, second = module(image), module(image)
    _expect(torch.equal(first, second), "two runs on one image differ: no randomness in evaluation mode")


def _runs_on_every_device(spec: ModelSpec, scale: int, options: Options) -> None:
    devices = ["cpu"]
    if torch.accelerator.is_available():
        devices.append(str(torch.accelerator.current_accelerator()))
    for device in devices:
        module = _build(spec, scale, options).to(device)
        with torch.inference_mode():
            restored = module(_image(5, 6).to(device))
        _expect(restored.device.type == torch.device(device).type, f"the result left {device}")
        _expect(restored.isfinite().all(), f"the result on {device} is not finite")


def _passes_gradients(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options).train(), _image(9, 11).requires_grad_()
    module(image).square().sum().backward()
    _expect(image.grad is not None and image.grad.abs().sum() > 0, "no gradient reaches the input")
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            _expect(parameter.grad is not None, f"no gradient reaches '{name}': use it, or freeze it")


def _saves_and_loads(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options), _image(9, 11)
    again = spec.build(scale, options).eval()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        file = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, file)
        again.load_state_dict(load_file(file))
        _expect(
            torch.equal(module(image), again(image)),
            "the model differs after saving and loading: keep all that matters in parameters and buffers",
        )


def _halo_is_exact(spec: ModelSpec, scale: int, options: Options) -> None:
    declared = spec.halo(scale, options)
    if declared is None:
        return
    measured = measured_halo(_build(spec, scale, options), scale, 2 * declared + 7)
    _expect(
        measured <= declared,
        f"an output depends on an input {measured} pixels away, but the halo says {declared}: "
        "tiles would show",
    )
    _expect(
        measured == declared,
        f"no output depends on an input farther than {measured} pixels, but the halo says "
        f"{declared}: tiles would be larger than needed",
    )


def _tiles_equal_the_whole(spec: ModelSpec, scale: int, options: Options) -> None:
    halo = spec.halo(scale, options)
    if halo is None:
        return
    module, image = _build(spec, scale, options), _image(37, 45)
    tiled = torch.empty(1, 3, 37 * scale, 45 * scale)
    for _ in map_tiles(module, image, tiled, scale=scale, size=16, halo=halo):
        pass
    with torch.inference_mode():
        whole = module(image)
    difference = (tiled - whole).abs().max().item()
    limit = 1e-5 * max(1.0, whole.abs().max().item())
    _expect(
        difference <= limit,
        f"tiles differ from the whole image by {difference:.2g}: the halo is too small, or the model "
        "looks at the whole image (declare a halo of None)",
    )


def _loss_is_a_scalar(spec: LossSpec, options: Options, size: int) -> None:
    value = _ready(spec, options, size)(
        _image(size, size, batch=2), _image(size, size + 1, batch=2)[..., :size]
    )
    _expect(isinstance(value, Tensor) and value.shape == (), f"expected one scalar, but got {value!r}")
    _expect(value.isfinite(), f"the loss of two ordinary images is {value.item()}")


def _loss_is_least_at_the_target(spec: LossSpec, options: Options, size: int) -> None:
    loss, target = _ready(spec, options, size), _image(size, size)
    noisy = (target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    at_target, at_noisy = loss(target, target).item(), loss(noisy, target).item()
    _expect(
        at_target < at_noisy,
        f"the target itself costs {at_target:.4g} and a noisy copy {at_noisy:.4g}: a loss is minimised",
    )


def _loss_passes_gradients(spec: LossSpec, options: Options, size: int) -> None:
    restored = _image(size, size).requires_grad_()
    _ready(spec, options, size)(restored, _image(size, size + 1)[..., :size]).backward()
    _expect(restored.grad is not None and restored.grad.abs().sum() > 0, "no gradient reaches the image")


def _loss_gives_the_same_from_shared_features(spec: LossSpec, options: Options, size: int) -> None:
    loss = _ready(spec, options, size)
    if not isinstance(loss, FeatureLoss):
        return
    images = _image(size, size), _image(size, size + 1)[..., :size]
    shared = loss.compare(*(loss.network(image, loss.layers) for image in images)).item()
    alone = loss(*images).item()
    _expect(
        abs(shared - alone) <= 1e-5 * abs(alone),
        f"{alone:.6g} from two images, but {shared:.6g} from their features: compare what forward compares",
    )


def _loss_keeps_what_it_measured(spec: LossSpec, options: Options, size: int) -> None:
    """As in a run that is resumed: first the buffers of its checkpoint, then `prepare`."""
    loss, again = _ready(spec, options, size), spec.build(options)
    again.load_state_dict(loss.state_dict())
    prepare(again, _samples(size, first=100))
    images = _image(size, size), _image(size, size + 1)[..., :size]
    before, after = (module(*images).item() for module in (loss, again))
    _expect(
        before == after,
        f"{before:.6g} before a run is resumed, {after:.6g} after it: keep what is measured in persistent "
        f"buffers, and measure only what they do not hold",
    )


def _ready(spec: LossSpec, options: Options, size: int) -> nn.Module:
    loss = spec.build(options)
    prepare(loss, _samples(size))
    return loss


def _samples(size: int, first: int = 0) -> list[Tensor]:
    return [_image(size, size + first + index)[0, ..., :size] for index in range(4)]


def _gives_logits(spec: DiscriminatorSpec, options: Options, target_size: int) -> None:
    logits = spec.build(target_size, options)(_image(target_size, target_size, batch=2))
    shape = tuple(logits.shape)
    _expect(
        shape == (2, 1) or (len(shape) == 4 and shape[:2] == (2, 1)),
        f"two images became {shape}, expected logits (2, 1) or (2, 1, h, w)",
    )


def _discriminator_passes_gradients(spec: DiscriminatorSpec, options: Options, target_size: int) -> None:
    image = _image(target_size, target_size, batch=2).requires_grad_()
    spec.build(target_size, options)(image).sum().backward()
    _expect(image.grad is not None and image.grad.abs().sum() > 0, "no gradient reaches the image")


def _names_exist(spec: ObjectiveSpec, registry: Registry) -> None:
    for term in spec.terms:
        _expect(term.loss in registry.losses, f"there is no loss '{term.loss}'")
        parse(registry.losses[term.loss].options, term.options, f"loss '{term.loss}'")
    if spec.adversary is not None:
        name = spec.adversary.discriminator
        _expect(name in registry.discriminators, f"there is no discriminator '{name}'")
        parse(registry.discriminators[name].options, spec.adversary.options, f"discriminator '{name}'")


def _metric_prefers_the_target(spec: MetricSpec, scale: int, options: Options) -> None:
    metric, target = spec.build(scale, options), _image(64, 64)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    little, much = ((target + size * noise).clamp(0, 1) for size in (0.02, 0.2))
    near, far = metric(little, target, gray=False), metric(much, target, gray=False)
    right = near > far if spec.better == "higher" else near < far
    _expect(right, f"{near:.4g} with little noise and {far:.4g} with much, but better is {spec.better}")


def _metric_says_its_protocol(spec: MetricSpec, scale: int, options: Options) -> None:
    _expect(spec.protocol(scale, options).strip(), "the protocol is empty: say all that changes the figure")


def _degrades_to_the_contract(spec: DegradationSpec, scale: int, options: Options) -> None:
    degraded = spec.build(scale, options)(_image(12 * scale, 16 * scale, batch=2))
    _expect(tuple(degraded.shape) == (2, 3, 12, 16), f"expected (2, 3, 12, 16), got {tuple(degraded.shape)}")
    inside = degraded.min() >= 0 and degraded.max() <= 1
    _expect(inside, f"values from {degraded.min():.3g} to {degraded.max():.3g}, expected 0 to 1")


def _repeats_with_its_generator(spec: DegradationSpec, scale: int, options: Options) -> None:
    degrade, target = spec.build(scale, options), _image(8 * scale, 8 * scale)
    first, second = (degrade(target, torch.Generator().manual_seed(7)) for _ in range(2))
    _expect(torch.equal(first, second), "one generator gave two results: draw from the given one only")


def _make_positive(module: nn.Module) -> None:
    """Float64 with positive weights that keep signals of ordinary size."""
    module.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            inputs = parameter[0].numel() if parameter.ndim > 1 else 10
            noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_((0.5 + noise) / inputs)
