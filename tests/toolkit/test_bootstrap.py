"""Confidence intervals of paired differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from restore.evaluation import paired


def test_a_constant_difference_has_an_interval_without_width() -> None:
    found = paired([20.0, 30.0, 25.0], [21.5, 31.5, 26.5])
    assert (found.mean, found.low, found.high) == (1.5, 1.5, 1.5)
    assert found.is_clear


def test_the_interval_is_that_of_all_resamples() -> None:
    differences = [0.1, 0.9, 2.0, 3.2, 4.5]
    every = [np.mean(drawn) for drawn in itertools.product(differences, repeat=5)]
    low, high = np.quantile(every, [0.025, 0.975])
    found = paired([0.0] * 5, differences)
    assert found.mean == pytest.approx(np.mean(differences))
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03)


def test_the_interval_of_many_images_is_the_normal_one_and_repeats() -> None:
    differences = np.random.default_rng(1).normal(0.3, 2.0, 400).tolist()
    first, again = (paired([0.0] * 400, differences) for _ in range(2))
    assert first == again
    half = 1.96 * np.std(differences) / 20
    assert (first.high - first.low) / 2 == pytest.approx(half, rel=0.05)


def test_perfect_results_have_no_interval_and_unequal_lists_are_refused() -> None:
    assert np.isnan(paired([np.inf, 30.0], [np.inf, 31.0]).mean)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired([1.0], [])
