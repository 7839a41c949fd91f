"""The contract of adversarial losses, optimizers and schedules."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import (
    AdversarialLoss,
    AdversarialLossSpec,
    AveragesWeights,
    GradientPenalty,
    OptimizerSpec,
    Options,
    ScheduleSpec,
)
from restore.testing.check import Check, check, expect, sample

__all__ = ["adversarial_loss_checks", "optimizer_checks", "schedule_checks"]


def adversarial_loss_checks(spec: AdversarialLossSpec, *, options: Options | None = None) -> list[Check]:
    """The claims about an adversarial loss.

    >>> from restore.registry import discover
    >>> for check in adversarial_loss_checks(discover().adversarial_losses["hinge"]):
    ...     print(check)
    adversarial loss hinge: losses are scalars
    adversarial loss hinge: takes logits of several scales
    adversarial loss hinge: needs real logits only if it says so
    adversarial loss hinge: is a mean over images unless it is of whole batches
    adversarial loss hinge: penalty is a scalar that repeats
    """
    chosen = spec.options() if options is None else options
    claims = (
        _losses_are_scalars,
        _takes_logits_of_several_scales,
        _needs_real_logits_only_if_it_says_so,
        _is_a_mean_over_images_unless_it_is_of_whole_batches,
        _penalty_is_a_scalar_that_repeats,
    )
    return [check(f"adversarial loss {spec.name}", claim, spec, chosen) for claim in claims]


def optimizer_checks(spec: OptimizerSpec, *, options: Options | None = None) -> list[Check]:
    """The claims about an optimizer.

    >>> from restore.registry import discover
    >>> for check in optimizer_checks(discover().optimizers["adam"]):
    ...     print(check)
    optimizer adam: optimizer descends
    optimizer adam: optimizer follows its rate
    optimizer adam: optimizer continues from its state
    """
    chosen = spec.options() if options is None else options
    claims = (_optimizer_descends, _optimizer_follows_its_rate, _optimizer_continues_from_its_state)
    return [check(f"optimizer {spec.name}", claim, spec, chosen) for claim in claims]


def schedule_checks(spec: ScheduleSpec, *, options: Options | None = None) -> list[Check]:
    """The claims about a schedule.

    >>> from restore.registry import discover
    >>> for check in schedule_checks(discover().schedules["cosine"]):
    ...     print(check)
    schedule cosine: gives shares of the peak rate
    """
    chosen = spec.options() if options is None else options
    return [check(f"schedule {spec.name}", _gives_shares_of_the_peak_rate, spec, chosen)]


def _logits(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _both(loss: AdversarialLoss, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    return loss.generator(fake, real if loss.needs_real else None), loss.discriminator(fake, real)


def _losses_are_scalars(spec: AdversarialLossSpec, options: Options) -> None:
    loss = spec.build(options)
    for shape in ((4, 1), (4, 1, 3, 5)):
        fake, real = _logits(1, *shape).requires_grad_(), _logits(2, *shape).requires_grad_()
        of_generator, of_discriminator = _both(loss, fake, real)
        for value, inputs in ((of_generator, [fake]), (of_discriminator, [fake, real])):
            expect(value.shape == (), f"expected one scalar from logits of {shape}, but got {value!r}")
            expect(value.isfinite(), f"the loss of ordinary logits is {value.item()}")
            gradients = torch.autograd.grad(value, inputs, allow_unused=True)
            expect(
                all(gradient is not None and gradient.isfinite().all() for gradient in gradients),
                "a gradient is missing or not finite",
            )


def _takes_logits_of_several_scales(spec: AdversarialLossSpec, options: Options) -> None:
    loss = spec.build(options)
    fake, real = ([_logits(seed, 4, 1, 6, 6), _logits(seed, 4, 1, 3, 3)] for seed in (1, 2))
    value = loss.discriminator(fake, real)
    expect(value.shape == () and value.isfinite(), f"expected one scalar from a list, but got {value!r}")
    value = loss.generator(fake, real if loss.needs_real else None)
    expect(value.shape == () and value.isfinite(), f"expected one scalar from a list, but got {value!r}")


def _needs_real_logits_only_if_it_says_so(spec: AdversarialLossSpec, options: Options) -> None:
    loss, fake = spec.build(options), _logits(1, 4, 1)
    if loss.needs_real:
        first, second = (loss.generator(fake, _logits(seed, 4, 1)) for seed in (2, 3))
        expect(first != second, "needs_real is set, but the generator's loss is the same for other targets")
    else:
        value = loss.generator(fake, None)
        expect(value.isfinite(), "the generator's loss without real logits is not finite: set needs_real")


def _is_a_mean_over_images_unless_it_is_of_whole_batches(spec: AdversarialLossSpec, options: Options) -> None:
    loss = spec.build(options)
    if loss.whole_batch:
        return
    fake, real = _logits(1, 4, 1), _logits(2, 4, 1)
    whole = _both(loss, fake, real)
    halves = [_both(loss, a, b) for a, b in zip(fake.chunk(2), real.chunk(2), strict=True)]
    for number, name in enumerate(("generator", "discriminator")):
        mean = (halves[0][number] + halves[1][number]) / 2
        expect(
            torch.allclose(mean, whole[number], rtol=1e-5),
            f"the {name}'s loss of a batch is {whole[number].item():.6g}, but the mean of its halves "
            f"{mean.item():.6g}: set whole_batch",
        )


def _penalty_is_a_scalar_that_repeats(spec: AdversarialLossSpec, options: Options) -> None:
    loss = spec.build(options)
    if not isinstance(loss, GradientPenalty):
        return
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 1, 3))
    real, fake = sample(9, 9, batch=2), sample(9, 10, batch=2)[..., :9]
    first, second = (
        loss.penalty(network, real, fake, torch.Generator().manual_seed(seed)) for seed in (1, 1)
    )
    expect(first.shape == () and first.isfinite(), f"expected one finite scalar, but got {first!r}")
    expect(torch.equal(first, second), "two penalties with equal generators differ: draw from it alone")
    gradients = torch.autograd.grad(first, list(network.parameters()), allow_unused=True)
    expect(any(gradient is not None for gradient in gradients), "no gradient reaches the discriminator")


def _network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))


def _optimizer(spec: OptimizerSpec, options: Options, network: nn.Module) -> torch.optim.Optimizer:
    group = {"params": list(network.parameters()), "lr": 1e-3, "factor": 1.0}
    optimizer = spec.build([group], options)
    kept = all(group.get("factor") == 1.0 for group in optimizer.param_groups)
    expect(kept, "a key of a group was lost: keep those that the optimizer does not know")
    return optimizer


def _steps(network: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> float:
    """The loss before the last step."""
    value = float("nan")
    for step in steps:
        image = sample(8, 8 + step % 3, batch=2)
        optimizer.zero_grad()
        loss = F.mse_loss(network(image), image)
        value = loss.item()
        loss.backward()  # type: ignore[no-untyped-call] # of torch
        optimizer.step()
    return value


def _optimizer_descends(spec: OptimizerSpec, options: Options) -> None:
    network = _network()
    optimizer = _optimizer(spec, options, network)
    first, last = _steps(network, optimizer, range(1)), _steps(network, optimizer, range(1, 100))
    expect(last < first, f"the loss of a small network went from {first:.4g} to {last:.4g} in 100 steps")
    if isinstance(optimizer, AveragesWeights):
        for parameter in network.parameters():
            averaged = optimizer.averaged(parameter)
            expect(averaged.shape == parameter.shape, "averaged weights have another shape than the weights")
            averaged.zero_()
            expect(bool(parameter.any()), "averaged() gave the weights themselves: give a new tensor")


def _optimizer_follows_its_rate(spec: OptimizerSpec, options: Options) -> None:
    network = _network()
    optimizer = _optimizer(spec, options, network)
    _steps(network, optimizer, range(3))
    before = copy.deepcopy(network.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _steps(network, optimizer, range(3, 4))
    moved = max(float((tensor - before[name]).abs().max()) for name, tensor in network.state_dict().items())
    expect(moved <= 1e-6, f"at a rate of 0 a weight moved by {moved:.2g}: use the rate of the group")


def _optimizer_continues_from_its_state(spec: OptimizerSpec, options: Options) -> None:
    whole = _network()
    _steps(whole, _optimizer(spec, options, whole), range(12))
    network = _network()
    optimizer = _optimizer(spec, options, network)
    _steps(network, optimizer, range(6))
    again = copy.deepcopy(network)
    resumed = _optimizer(spec, options, again)
    resumed.load_state_dict(optimizer.state_dict())
    _steps(again, resumed, range(6, 12))
    equal = all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    expect(equal, "a run that continues from the optimizer's state ends elsewhere: keep all of it in there")


def _gives_shares_of_the_peak_rate(spec: ScheduleSpec, options: Options) -> None:
    schedule = spec.build(options)
    for steps in (1, 7, 1000):
        shares = [schedule(step, steps) for step in range(steps + 1)]
        bad = next((share for share in shares if not 0 <= share <= 1), None)
        expect(bad is None, f"a share of the peak rate is {bad}, and has to lie in [0, 1]")
