"""The contract of augmentations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from restore.interfaces import AugmentationOptions, AugmentationSpec, Options, Pair
from restore.testing.check import Check, check, expect, sample

__all__ = ["augmentation_checks"]


def augmentation_checks(
    spec: AugmentationSpec, *, scale: int = 4, options: AugmentationOptions | None = None
) -> list[Check]:
    """The claims about an augmentation at one scale.

    >>> from restore.registry import discover
    >>> for check in augmentation_checks(discover().augmentations["mixup"]):
    ...     print(check)
    augmentation mixup 4x: keeps the shapes
    augmentation mixup 4x: leaves its pairs alone
    augmentation mixup 4x: draws from its generator alone
    """
    chosen = spec.options() if options is None else options
    claims = (_keeps_the_shapes, _leaves_its_pairs_alone, _draws_from_its_generator_alone)
    return [check(f"augmentation {spec.name} {scale}x", claim, spec, chosen, scale) for claim in claims]


def _pair(scale: int, seed: int) -> Pair:
    return Pair(
        sample(12, 12 + seed, batch=1)[0, :, :, :12],
        sample(12 * scale, 12 * scale + seed, batch=1)[0, ..., : 12 * scale],
    )


def _augmented(spec: AugmentationSpec, options: Options, scale: int, seed: int) -> tuple[Pair, list[Tensor]]:
    """The changed pair, and what was given for it."""
    pair, partner = _pair(scale, 1), _pair(scale, 2)
    augment = spec.build(options)
    generator = torch.Generator().manual_seed(seed)
    result = augment(pair, generator, partner if spec.needs_partner else None)
    return result, [*pair, *partner]


def _over_seeds(claim: Callable[[int], None]) -> None:
    for seed in range(8):  # a random choice may leave a pair as it is
        claim(seed)


def _keeps_the_shapes(spec: AugmentationSpec, options: Options, scale: int) -> None:
    def of(seed: int) -> None:
        result, given = _augmented(spec, options, scale, seed)
        shapes = [tuple(image.shape) for image in result]
        wanted = [tuple(image.shape) for image in given[:2]]
        expect(shapes == wanted, f"patches of {wanted} became {shapes}")
        expect(all(image.isfinite().all() for image in result), "a value is not finite")

    _over_seeds(of)


def _leaves_its_pairs_alone(spec: AugmentationSpec, options: Options, scale: int) -> None:
    def of(seed: int) -> None:
        _, given = _augmented(spec, options, scale, seed)
        before = [*_pair(scale, 1), *_pair(scale, 2)]
        same = all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
        expect(same, "it changed a pair that it was given: work on a copy")

    _over_seeds(of)


def _draws_from_its_generator_alone(spec: AugmentationSpec, options: Options, scale: int) -> None:
    def of(seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            first, _ = _augmented(spec, options, scale, seed)
            torch.manual_seed(2)
            second, _ = _augmented(spec, options, scale, seed)
        same = all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        expect(same, "two results with equal generators differ: draw from the given generator alone")

    _over_seeds(of)
