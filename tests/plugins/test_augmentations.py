"""Augmentations: what they change, what they keep, and from what they draw."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from restore.interfaces import Augment, AugmentationOptions, Pair
from restore_augmentations.augmentations import (
    build_channel_shuffle,
    build_cutblur,
    build_cutmix,
    build_mixup,
    build_turn,
)
from restore_augmentations.options import CutOptions, MixupOptions, TurnOptions

ALL: dict[str, Augment] = {
    "turn": build_turn(TurnOptions()),
    "channel shuffle": build_channel_shuffle(AugmentationOptions()),
    "cutblur": build_cutblur(CutOptions()),
    "cutmix": build_cutmix(CutOptions()),
    "mixup": build_mixup(MixupOptions()),
}


def made(seed: int, scale: int = 2, height: int = 12, width: int = 12) -> Pair:
    """A target and its reduction by the mean of the pixels."""
    numbers = torch.Generator().manual_seed(seed)
    target = torch.rand(3, height * scale, width * scale, generator=numbers)
    return Pair(F.avg_pool2d(target, scale), target)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_shapes_stay_and_the_given_pairs_are_not_changed(name: str, scale: int) -> None:
    pair, partner = made(1, scale), made(2, scale)
    before = [image.clone() for image in (*pair, *partner)]
    result = ALL[name](pair, seeded(3), partner)
    assert [image.shape for image in result] == [image.shape for image in pair]
    assert all(torch.equal(a, b) for a, b in zip(before, (*pair, *partner), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_equal_generators_give_equal_pairs_and_the_global_one_is_left_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    pair = Pair(made(3).degraded, made(1).target)
    results = [ALL[name](pair, seeded(seed), made(2)) for seed in (5, 5, 6, 7, 8)]
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert any(not torch.equal(results[0].degraded, other.degraded) for other in results[2:])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ["turn", "channel shuffle", "cutmix", "mixup"])
def test_the_input_stays_the_reduction_of_the_target(name: str) -> None:
    for seed in range(8):
        result = ALL[name](made(1), seeded(seed), made(2))
        assert torch.allclose(result.degraded, F.avg_pool2d(result.target, 2), atol=1e-6)


def test_all_eight_turns_come_about_as_often() -> None:
    pair = made(1, 1, 3, 3)
    turns = [tuple(ALL["turn"](pair, seeded(seed), None).target.flatten().tolist()) for seed in range(800)]
    counts = Counter(turns)
    assert len(counts) == 8
    assert min(counts.values()) > 60


def test_without_rotation_half_of_the_patches_are_mirrored() -> None:
    flip, pair = build_turn(TurnOptions(rotate=False)), made(1)
    mirrored = 0
    for seed in range(200):
        result = flip(pair, seeded(seed), None)
        is_mirrored = bool(torch.equal(result.target, pair.target.flip(-1)))
        assert is_mirrored or torch.equal(result.target, pair.target)
        assert torch.equal(result.degraded, pair.degraded.flip(-1) if is_mirrored else pair.degraded)
        mirrored += is_mirrored
    assert 70 < mirrored < 130


def test_patches_that_are_not_square_keep_their_shape_when_turned() -> None:
    pair = made(1, 2, 4, 6)
    assert {ALL["turn"](pair, seeded(seed), None).target.shape for seed in range(20)} == {(3, 8, 12)}


def test_all_six_orders_of_the_channels_come() -> None:
    pair = made(1)
    orders = {
        tuple(ALL["channel shuffle"](pair, seeded(seed), None).target[:, 0, 0].tolist()) for seed in range(60)
    }
    assert len(orders) == 6


def test_cutblur_takes_each_pixel_from_the_input_or_from_the_reduced_target() -> None:
    pair = Pair(made(3).degraded, made(1).target)
    clean = F.avg_pool2d(pair.target, 2)
    shares = []
    for seed in range(20):
        result = ALL["cutblur"](pair, seeded(seed), None)
        own, reduced = (result.degraded == pair.degraded).all(0), (result.degraded == clean).all(0)
        assert bool((own ^ reduced).all())
        assert torch.equal(result.target, pair.target)
        shares.append(float(reduced.float().mean()))
    inside = [share for share in shares if share < 0.5 + 1e-6]
    assert 0 < len(inside) < 20  # inside of the rectangle or outside
    assert all(share == pytest.approx((8 / 12) ** 2, abs=0.1) for share in inside)


def test_cutmix_exchanges_one_rectangle_of_about_the_asked_share() -> None:
    pair = Pair(torch.zeros(3, 40, 40), torch.zeros(3, 80, 80))
    partner = Pair(torch.ones(3, 40, 40), torch.ones(3, 80, 80))
    for seed in range(10):
        result = ALL["cutmix"](pair, seeded(seed), partner)
        rows, columns = result.target[0].nonzero(as_tuple=True)
        height, width = len(set(rows.tolist())), len(set(columns.tolist()))
        assert int(result.target[0].sum()) == height * width
        assert height / 80 == pytest.approx(0.7, abs=0.06)


def test_the_weights_of_mixup_follow_its_distribution() -> None:
    zeros, ones = (
        Pair(torch.zeros(3, 2, 2), torch.zeros(3, 4, 4)),
        Pair(torch.ones(3, 2, 2), torch.ones(3, 4, 4)),
    )
    mix = build_mixup(MixupOptions(alpha=1.2))
    weights = torch.stack([mix(ones, seeded(seed), zeros).target.mean() for seed in range(3000)])
    assert float(weights.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(weights.var()) == pytest.approx(1 / (4 * (2 * 1.2 + 1)), rel=0.1)  # of Beta(a, a)


@pytest.mark.parametrize("name", ["cutmix", "mixup"])
def test_a_mix_without_a_partner_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="two pairs"):
        ALL[name](made(1), seeded(1), None)
