"""The contract of what a generator learns from: losses, discriminators, objectives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import (
    DiscriminatorSpec,
    FeatureLoss,
    GeneratorFeatures,
    Logits,
    LossSpec,
    ObjectiveSpec,
    Options,
    parse,
    prepare,
)
from restore.registry import Registry
from restore.testing.check import Check, check, expect, sample

__all__ = ["discriminator_checks", "loss_checks", "objective_checks"]


def loss_checks(spec: LossSpec, *, options: Options | None = None, size: int = 64) -> list[Check]:
    """The claims about a loss, on images of `size` pixels.

    Example:
        >>> from restore.registry import discover
        >>> for check in loss_checks(discover().losses["l1"], size=16):
        ...     check()
    """
    chosen = spec.options() if options is None else options
    claims = (
        _loss_is_a_scalar,
        _loss_is_least_at_the_target,
        _loss_passes_gradients,
        _loss_gives_the_same_from_shared_features,
        _loss_keeps_what_it_measured,
    )
    return [check(f"loss {spec.name}", claim, spec, chosen, size) for claim in claims]


def discriminator_checks(
    spec: DiscriminatorSpec, *, options: Options | None = None, target_size: int = 128
) -> list[Check]:
    """The claims about a discriminator for targets of `target_size` pixels.

    >>> from restore.registry import discover
    >>> for check in discriminator_checks(discover().discriminators["unet"]):
    ...     print(check)
    discriminator unet: gives logits
    discriminator unet: discriminator passes gradients
    """
    chosen = spec.options() if options is None else options
    claims = (_gives_logits, _discriminator_passes_gradients)
    return [check(f"discriminator {spec.name}", claim, spec, chosen, target_size) for claim in claims]


def objective_checks(spec: ObjectiveSpec, registry: Registry) -> list[Check]:
    """The claim about an objective: all that it names is there.

    >>> from restore.registry import discover
    >>> registry = discover()
    >>> for check in objective_checks(registry.objectives["esrgan"], registry):
    ...     print(check)
    objective esrgan: names exist
    """
    return [check(f"objective {spec.name}", _names_exist, spec, registry)]


def _loss_is_a_scalar(spec: LossSpec, options: Options, size: int) -> None:
    restored, target = sample(size, size, batch=2), sample(size, size + 1, batch=2)[..., :size]
    value = _value(_ready(spec, options, size), spec, restored, target)
    expect(isinstance(value, Tensor) and value.shape == (), f"expected one scalar, but got {value!r}")
    expect(value.isfinite(), f"the loss of two ordinary images is {value.item()}")


def _loss_is_least_at_the_target(spec: LossSpec, options: Options, size: int) -> None:
    if not {"target", "degraded"} & set(spec.inputs):
        return
    loss, target = _ready(spec, options, size), sample(size, size)
    noisy = (target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    at_target, at_noisy = (_value(loss, spec, image, target).item() for image in (target, noisy))
    expect(
        at_target < at_noisy,
        f"the target itself costs {at_target:.4g} and a noisy copy {at_noisy:.4g}: a loss is minimized",
    )


def _loss_passes_gradients(spec: LossSpec, options: Options, size: int) -> None:
    restored = sample(size, size).requires_grad_()
    value = _value(_ready(spec, options, size), spec, restored, sample(size, size + 1)[..., :size])
    (gradient,) = torch.autograd.grad(value, restored, allow_unused=True)
    expect(gradient is not None and gradient.abs().sum() > 0, "no gradient reaches the image")


def _value(loss: nn.Module, spec: LossSpec, restored: Tensor, target: Tensor) -> Tensor:
    """The loss with all that it asks for; the input is the target reduced to a quarter by the mean."""
    layers = loss.generator_layers if isinstance(loss, GeneratorFeatures) else ()
    given = {
        "degraded": F.avg_pool2d(target, 4),
        "step": 1,
        "features": dict.fromkeys(layers, restored),
    }
    images = (restored, target) if "target" in spec.inputs else (restored,)
    value: Tensor = loss(*images, **{name: given[name] for name in spec.inputs if name in given})
    return value


def _loss_gives_the_same_from_shared_features(spec: LossSpec, options: Options, size: int) -> None:
    loss = _ready(spec, options, size)
    if not isinstance(loss, FeatureLoss):
        return
    images = sample(size, size), sample(size, size + 1)[..., :size]
    shared = loss.compare(*(loss.network(image, loss.layers) for image in images)).item()
    alone = loss(*images).item()
    expect(
        abs(shared - alone) <= 1e-5 * abs(alone),
        f"{alone:.6g} from two images, but {shared:.6g} from their features: compare what forward compares",
    )


def _loss_keeps_what_it_measured(spec: LossSpec, options: Options, size: int) -> None:
    """As in a run that is resumed: first the buffers of its checkpoint, then `prepare`."""
    loss, again = _ready(spec, options, size), spec.build(options)
    again.load_state_dict(loss.state_dict())
    prepare(again, _samples(size, first=100))
    images = sample(size, size), sample(size, size + 1)[..., :size]
    before, after = (_value(module, spec, *images).item() for module in (loss, again))
    expect(
        before == after,
        f"{before:.6g} before a run is resumed, {after:.6g} after it: keep what is measured in persistent "
        f"buffers, and measure only what they do not hold",
    )


def _ready(spec: LossSpec, options: Options, size: int) -> nn.Module:
    loss = spec.build(options)
    prepare(loss, _samples(size))
    return loss


def _samples(size: int, first: int = 0) -> list[Tensor]:
    return [sample(size, size + first + index)[0, ..., :size] for index in range(4)]


def _gives_logits(spec: DiscriminatorSpec, options: Options, target_size: int) -> None:
    logits = _answer(spec, options, sample(target_size, target_size, batch=2))
    for scale in [logits] if isinstance(logits, Tensor) else logits:
        shape = tuple(scale.shape)
        expect(
            shape == (2, 1) or (len(shape) == 4 and shape[:2] == (2, 1)),
            f"two images became {shape}, expected logits (2, 1) or (2, 1, h, w), or a list of these",
        )


def _discriminator_passes_gradients(spec: DiscriminatorSpec, options: Options, target_size: int) -> None:
    image = sample(target_size, target_size, batch=2).requires_grad_()
    logits = _answer(spec, options, image)
    for scale in [logits] if isinstance(logits, Tensor) else logits:
        (gradient,) = torch.autograd.grad(scale.sum(), image, retain_graph=True, allow_unused=True)
        expect(gradient is not None and gradient.abs().sum() > 0, "no gradient reaches the image")


def _answer(spec: DiscriminatorSpec, options: Options, images: Tensor) -> Logits:
    network = spec.build(images.shape[-1], options)
    height, width = images.shape[-2:]
    given = (images, sample(height, width, batch=2)) if spec.conditional else (images,)
    logits: Logits = network(*given)
    return logits


def _names_exist(spec: ObjectiveSpec, registry: Registry) -> None:
    for term in spec.terms:
        expect(term.loss in registry.losses, f"there is no loss '{term.loss}'")
        parse(registry.losses[term.loss].options, term.options, f"loss '{term.loss}'")
    for adversary in spec.adversaries:
        name, loss = adversary.discriminator, adversary.loss
        expect(name in registry.discriminators, f"there is no discriminator '{name}'")
        parse(registry.discriminators[name].options, adversary.options, f"discriminator '{name}'")
        expect(loss in registry.adversarial_losses, f"there is no adversarial loss '{loss}'")
        parse(registry.adversarial_losses[loss].options, adversary.loss_options, f"loss '{loss}'")
